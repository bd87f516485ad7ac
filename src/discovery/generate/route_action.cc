#include "discovery/generate/route_action.h"

#include <fmt/core.h>

#include "discovery/generate/durations.h"
#include "discovery/generate/metadata.h"
#include "discovery/generate/names.h"
#include "discovery/generate/route_match.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/filters/http/cors/v3/cors.pb.h"
#include "envoy/extensions/filters/http/fault/v3/fault.pb.h"
#include "envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.pb.h"
#include "envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config.pb.h"
#include "xds/any.h"

// max_grpc_timeout: deprecated, and what Istio sends, since its replacement behaves otherwise.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace lateen::discovery {
namespace {

namespace route_v3 = envoy::config::route::v3;
namespace http = envoy::extensions::filters::http;

constexpr const char* kDefaultRetryOn =
    "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";

void set_percent(double percent, envoy::type::v3::FractionalPercent& out) {
  out.set_numerator(static_cast<std::uint32_t>(percent * 10000));
  out.set_denominator(envoy::type::v3::FractionalPercent::MILLION);
}

std::string destination_cluster(const RouteSubject& subject, const mesh::Destination& to) {
  int port = to.port;
  if (port == 0) {
    const mesh::Service* service =
        subject.view.scope.find(to.host) != nullptr
            ? subject.view.scope.find(to.host)
            : subject.view.mesh.find_service(to.host, subject.view.proxy.ns);
    const bool has_one_port = service != nullptr && service->ports.size() == 1;
    port = has_one_port ? service->ports.front().number : subject.port;
  }
  return outbound_name(port, to.subset, to.host);
}

// Headers of one direction. "host" is not a header one adds: returns its new value.
template <typename Target>
std::string fill_request_headers(const mesh::HeaderOperations& from, Target& out) {
  std::string host;
  const auto add = [&](const std::string& name, const std::string& value,
                       envoy::config::core::v3::HeaderValueOption::HeaderAppendAction action) {
    auto& header = *out.add_request_headers_to_add();
    header.mutable_header()->set_key(name);
    header.mutable_header()->set_value(value);
    header.set_append_action(action);
  };
  for (const auto& [name, value] : from.add) {
    add(name, value, envoy::config::core::v3::HeaderValueOption::APPEND_IF_EXISTS_OR_ADD);
  }
  for (const auto& [name, value] : from.set) {
    if (iequals(name, "host") || name == ":authority") {
      host = value;
      continue;
    }
    add(name, value, envoy::config::core::v3::HeaderValueOption::OVERWRITE_IF_EXISTS_OR_ADD);
  }
  for (const std::string& name : from.remove) out.add_request_headers_to_remove(name);
  return host;
}

template <typename Target>
void fill_response_headers(const mesh::HeaderOperations& from, Target& out) {
  const auto add = [&](const std::string& name, const std::string& value,
                       envoy::config::core::v3::HeaderValueOption::HeaderAppendAction action) {
    auto& header = *out.add_response_headers_to_add();
    header.mutable_header()->set_key(name);
    header.mutable_header()->set_value(value);
    header.set_append_action(action);
  };
  for (const auto& [name, value] : from.add) {
    add(name, value, envoy::config::core::v3::HeaderValueOption::APPEND_IF_EXISTS_OR_ADD);
  }
  for (const auto& [name, value] : from.set) {
    add(name, value, envoy::config::core::v3::HeaderValueOption::OVERWRITE_IF_EXISTS_OR_ADD);
  }
  for (const std::string& name : from.remove) out.add_response_headers_to_remove(name);
}

void fill_retries(const RouteSubject& subject, const std::optional<mesh::HttpRetry>& from,
                  route_v3::RouteAction& out) {
  const std::optional<mesh::HttpRetry>& wanted =
      from ? from : subject.view.mesh.mesh().default_retry;
  if (wanted && wanted->attempts == 0) return;  // switched off
  route_v3::RetryPolicy& retry = *out.mutable_retry_policy();
  retry.mutable_num_retries()->set_value(wanted ? static_cast<std::uint32_t>(wanted->attempts) : 2);
  std::string conditions;
  bool has_codes = false;
  if (wanted && !wanted->retry_on.empty()) {
    for (const std::string_view item : split(wanted->retry_on, ',')) {
      const std::string_view condition = trim(item);
      if (const auto code = parse_uint(condition)) {
        retry.add_retriable_status_codes(static_cast<std::uint32_t>(*code));
        has_codes = true;
      } else if (!condition.empty()) {
        conditions.append(conditions.empty() ? "" : ",").append(condition);
      }
    }
    if (has_codes && conditions.find("retriable-status-codes") == std::string::npos) {
      conditions.append(conditions.empty() ? "" : ",").append("retriable-status-codes");
    }
  } else {
    conditions = kDefaultRetryOn;
    // What a sidecar answers while its application starts or ends: without it a rollout loses
    // requests.
    retry.add_retriable_status_codes(503);
  }
  retry.set_retry_on(conditions);
  const bool avoids_previous = !wanted || wanted->retry_ignore_previous_hosts.value_or(true);
  if (avoids_previous) {
    auto& predicate = *retry.add_retry_host_predicate();
    predicate.set_name("envoy.retry_host_predicates.previous_hosts");
    *predicate.mutable_typed_config() =
        xds::pack(envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate());
    retry.set_host_selection_retry_max_attempts(5);
  }
  if (!wanted) return;
  if (wanted->per_try_timeout) {
    set_duration(*wanted->per_try_timeout, *retry.mutable_per_try_timeout());
  }
  if (wanted->backoff) {
    set_duration(*wanted->backoff, *retry.mutable_retry_back_off()->mutable_base_interval());
  }
  if (wanted->retry_remote_localities.value_or(false)) {
    envoy::extensions::retry::priority::previous_priorities::v3::PreviousPrioritiesConfig config;
    config.set_update_frequency(2);
    retry.mutable_retry_priority()->set_name("envoy.retry_priorities.previous_priorities");
    *retry.mutable_retry_priority()->mutable_typed_config() = xds::pack(config);
  }
}

void fill_rewrite(const mesh::HttpRoute& route, const route_v3::RouteMatch& match,
                  route_v3::RouteAction& out) {
  if (!route.rewrite) return;
  const mesh::HttpRewrite& rewrite = *route.rewrite;
  if (rewrite.uri_regex) {
    out.mutable_regex_rewrite()->mutable_pattern()->set_regex(rewrite.uri_regex->match);
    out.mutable_regex_rewrite()->set_substitution(rewrite.uri_regex->rewrite);
  } else if (!rewrite.uri.empty()) {
    if (match.has_safe_regex()) {
      // Replaces the path and keeps the query.
      out.mutable_regex_rewrite()->mutable_pattern()->set_regex("^" + match.safe_regex().regex());
      out.mutable_regex_rewrite()->set_substitution(rewrite.uri);
    } else {
      out.set_prefix_rewrite(rewrite.uri);
    }
  }
  if (!rewrite.authority.empty()) out.set_host_rewrite_literal(rewrite.authority);
}

void fill_redirect(const RouteSubject& subject, const mesh::HttpRedirect& from,
                   route_v3::RedirectAction& out) {
  out.set_host_redirect(from.authority);
  if (!from.prefix_rewrite.empty()) {
    out.set_prefix_rewrite(from.prefix_rewrite);
  } else if (from.uri.starts_with("%PREFIX()%")) {
    out.set_prefix_rewrite(from.uri.substr(10));
  } else if (!from.uri.empty()) {
    out.set_path_redirect(from.uri);
  }
  if (!from.scheme.empty()) out.set_scheme_redirect(from.scheme);
  if (from.port) {
    out.set_port_redirect(static_cast<std::uint32_t>(*from.port));
  } else if (from.derive_port == mesh::HttpRedirect::DerivePort::kFromProtocolDefault) {
    out.set_port_redirect(from.scheme == "https" ? 443 : 80);
  } else if (from.derive_port == mesh::HttpRedirect::DerivePort::kFromRequestPort) {
    out.set_port_redirect(static_cast<std::uint32_t>(subject.port));
  }
  switch (from.code) {
    case 302: out.set_response_code(route_v3::RedirectAction::FOUND); break;
    case 303: out.set_response_code(route_v3::RedirectAction::SEE_OTHER); break;
    case 307: out.set_response_code(route_v3::RedirectAction::TEMPORARY_REDIRECT); break;
    case 308: out.set_response_code(route_v3::RedirectAction::PERMANENT_REDIRECT); break;
    default: out.set_response_code(route_v3::RedirectAction::MOVED_PERMANENTLY);
  }
}

void add_fault(const mesh::HttpFault& from, Route& out) {
  http::fault::v3::HTTPFault fault;
  if (from.delay) {
    set_duration(from.delay->fixed, *fault.mutable_delay()->mutable_fixed_delay());
    set_percent(from.delay->percent, *fault.mutable_delay()->mutable_percentage());
  }
  if (from.abort) {
    set_percent(from.abort->percent, *fault.mutable_abort()->mutable_percentage());
    if (from.abort->http_status) {
      fault.mutable_abort()->set_http_status(static_cast<std::uint32_t>(*from.abort->http_status));
    } else {
      constexpr std::string_view kCodes[] = {"OK",
                                             "CANCELLED",
                                             "UNKNOWN",
                                             "INVALID_ARGUMENT",
                                             "DEADLINE_EXCEEDED",
                                             "NOT_FOUND",
                                             "ALREADY_EXISTS",
                                             "PERMISSION_DENIED",
                                             "RESOURCE_EXHAUSTED",
                                             "FAILED_PRECONDITION",
                                             "ABORTED",
                                             "OUT_OF_RANGE",
                                             "UNIMPLEMENTED",
                                             "INTERNAL",
                                             "UNAVAILABLE",
                                             "DATA_LOSS",
                                             "UNAUTHENTICATED"};
      std::uint32_t code = 2;
      for (std::uint32_t i = 0; i < std::size(kCodes); ++i) {
        if (kCodes[i] == from.abort->grpc_status) code = i;
      }
      fault.mutable_abort()->set_grpc_status(code);
    }
  }
  (*out.mutable_typed_per_filter_config())["envoy.filters.http.fault"] = xds::pack(fault);
}

void add_cors(const mesh::CorsPolicy& from, Route& out) {
  http::cors::v3::CorsPolicy cors;
  for (const mesh::StringMatch& origin : from.allow_origins) {
    mesh::StringMatch match = origin;
    if (match.kind == mesh::StringMatch::Kind::kExact && match.value == "*") {
      match = {mesh::StringMatch::Kind::kRegex, ".*"};
    }
    fill_string(match, *cors.add_allow_origin_string_match());
  }
  cors.set_allow_methods(join(from.allow_methods, ","));
  cors.set_allow_headers(join(from.allow_headers, ","));
  cors.set_expose_headers(join(from.expose_headers, ","));
  if (from.max_age) {
    cors.set_max_age(std::to_string(std::chrono::duration_cast<seconds>(*from.max_age).count()));
  }
  if (from.allow_credentials) cors.mutable_allow_credentials()->set_value(*from.allow_credentials);
  cors.mutable_filter_enabled()->mutable_default_value()->set_numerator(100);
  if (from.unmatched_preflights == "IGNORE") {
    cors.mutable_forward_not_matching_preflights()->set_value(false);
  }
  (*out.mutable_typed_per_filter_config())["envoy.filters.http.cors"] = xds::pack(cors);
}

void add_mirrors(const RouteSubject& subject, const mesh::HttpRoute& route,
                 route_v3::RouteAction& out) {
  for (const mesh::HttpMirror& mirror : route.mirrors) {
    if (mirror.percent && *mirror.percent <= 0) continue;
    auto& policy = *out.add_request_mirror_policies();
    policy.set_cluster(destination_cluster(subject, mirror.destination));
    set_percent(mirror.percent.value_or(100),
                *policy.mutable_runtime_fraction()->mutable_default_value());
  }
}

void add_hash(const mesh::ConsistentHash& hash, route_v3::RouteAction& out) {
  route_v3::RouteAction::HashPolicy& policy = *out.add_hash_policy();
  if (!hash.http_header.empty()) {
    policy.mutable_header()->set_header_name(hash.http_header);
  } else if (hash.cookie) {
    policy.mutable_cookie()->set_name(hash.cookie->name);
    policy.mutable_cookie()->set_path(hash.cookie->path);
    if (hash.cookie->ttl) set_duration(*hash.cookie->ttl, *policy.mutable_cookie()->mutable_ttl());
    for (const auto& [name, value] : hash.cookie->attributes) {
      auto& attribute = *policy.mutable_cookie()->add_attributes();
      attribute.set_name(name);
      attribute.set_value(value);
    }
  } else if (hash.is_source_ip) {
    policy.mutable_connection_properties()->set_source_ip(true);
  } else {
    policy.mutable_query_parameter()->set_name(hash.query_parameter);
  }
}

void add_hashes(const RouteSubject& subject, const std::vector<mesh::RouteDestination>& routes,
                route_v3::RouteAction& out) {
  const View& view = subject.view;
  for (const mesh::RouteDestination& to : routes) {
    const mesh::Service* service = view.scope.find(to.destination.host);
    const auto rule = view.mesh.find_rule(to.destination.host, view.proxy.ns,
                                          service == nullptr ? "" : service->ns, view.proxy.labels);
    if (rule == nullptr) continue;
    const mesh::Subset* subset = rule->spec.find_subset(to.destination.subset);
    const mesh::TrafficPolicy policy =
        merge_policies(rule->spec.policy ? &*rule->spec.policy : nullptr,
                       subset != nullptr && subset->policy ? &*subset->policy : nullptr);
    const int port = to.destination.port != 0 ? to.destination.port : subject.port;
    const auto balancer = policy.for_port(port).load_balancer;
    if (balancer && balancer->consistent_hash) add_hash(*balancer->consistent_hash, out);
  }
}

void fill_forward(const RouteSubject& subject, const mesh::HttpRoute& route, Route& out) {
  route_v3::RouteAction& action = *out.mutable_route();
  const nanoseconds timeout = route.timeout.value_or(nanoseconds(0));
  set_duration(timeout, *action.mutable_timeout());
  set_duration(timeout, *action.mutable_max_grpc_timeout());
  fill_rewrite(route, out.match(), action);
  fill_retries(subject, route.retries, action);
  add_mirrors(subject, route, action);
  add_hashes(subject, route.route, action);
  std::string host = fill_request_headers(route.headers.request, out);
  fill_response_headers(route.headers.response, out);
  if (!host.empty()) action.set_host_rewrite_literal(host);
  std::vector<const mesh::RouteDestination*> used;
  for (const mesh::RouteDestination& to : route.route) {
    if (route.route.size() == 1 || to.weight > 0) used.push_back(&to);
  }
  if (used.size() == 1) {
    action.set_cluster(destination_cluster(subject, used.front()->destination));
    host = fill_request_headers(used.front()->headers.request, out);
    fill_response_headers(used.front()->headers.response, out);
    if (!host.empty()) action.set_host_rewrite_literal(host);
    return;
  }
  for (const mesh::RouteDestination* to : used) {
    auto& cluster = *action.mutable_weighted_clusters()->add_clusters();
    cluster.set_name(destination_cluster(subject, to->destination));
    cluster.mutable_weight()->set_value(static_cast<std::uint32_t>(to->weight));
    host = fill_request_headers(to->headers.request, cluster);
    fill_response_headers(to->headers.response, cluster);
    if (!host.empty()) cluster.set_host_rewrite_literal(host);
  }
}

}  // namespace

void set_decorator(std::string_view config_name, int port, Route& out) {
  std::string path = "/*";
  const route_v3::RouteMatch& match = out.match();
  if (match.has_path()) path = match.path();
  if (match.has_prefix()) path = match.prefix() + "*";
  if (match.has_safe_regex()) path = match.safe_regex().regex();
  std::string operation = fmt::format("{}:{}{}", config_name, port, path);
  if (const auto name = parse_outbound_name(out.route().cluster())) {
    operation = fmt::format("{}:{}{}", name->host, name->port, path);
  }
  out.mutable_decorator()->set_operation(operation);
}

void fill_forward_to(const RouteSubject& subject, const std::string& cluster, Route& out) {
  route_v3::RouteAction& action = *out.mutable_route();
  action.set_cluster(cluster);
  set_duration(nanoseconds(0), *action.mutable_timeout());
  set_duration(nanoseconds(0), *action.mutable_max_grpc_timeout());
  fill_retries(subject, std::nullopt, action);
  if (subject.service != nullptr) {
    mesh::RouteDestination to;
    to.destination = {subject.service->host, "", subject.port};
    add_hashes(subject, {to}, action);
  }
}

void fill_route_action(const RouteSubject& subject, const mesh::HttpRoute& route, Route& out) {
  if (route.redirect) {
    fill_redirect(subject, *route.redirect, *out.mutable_redirect());
    fill_response_headers(route.headers.response, out);
  } else if (route.direct_response) {
    out.mutable_direct_response()->set_status(
        static_cast<std::uint32_t>(route.direct_response->status));
    if (route.direct_response->body) {
      out.mutable_direct_response()->mutable_body()->set_inline_string(
          *route.direct_response->body);
    }
    fill_response_headers(route.headers.response, out);
  } else {
    fill_forward(subject, route, out);
  }
  if (route.fault) add_fault(*route.fault, out);
  if (route.cors) add_cors(*route.cors, out);
  const mesh::Meta& meta = subject.config->meta;
  set_istio_text("config", config_path("virtual-service", meta.ns, meta.name),
                 *out.mutable_metadata());
  set_decorator(meta.name, subject.port, out);
}

}  // namespace lateen::discovery
