// Routes, clusters and endpoints.
#include <algorithm>
#include <set>

#include "base/strings.h"
#include "cli/explain/walk.h"
#include "cli/proxy_tables_text.h"

namespace lateen::cli::explain {
namespace {

std::string name_or(const Json& resource, std::string fallback) {
  const auto name = text_at(resource, {"name"});
  return name.empty() ? std::move(fallback) : std::string(name);
}

// What a route does besides choosing a cluster.
std::vector<std::string> extras_of(const Json& route) {
  std::vector<std::string> out;
  const Json* action = member(route, "route");
  if (action == nullptr) return out;
  if (const auto timeout = text_at(*action, {"timeout"}); !timeout.empty() && timeout != "0s")
    out.push_back("timeout " + std::string(timeout));
  if (const Json* retries = member(*action, "retry_policy"))
    out.push_back("retries " + std::to_string(number_at(*retries, {"num_retries"}, 1)) + " on " +
                  std::string(text_at(*retries, {"retry_on"})));
  if (const auto prefix = text_at(*action, {"prefix_rewrite"}); !prefix.empty())
    out.push_back("the path's prefix becomes \"" + std::string(prefix) + "\"");
  if (const auto host = text_at(*action, {"host_rewrite_literal"}); !host.empty())
    out.push_back("the host becomes \"" + std::string(host) + "\"");
  for (const Json& mirror : list_at(*action, {"request_mirror_policies"}))
    out.push_back("a copy goes to " + std::string(text_at(mirror, {"cluster"})));
  if (const Json* filters = member(route, "typed_per_filter_config")) {
    if (const Json* fault = data::find(*filters, {"envoy.filters.http.fault"})) {
      if (member(*fault, "abort") != nullptr)
        out.push_back("a fault is injected: abort with " +
                      std::to_string(number_at(*fault, {"abort", "http_status"})));
      if (member(*fault, "delay") != nullptr)
        out.push_back("a fault is injected: delay of " +
                      std::string(text_at(*fault, {"delay", "fixed_delay"})));
    }
  }
  return out;
}

void rewrite(const Json& route, Request& request) {
  const Json* action = member(route, "route");
  if (action == nullptr) return;
  if (const auto host = text_at(*action, {"host_rewrite_literal"}); !host.empty())
    request.authority = host;
  const auto to = text_at(*action, {"prefix_rewrite"});
  std::string from(text_at(route, {"match", "prefix"}));
  if (from.empty()) from = text_at(route, {"match", "path_separated_prefix"});
  if (from.empty()) from = text_at(route, {"match", "path"});
  if (!to.empty() && request.path.starts_with(from))
    request.path = std::string(to) + request.path.substr(from.size());
  for (const Json& name : list_at(route, {"request_headers_to_remove"}))
    request.headers.erase(to_lower(data::as_string(name)));
  for (const Json& header : list_at(route, {"request_headers_to_add"}))
    request.headers[to_lower(text_at(header, {"header", "key"}))] =
        text_at(header, {"header", "value"});
}

bool is_healthy(const Json& host) {
  const Json* health = member(host, "health_status");
  if (health == nullptr) return true;
  const auto eds = text_at(*health, {"eds_health_status"}, "HEALTHY");
  if (eds != "HEALTHY" && eds != "UNKNOWN" && eds != "DEGRADED") return false;
  for (const auto name : {"failed_active_health_check", "failed_outlier_check"}) {
    const Json* failed = member(*health, name);
    if (failed != nullptr && failed->is_bool() && *failed->if_bool()) return false;
  }
  return true;
}

std::string why_unhealthy(const Json& host) {
  const Json* health = member(host, "health_status");
  if (health == nullptr) return "unhealthy";
  const Json* ejected = member(*health, "failed_outlier_check");
  if (ejected != nullptr && ejected->is_bool() && *ejected->if_bool())
    return "ejected by outlier detection";
  const Json* failed = member(*health, "failed_active_health_check");
  if (failed != nullptr && failed->is_bool() && *failed->if_bool()) return "its health check fails";
  return to_lower(text_at(*health, {"eds_health_status"}, "unhealthy"));
}

// tlsMode of an endpoint, from EDS as it was loaded, or from the cluster itself.
bool speaks_mtls(const Loaded& loaded, const Json& cluster, std::string_view ip,
                 std::int64_t port) {
  const auto says = [&](const Json& assignment) -> std::optional<bool> {
    for (const Json& locality : list_at(assignment, {"endpoints"})) {
      for (const Json& each : list_at(locality, {"lb_endpoints"})) {
        if (text_at(each, {"endpoint", "address", "socket_address", "address"}) != ip ||
            number_at(each, {"endpoint", "address", "socket_address", "port_value"}) != port)
          continue;
        const Json* metadata = walk(each, {"metadata", "filter_metadata"});
        return metadata != nullptr &&
               data::get_string(*metadata, {"envoy.transport_socket_match", "tlsMode"}) == "istio";
      }
    }
    return std::nullopt;
  };
  std::string name(text_at(cluster, {"eds_cluster_config", "service_name"}));
  if (name.empty()) name = text_at(cluster, {"name"});
  for (const std::string_view list : {"dynamic_endpoint_configs", "static_endpoint_configs"}) {
    for (const Json& each : list_at(loaded.endpoints, {list})) {
      if (text_at(each, {"endpoint_config", "cluster_name"}) != name) continue;
      if (const auto found = says(*member(each, "endpoint_config"))) return *found;
    }
  }
  if (const Json* assignment = member(cluster, "load_assignment"))
    return says(*assignment).value_or(false);
  return false;
}

Wire wire_of_socket(const Json* socket) {
  Wire out;
  const Json* config = socket == nullptr ? nullptr : member(*socket, "typed_config");
  if (config == nullptr || !text_at(*config, {"@type"}).ends_with("UpstreamTlsContext")) return out;
  out.mode = Wire::Mode::kOther;
  out.sni = text_at(*config, {"sni"});
  const Json* context = member(*config, "common_tls_context");
  if (context == nullptr) return out;
  for (const Json& each : list_at(*context, {"tls_certificate_sds_secret_configs"})) {
    if (text_at(each, {"name"}) == "default") out.mode = Wire::Mode::kMutual;
  }
  for (const Json& san :
       list_at(*context, {"combined_validation_context", "default_validation_context",
                          "match_subject_alt_names"}))
    out.server_names.emplace_back(text_at(san, {"exact"}));
  return out;
}

Wire wire_of(const Json& cluster, bool has_mtls) {
  for (const Json& each : list_at(cluster, {"transport_socket_matches"})) {
    const auto wanted = text_at(each, {"match", "tlsMode"});
    const Json* by_field = walk(each, {"match", "tls_mode"});
    const bool is_istio =
        wanted == "istio" || by_field != nullptr || text_at(each, {"name"}) == "tlsMode-istio";
    if (is_istio == has_mtls) return wire_of_socket(member(each, "transport_socket"));
  }
  return wire_of_socket(member(cluster, "transport_socket"));
}

std::string described(const Wire& wire) {
  switch (wire.mode) {
    case Wire::Mode::kPlain: return "plain text";
    case Wire::Mode::kMutual: return "mutual TLS of the mesh (ISTIO_MUTUAL)";
    case Wire::Mode::kOther: return "TLS to " + (wire.sni.empty() ? "the server" : wire.sni);
  }
  return {};
}

}  // namespace

const Json* find_filter(const Json& chain, std::string_view type) {
  for (const Json& filter : list_at(chain, {"filters"})) {
    const Json* config = member(filter, "typed_config");
    if (config != nullptr && text_at(*config, {"@type"}).ends_with(type)) return config;
  }
  return nullptr;
}

std::vector<ObjectRef> objects_of(const Json& resource) {
  std::vector<ObjectRef> out;
  const Json* metadata = walk(resource, {"metadata", "filter_metadata", "istio"});
  if (metadata == nullptr) return out;
  ObjectRef config;
  if (parse_config_path(data::get_string(*metadata, {"config"}), config)) out.push_back(config);
  for (const Json& service : data::get_array(*metadata, {"services"})) {
    const std::string host(data::get_string(service, {"host"}));
    const bool is_kubernetes = host.find(".svc.") != std::string::npos;
    out.push_back({is_kubernetes ? "Service" : "ServiceEntry",
                   std::string(data::get_string(service, {"namespace"})),
                   is_kubernetes ? std::string(data::get_string(service, {"name"})) : host});
  }
  return out;
}

void Walk::follow_chain(const Hop& hop, const Json& chain, Request request) {
  Hop here = hop;
  if (const Json* http = find_filter(chain, ".HttpConnectionManager")) {
    Step& taken =
        step(*hop.pod, "filter chain", name_or(chain, describe_chain_match(chain)) + ", HTTP");
    taken.objects = objects_of(chain);
    request.is_http = true;
    return follow_http(here, *http, std::move(request));
  }
  const Json* tcp = find_filter(chain, ".TcpProxy");
  Step& taken =
      step(*hop.pod, "filter chain", name_or(chain, describe_chain_match(chain)) + ", TCP");
  taken.objects = objects_of(chain);
  if (tcp == nullptr) {
    taken.outcome = Outcome::kStop;
    return end(hop, pod_name(*hop.pod), Outcome::kStop, "the filter chain leads nowhere");
  }
  if (request.is_http)
    taken.why.push_back("the proxy does not look at the bytes here: no HTTP routes apply");
  request.is_http = false;
  if (!pass_filters(here, list_at(chain, {"filters"}), request)) return;
  for (const Destination& to : destinations_of(*tcp)) {
    Hop next = here;
    next.percent = here.percent * to.percent / 100;
    to_cluster(next, to.cluster, request);
  }
}

void Walk::follow_http(const Hop& hop, const Json& config, Request request) {
  Hop here = hop;
  if (!pass_filters(here, list_at(config, {"http_filters"}), request)) return;
  const std::string name(text_at(config, {"rds", "route_config_name"}));
  const Json* routes = name.empty() ? member(config, "route_config") : hop.loaded->route(name);
  if (routes == nullptr) {
    step(*hop.pod, "routes", name, Outcome::kStop).why = {"the proxy has not got them yet"};
    return end(hop, pod_name(*hop.pod), Outcome::kStop,
               "route configuration " + name + " is missing");
  }
  const RouteChoice choice = choose_route(*routes, request);
  if (choice.host == nullptr) {
    step(*hop.pod, "virtual host", "none has \"" + request.authority + "\"", Outcome::kStop).why = {
        "of route configuration " + name_or(*routes, name)};
    return end(hop, pod_name(*hop.pod), Outcome::kStop,
               "404: no virtual host for \"" + request.authority + "\"");
  }
  Step& host = step(*hop.pod, "virtual host", name_or(*choice.host, "unnamed"));
  host.why = {"domain \"" + choice.domain + "\" of route configuration " + name_or(*routes, name)};
  host.objects = objects_of(*choice.host);
  if (choice.route == nullptr) {
    Step& none = step(*hop.pod, "route", "none matches", Outcome::kStop);
    none.why = choice.passed_over;
    return end(hop, pod_name(*hop.pod), Outcome::kStop, "404: no route matches the request");
  }
  Step& taken = step(*hop.pod, "route",
                     name_or(*choice.route, "route") + " (" + std::to_string(choice.index) +
                         "): " + describe_match(*member(*choice.route, "match")),
                     choice.is_certain ? Outcome::kPass : Outcome::kMaybe);
  for (const std::string& line : choice.passed_over) taken.why.push_back("not " + line);
  for (std::string& line : extras_of(*choice.route)) taken.why.push_back(std::move(line));
  taken.objects = objects_of(*choice.route);
  rewrite(*choice.route, request);
  follow_route(here, *choice.route, std::move(request));
}

void Walk::follow_route(const Hop& hop, const Json& route, Request request) {
  const std::string who = pod_name(*hop.pod);
  if (const Json* redirect = member(route, "redirect")) {
    step(*hop.pod, "redirect", data::dump_json(*redirect));
    return end(hop, who, Outcome::kPass, "the client is redirected");
  }
  if (const Json* direct = member(route, "direct_response")) {
    const auto status = number_at(*direct, {"status"});
    const bool is_blocked = text_at(route, {"name"}) == "block_all";
    Step& answered = step(*hop.pod, "answer", std::to_string(status) + " from the proxy itself",
                          status < 400 ? Outcome::kPass : Outcome::kStop);
    if (is_blocked)
      answered.why = {
          "outboundTrafficPolicy is REGISTRY_ONLY and nobody exports this host to the "
          "workload: see ServiceEntries, Sidecars and exportTo"};
    return end(hop, who, answered.outcome,
               is_blocked ? answered.why.front() : "the proxy answers " + std::to_string(status));
  }
  const Json* action = member(route, "route");
  const auto destinations =
      action == nullptr ? std::vector<Destination>() : destinations_of(*action);
  if (destinations.empty()) {
    step(*hop.pod, "cluster", "chosen by a header or a plugin", Outcome::kMaybe);
    return end(hop, who, Outcome::kMaybe, "the route's cluster is not named");
  }
  for (const Destination& to : destinations) {
    Hop next = hop;
    next.percent = hop.percent * to.percent / 100;
    const bool was_certain = is_certain_;
    to_cluster(next, to.cluster, request);
    is_certain_ = was_certain;
  }
}

void Walk::to_cluster(const Hop& hop, const std::string& name, const Request& request) {
  const Json* cluster = hop.loaded->cluster(name);
  if (cluster == nullptr) return explain_missing_cluster(hop, name);
  std::string subject = name;
  if (hop.percent != 100) subject += " (" + std::to_string(hop.percent) + " %)";
  Step& taken = step(*hop.pod, "cluster", subject);
  taken.objects = objects_of(*cluster);
  if (name == "BlackHoleCluster") {
    taken.outcome = Outcome::kStop;
    taken.why = {
        "outboundTrafficPolicy is REGISTRY_ONLY: what no Service and no ServiceEntry "
        "describes is refused"};
    return end(hop, pod_name(*hop.pod), Outcome::kStop, taken.why.front());
  }
  const bool is_original = text_at(*cluster, {"type"}) == "ORIGINAL_DST";
  if (!is_original) return to_endpoints(hop, *cluster, request);
  taken.why = {"it dials the address that the client dialled, as it is"};
  const Wire wire = wire_of(*cluster, false);
  const Json* pod = world_.pod_at(request.destination_ip);
  if (pod != nullptr) return arrive(hop, *pod, request.destination_port, wire, request);
  step(*hop.pod, "TLS", described(wire));
  end(hop, "the address that was dialled", Outcome::kPass);
}

void Walk::to_endpoints(const Hop& hop, const Json& cluster, const Request& request) {
  const std::string name(text_at(cluster, {"name"}));
  struct Host {
    std::string ip;
    int port;
  };
  std::vector<Host> healthy;
  std::vector<std::string> sick;
  for (const Json& each : list_at(hop.loaded->statuses, {"cluster_statuses"})) {
    if (text_at(each, {"name"}) != name) continue;
    for (const Json& host : list_at(each, {"host_statuses"})) {
      const std::string ip(text_at(host, {"address", "socket_address", "address"}));
      const auto port =
          static_cast<int>(number_at(host, {"address", "socket_address", "port_value"}));
      if (is_healthy(host)) healthy.push_back({ip, port});
      else sick.push_back(ip + ":" + std::to_string(port) + " is " + why_unhealthy(host));
    }
  }
  Step& found = step(*hop.pod, "endpoints",
                     std::to_string(healthy.size()) + " healthy of " +
                         std::to_string(healthy.size() + sick.size()));
  found.why = sick;
  if (healthy.empty()) {
    found.outcome = Outcome::kStop;
    if (sick.empty()) explain_no_endpoints(name, found);
    const std::string reason = found.why.empty() ? "" : " (" + found.why.front() + ")";
    return end(hop, pod_name(*hop.pod), Outcome::kStop, "503 UH: no healthy endpoint" + reason);
  }
  for (const Host& host : healthy) {
    const Json* pod = world_.pod_at(host.ip);
    found.why.push_back(host.ip + ":" + std::to_string(host.port) +
                        (pod != nullptr ? " (" + pod_name(*pod) + ")" : ""));
  }
  const std::size_t walked = std::min(healthy.size(), kMostPods);
  Hop next = hop;
  next.percent = hop.percent / static_cast<std::int64_t>(walked);
  for (std::size_t i = 0; i < walked; ++i) {
    const Host& host = healthy[i];
    const bool was_certain = is_certain_;
    const Wire wire = wire_of(cluster, speaks_mtls(*hop.loaded, cluster, host.ip, host.port));
    Step& tls =
        step(*hop.pod, "TLS", described(wire) + " to " + host.ip + ":" + std::to_string(host.port));
    if (wire.mode == Wire::Mode::kPlain && member(cluster, "transport_socket_matches") != nullptr)
      tls.why = {"the endpoint is not known to accept mutual TLS"};
    const Json* pod = world_.pod_at(host.ip);
    if (pod == nullptr) {
      end(next, host.ip + ":" + std::to_string(host.port), Outcome::kPass);
    } else {
      arrive(next, *pod, host.port, wire, request);
    }
    is_certain_ = was_certain;
  }
}

void Walk::explain_missing_cluster(const Hop& hop, const std::string& name) {
  Step& missing = step(*hop.pod, "cluster", name + " is not there", Outcome::kStop);
  SubsetKey key;
  if (parse_subset_key(name, key)) {
    if (!key.subset.empty())
      missing.why.push_back("no DestinationRule that the workload sees defines the subset \"" +
                            key.subset + "\" of " + key.fqdn);
    missing.why.push_back("does the host exist, with port " + key.port +
                          ", and is it exported to this namespace?");
  }
  end(hop, pod_name(*hop.pod), Outcome::kStop,
      "503 NC: " + (missing.why.empty() ? "no such cluster" : missing.why.front()));
}

void Walk::explain_no_endpoints(const std::string& cluster, Step& step) {
  SubsetKey key;
  if (!parse_subset_key(cluster, key)) return;
  const auto parts = split(key.fqdn, '.');
  if (parts.size() < 3 || parts[2] != "svc") return;
  const Json* service = world_.find(kube::resources::services(), parts[1], parts[0]);
  if (service == nullptr) {
    step.why.push_back("there is no Service " + std::string(parts[1]) + "/" +
                       std::string(parts[0]));
    return;
  }
  const auto& selector = data::get_object(*service, {"spec", "selector"});
  int selected = 0;
  for (const Json& pod : world_.pods()) {
    if (selector.empty() || kube::namespace_of(pod) != parts[1] || !selects(selector, pod))
      continue;
    ++selected;
    const Json* ready = kube::condition(pod, "Ready");
    if (ready == nullptr || data::get_string(*ready, {"status"}) != "True")
      step.why.push_back("pod " + pod_name(pod) + " is not ready");
  }
  if (selected == 0)
    step.why.insert(step.why.begin(), "no pod has the labels that Service " +
                                          std::string(parts[1]) + "/" + std::string(parts[0]) +
                                          " selects: " + data::dump_json(Json(selector)));
  else if (!key.subset.empty())
    step.why.push_back("the service has " + std::to_string(selected) +
                       " pods: do any have the labels of the subset \"" + key.subset + "\"?");
}

}  // namespace lateen::cli::explain
