// From details and flags to a sentence. What clients sent is cut: these notes are kept.

#include "proxy/stream/failure.h"

#include <fmt/core.h>

#include "base/strings.h"
#include "proxy/http/config.h"
#include "proxy/stream/stream_info.h"
#include "proxy/worker/worker.h"

namespace lateen::proxy {
namespace {

constexpr std::size_t kMostText = 256;
constexpr std::string_view kTlsError = "downstream_tls_error: ";

// Dynamic metadata that filters leave for us.
constexpr std::string_view kDecider = "lateen.decider", kJwt = "lateen.jwt";

std::string cut(std::string_view text) { return std::string(text.substr(0, kMostText)); }

std::string config_of(const data::JsonObject& metadata) {
  const auto* istio = metadata.if_contains("istio");
  return istio == nullptr ? std::string() : std::string(data::get_string(*istio, {"config"}));
}

// "virtual-service" as "VirtualService".
std::string camel(std::string_view kebab) {
  std::string out;
  for (const auto part : split(kebab, '-'))
    if (!part.empty())
      out += static_cast<char>(part[0] >= 'a' && part[0] <= 'z' ? part[0] - 'a' + 'A' : part[0]) +
             std::string(part.substr(1));
  return out;
}

// The text between `open` and the next ']' in `text`.
std::string_view bracketed(std::string_view text, std::string_view open) {
  const auto begin = text.find(open);
  if (begin == std::string_view::npos) return {};
  const auto end = text.find(']', begin + open.size());
  return end == std::string_view::npos
             ? std::string_view()
             : text.substr(begin + open.size(), end - begin - open.size());
}

class Explainer {
 public:
  Explainer(const StreamInfo& info, Failure& failure) : info_(info), out_(failure) {}

  void run() {
    name_route();
    const std::string_view details = out_.details;
    if (details == "route_not_found") return no_route();
    if (details == "cluster_not_found") return no_cluster();
    if (details == "no_healthy_upstream") return no_host();
    if (details == "filter_chain_not_found") return no_chain();
    if (details.starts_with(kTlsError)) return downstream_tls();
    if (details == "direct_response") return direct();
    if (details.starts_with("rbac_access_denied")) return rbac();
    if (details.starts_with("jwt_authn_access_denied")) return jwt();
    if (details.find("timeout") != std::string_view::npos ||
        info_.flags.has(Flag::kUpstreamTimeout))
      return timeout();
    if (info_.flags.has(Flag::kUpstreamOverflow)) return overflow();
    if (details.starts_with("upstream_reset") || info_.flags.has(Flag::kUpstreamConnectFailure))
      return upstream();
    if (details.starts_with("fault_filter")) return by_route("fault injection answered");
    if (details == "upgrade_failed")
      return by_route("an upgrade that neither listener nor route allows was asked for");
    by_filter();
  }

 private:
  void name_route() {
    if (info_.route == nullptr) return;
    out_.object = "route '" + out_.route + "' of " + out_.route_table;
    by_config(config_of(info_.route->metadata));
  }
  void by_config(const std::string& path) {
    if (path.empty()) return;
    out_.object_path = path;
    out_.object = name_of_config(path);
  }
  void by_cluster() {
    out_.object = "cluster " + out_.cluster;
    out_.object_path.clear();
    if (info_.upstream.cluster != nullptr) by_config(config_of(info_.upstream.cluster->metadata));
  }
  void by_route(std::string reason) { out_.reason = std::move(reason); }

  void no_route() {
    if (info_.virtual_host == nullptr) {
      out_.object = "route table '" + out_.route_table + "'";
      out_.reason = info_.route_table == nullptr
                        ? "the listener's route table was not delivered (RDS)"
                        : fmt::format("no virtual host of route table '{}' is for host '{}'",
                                      out_.route_table, out_.authority);
      return;
    }
    out_.object = "virtual host '" + out_.virtual_host + "'";
    if (!info_.virtual_host->routes.empty())
      by_config(config_of(info_.virtual_host->routes.front().metadata));
    out_.reason =
        fmt::format("none of the {} routes of virtual host '{}' matches {} {}",
                    info_.virtual_host->routes.size(), out_.virtual_host, out_.method, out_.path);
  }
  void no_cluster() {
    out_.reason = fmt::format(
        "cluster '{}', which is to be used, does not exist: no such service, port or subset",
        out_.cluster);
  }
  void no_chain() {
    out_.object = "listener " + out_.listener;
    out_.reason = fmt::format(
        "no filter chain takes connections to {} with server name '{}' over {}",
        info_.connection.local.to_string(), info_.connection.sni,
        info_.connection.detected_transport.empty() ? "raw_buffer"
                                                    : info_.connection.detected_transport);
  }
  void downstream_tls() {
    out_.object = fmt::format("filter chain '{}' of listener {}", out_.filter_chain, out_.listener);
    out_.reason = "no TLS connection with the client: " +
                  cut(std::string_view(out_.details).substr(kTlsError.size()));
  }
  void no_host() {
    by_cluster();
    const UpstreamRef upstream = info_.worker.find_cluster(info_.upstream.cluster_name);
    if (upstream == nullptr) return by_route("the cluster went away");
    const auto counts = upstream->count_hosts();
    if (counts.all == 0) {
      out_.reason = "the cluster has no endpoints";
    } else if (counts.usable == 0) {
      out_.reason = fmt::format(
          "none of the {} endpoints may be used: {} ejected by outlier detection, {} failed the "
          "health check, {} reported unhealthy",
          counts.all, counts.ejected, counts.failed_check, counts.unhealthy);
    } else {
      out_.reason = fmt::format(
          "{} of {} endpoints may be used, but none fits: no subset has the route's labels, or the "
          "load balancing gave up",
          counts.usable, counts.all);
    }
  }
  void direct() { out_.reason = fmt::format("the route answers {} itself", out_.status); }
  void rbac() {
    const std::string_view details = out_.details;
    const std::string_view policy = bracketed(details, "matched_policy[");
    const std::string_view ns = bracketed(details, "ns[");
    const std::string_view name = bracketed(details, "policy[ns[").empty()
                                      ? bracketed(details, "-policy[")
                                      : bracketed(details, "]-policy[");
    if (!ns.empty() && !name.empty()) {
      out_.object = fmt::format("AuthorizationPolicy {}/{}", ns, name);
      out_.object_path =
          fmt::format("/apis/security.istio.io/v1/namespaces/{}/authorization-policy/{}", ns, name);
      out_.reason = fmt::format("rule {} denies it", bracketed(details, "-rule["));
      return;
    }
    out_.object = "RBAC filter of listener " + out_.listener;
    out_.object_path.clear();
    out_.reason = policy.empty() || policy == "none"
                      ? std::string("no policy allows it, and there are policies that allow")
                      : fmt::format("policy '{}' denies it", policy);
  }
  void jwt() {
    out_.object = "JWT filter of listener " + out_.listener;
    out_.object_path.clear();
    const auto open = out_.details.find('{');
    const std::string why = replace_all(
        open == std::string::npos ? out_.details
                                  : out_.details.substr(open + 1, out_.details.size() - open - 2),
        "_", " ");
    out_.reason = "the token was not accepted: " + why;
    const auto* found = info_.metadata.if_contains(kJwt);
    if (found == nullptr) return;
    if (const auto provider = data::get_string(*found, {"provider"}); !provider.empty())
      out_.reason += "; provider " + cut(provider);
    if (const auto rule = data::get_string(*found, {"by"}); !rule.empty())
      out_.reason += "; demanded by " + cut(rule);
  }
  void timeout() {
    const auto* forward =
        info_.route == nullptr ? nullptr : std::get_if<Forward>(&info_.route->action);
    const auto waited = [&] {
      const auto end = info_.finished.value_or(info_.started);
      return std::chrono::duration_cast<milliseconds>(end - info_.started).count();
    };
    if (out_.details == "response_timeout" && forward != nullptr) {
      out_.reason =
          fmt::format("{} did not answer within the route's timeout of {} ms",
                      out_.host.empty() ? "the upstream" : out_.host, forward->timeout.count());
    } else if (out_.details == "upstream_per_try_timeout" && forward != nullptr && forward->retry) {
      out_.reason =
          fmt::format("{} did not answer within {} ms, the limit of each of {} tries", out_.host,
                      forward->retry->per_try_timeout.count(), info_.upstream.attempts);
    } else {
      out_.reason =
          fmt::format("given up after {} ms: {}", waited(), replace_all(out_.details, "_", " "));
    }
  }
  void overflow() {
    by_cluster();
    if (info_.upstream.cluster == nullptr) return by_filter();
    const CircuitBreaker& breaker = info_.upstream.cluster->breaker;
    out_.reason = fmt::format(
        "the circuit breaker is open: at most {} connections, {} waiting requests, {} requests",
        breaker.max_connections, breaker.max_pending, breaker.max_requests);
  }
  void upstream() {
    by_cluster();
    const std::string& transport = info_.upstream.transport_failure;
    const std::string to = out_.host.empty() ? "the upstream" : out_.host;
    const bool is_tls =
        info_.upstream.host != nullptr && info_.upstream.cluster != nullptr &&
        info_.upstream.cluster->transport_sockets[info_.upstream.host->transport_socket].tls !=
            nullptr;
    if (!transport.empty()) {
      out_.reason = fmt::format("no connection to {} ({}): {}", to, is_tls ? "TLS" : "plain text",
                                cut(transport));
      return;
    }
    out_.reason = fmt::format("{} ended the exchange before it answered ({}, {} tries)", to,
                              is_tls ? "TLS" : "plain text", info_.upstream.attempts);
    if (!is_tls)
      out_.reason += "; it may expect TLS (a PeerAuthentication that is STRICT), or restart";
  }
  // Whatever else: the filter or the listener decided; the details say which.
  void by_filter() {
    const auto* decider = info_.metadata.if_contains(kDecider);
    if (decider != nullptr) {
      out_.object = fmt::format("filter '{}' of listener {}",
                                cut(data::get_string(*decider, {"filter"})), out_.listener);
      out_.object_path.clear();
    }
    if (out_.object.empty()) out_.object = "listener " + out_.listener;
    out_.reason = replace_all(out_.details, "_", " ");
    if (out_.reason.empty()) out_.reason = info_.flags.to_long_string();
    if (decider != nullptr)
      out_.reason += fmt::format("; the service it asks is cluster '{}'",
                                 cut(data::get_string(*decider, {"cluster"})));
  }

  const StreamInfo& info_;
  Failure& out_;
};

bool has_failed(const StreamInfo& info) {
  if (info.is_http) return info.is_local_reply && info.local_status >= 400;
  // Of TCP what came to nothing; limits on time end what had worked.
  for (const Flag flag : {Flag::kNoHealthyUpstream, Flag::kUpstreamConnectFailure, Flag::kNoCluster,
                          Flag::kNoRoute, Flag::kUpstreamOverflow})
    if (info.flags.has(flag)) return true;
  return info.details.starts_with(kTlsError) ||
         info.connection.termination_details.starts_with("rbac_");
}

}  // namespace

std::string name_of_config(std::string_view path) {
  const auto parts = split(path, '/');
  if (parts.size() < 4) return std::string(path);
  const auto count = parts.size();
  if (parts[count - 4] != "namespaces")
    return camel(parts[count - 2]) + " " + std::string(parts[count - 1]);
  return camel(parts[count - 2]) + " " + std::string(parts[count - 3]) + "/" +
         std::string(parts[count - 1]);
}

std::unique_ptr<Failure> explain_failure(const StreamInfo& info) {
  if (!has_failed(info)) return nullptr;
  auto made = std::make_unique<Failure>();
  made->time = info.started_wall;
  made->status = info.is_http ? info.local_status : 0;
  made->flags = info.flags.to_string();
  made->details = cut(info.details.empty() ? info.connection.termination_details : info.details);
  if (info.request) {
    made->method = cut(info.request->method);
    made->authority = cut(info.request->authority);
    made->path = cut(info.request->path.substr(0, info.request->path.find('?')));
  }
  made->client = (info.remote ? *info.remote : info.connection.remote).to_string();
  made->listener = info.connection.listener;
  made->filter_chain = info.connection.filter_chain;
  if (info.route_table != nullptr) made->route_table = info.route_table->name;
  else if (info.http_config != nullptr) made->route_table = info.http_config->route_name;
  if (info.virtual_host != nullptr) made->virtual_host = info.virtual_host->name;
  if (info.route != nullptr) made->route = info.route->name;
  made->cluster = info.upstream.cluster_name;
  if (info.upstream.host != nullptr) made->host = info.upstream.address.to_string();
  made->request_id = cut(info.request_id);
  Explainer(info, *made).run();
  return made;
}

void name_decider(StreamInfo& info, std::string_view filter, std::string_view cluster) {
  info.metadata[kDecider] = data::JsonObject{{"filter", filter}, {"cluster", cluster}};
}

void note_failure(StreamInfo& info) {
  if (!has_failed(info)) return;
  FailureStore& store = info.worker.shared().failures;
  if (!store.admits(info.finished.value_or(info.started))) return;
  info.failure = explain_failure(info);
  if (info.failure == nullptr) return;
  info.metadata["lateen.failure"] = info.failure->to_json();
  store.add(*info.failure);
}

data::JsonObject Failure::to_json() const {
  data::JsonObject out;
  out["time"] = format_rfc3339(time, 3);
  if (status != 0) out["status"] = status;
  const std::pair<const char*, const std::string*> texts[] = {{"object", &object},
                                                              {"reason", &reason},
                                                              {"config", &object_path},
                                                              {"response_flags", &flags},
                                                              {"response_code_details", &details},
                                                              {"method", &method},
                                                              {"authority", &authority},
                                                              {"path", &path},
                                                              {"client", &client},
                                                              {"listener", &listener},
                                                              {"filter_chain", &filter_chain},
                                                              {"route_table", &route_table},
                                                              {"virtual_host", &virtual_host},
                                                              {"route", &route},
                                                              {"cluster", &cluster},
                                                              {"upstream_host", &host},
                                                              {"request_id", &request_id}};
  for (const auto& [name, value] : texts)
    if (!value->empty() && *value != "-") out[name] = *value;
  return out;
}

bool FailureStore::admits(SteadyTime now) {
  const std::lock_guard lock(mutex_);
  ++total_;
  if (now - second_ >= seconds(1)) {
    second_ = now;
    in_second_ = 0;
  }
  if (++in_second_ <= kMostPerSecond) return true;
  ++skipped_;
  return false;
}

void FailureStore::add(const Failure& failure) {
  const std::lock_guard lock(mutex_);
  if (held_.size() >= kMost) held_.pop_front();
  held_.push_back(failure);
}

std::vector<Failure> FailureStore::last(std::size_t most) const {
  const std::lock_guard lock(mutex_);
  const std::size_t count = std::min(most, held_.size());
  return {held_.rbegin(), held_.rbegin() + static_cast<std::ptrdiff_t>(count)};
}

std::uint64_t FailureStore::skipped() const {
  const std::lock_guard lock(mutex_);
  return skipped_;
}

std::uint64_t FailureStore::total() const {
  const std::lock_guard lock(mutex_);
  return total_;
}

}  // namespace lateen::proxy
