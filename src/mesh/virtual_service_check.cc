// What a VirtualService's fields must mean together: the rules of the validation webhook and of
// `analyze`.
#include <set>

#include "base/strings.h"
#include "mesh/check.h"
#include "mesh/hostname.h"

namespace lateen::mesh {
namespace {

void check_destination(const std::string& path, const Destination& destination, Issues& issues) {
  if (destination.host.empty()) {
    issues.error(path + ".host: a destination must have a host");
  } else if (destination.host == "*") {
    issues.error(path + ".host: invalid destination host *");
  } else if (const std::string wrong = check_host(destination.host);
             !wrong.empty() && !is_ip(destination.host)) {
    issues.error(path + ".host: " + wrong);
  }
  if (!destination.subset.empty() && !is_dns_label(destination.subset)) {
    issues.error(path + ".subset: subset name \"" + destination.subset + "\" is not a DNS label");
  }
  if (destination.port != 0) check_port(path + ".port.number", destination.port, issues);
}

bool is_header_name(std::string_view name) {
  if (name.empty()) return false;
  for (const char c : name) {
    if (c <= ' ' || c == 0x7f || c == ':' || c == '(' || c == ')' || c == ',' || c == ';') {
      return false;
    }
  }
  return true;
}

void check_header_name(const std::string& path, std::string_view name, Issues& issues) {
  const std::string_view bare = name.starts_with(":") ? name.substr(1) : name;
  if (is_header_name(bare)) return;
  issues.error(path + ": header name \"" + std::string(name) + "\" is not a valid header name");
}

void check_operations(const std::string& path, const HeaderOperations& operations, Issues& issues) {
  for (const auto& [name, value] : operations.set) check_header_name(path + ".set", name, issues);
  for (const auto& [name, value] : operations.add) check_header_name(path + ".add", name, issues);
  for (const std::string& name : operations.remove) {
    check_header_name(path + ".remove", name, issues);
    if (name.starts_with(":") || iequals(name, "host")) {
      issues.error(path + ".remove: \"" + name + "\" must not be removed");
    }
  }
}

void check_headers(const std::string& path, const HeaderRules& headers, Issues& issues) {
  check_operations(path + ".headers.request", headers.request, issues);
  check_operations(path + ".headers.response", headers.response, issues);
}

void check_weights(const std::string& path, const std::vector<RouteDestination>& routes,
                   Issues& issues) {
  std::int64_t total = 0;
  for (std::size_t i = 0; i < routes.size(); ++i) {
    const std::string at = path + ".route[" + std::to_string(i) + "]";
    check_destination(at + ".destination", routes[i].destination, issues);
    check_headers(at, routes[i].headers, issues);
    if (routes[i].weight < 0) {
      issues.error(at + ".weight: weight " + std::to_string(routes[i].weight) +
                   " must not be negative");
    }
    total += routes[i].weight;
  }
  if (routes.size() > 1 && total <= 0) {
    issues.error(path + ".route: total destination weight = 0; give the " +
                 std::to_string(routes.size()) + " destinations weights, for example 50 and 50");
  }
  if (total > 4294967295) issues.error(path + ".route: total destination weight is too large");
}

void check_http_match(const std::string& path, const HttpMatch& match, Issues& issues) {
  const auto one = [&](std::string_view name, const std::optional<StringMatch>& value) {
    if (value) check_match(path + "." + std::string(name), *value, issues);
  };
  one("uri", match.uri);
  one("scheme", match.scheme);
  one("method", match.method);
  one("authority", match.authority);
  for (const auto& [name, value] : match.headers) {
    check_header_name(path + ".headers", name, issues);
    check_match(path + ".headers." + name, value, issues);
  }
  for (const auto& [name, value] : match.without_headers) {
    check_header_name(path + ".withoutHeaders", name, issues);
    check_match(path + ".withoutHeaders." + name, value, issues);
  }
  for (const auto& [name, value] : match.query_params) {
    check_match(path + ".queryParams." + name, value, issues);
  }
  if (match.port != 0) check_port(path + ".port", match.port, issues);
  check_labels(path + ".sourceLabels", match.source_labels, issues);
  if (match.is_uri_case_ignored && match.uri && match.uri->kind == StringMatch::Kind::kRegex) {
    issues.warn(path + ".ignoreUriCase: has no effect on a regex match");
  }
}

void check_redirect(const std::string& path, const HttpRedirect& redirect, Issues& issues) {
  if (redirect.uri.empty() && redirect.authority.empty() && !redirect.port &&
      redirect.scheme.empty() && redirect.prefix_rewrite.empty() &&
      redirect.derive_port == HttpRedirect::DerivePort::kNone) {
    issues.error(path + ".redirect: must specify uri, authority, scheme or port");
  }
  if (redirect.port) check_port(path + ".redirect.port", *redirect.port, issues);
  if (!redirect.scheme.empty() && redirect.scheme != "http" && redirect.scheme != "https") {
    issues.error(path + ".redirect.scheme: \"" + redirect.scheme + "\" must be http or https");
  }
  if (redirect.code < 300 || redirect.code > 399) {
    issues.error(path + ".redirect.redirectCode: " + std::to_string(redirect.code) +
                 " must be in the range 300..399");
  }
}

void check_fault(const std::string& path, const HttpFault& fault, Issues& issues) {
  if (!fault.delay && !fault.abort) {
    issues.error(path + ".fault: must have a delay or an abort");
  }
  if (fault.delay) {
    check_duration(path + ".fault.delay.fixedDelay", fault.delay->fixed, issues);
    check_percent(path + ".fault.delay.percentage", fault.delay->percent, issues);
  }
  if (!fault.abort) return;
  check_percent(path + ".fault.abort.percentage", fault.abort->percent, issues);
  if (!fault.abort->http_status && fault.abort->grpc_status.empty()) {
    issues.error(path + ".fault.abort: must have httpStatus or grpcStatus");
  }
  if (fault.abort->http_status &&
      (*fault.abort->http_status < 200 || *fault.abort->http_status > 599)) {
    issues.error(path + ".fault.abort.httpStatus: HTTP status " +
                 std::to_string(*fault.abort->http_status) + " is not in range 200-599");
  }
}

void check_retries(const std::string& path, const HttpRetry& retry, Issues& issues) {
  if (retry.attempts < 0) issues.error(path + ".retries.attempts: cannot be negative");
  if (retry.attempts == 0 && (retry.per_try_timeout || !retry.retry_on.empty())) {
    issues.error(path + ".retries.attempts: must be positive when other retry fields are given");
  }
  check_duration(path + ".retries.perTryTimeout", retry.per_try_timeout, issues);
  check_duration(path + ".retries.backoff", retry.backoff, issues);
  static const std::set<std::string_view> kKnown = {"5xx",
                                                    "gateway-error",
                                                    "reset",
                                                    "connect-failure",
                                                    "envoy-ratelimited",
                                                    "retriable-4xx",
                                                    "refused-stream",
                                                    "retriable-status-codes",
                                                    "retriable-headers",
                                                    "http3-post-connect-failure",
                                                    "reset-before-request",
                                                    "cancelled",
                                                    "deadline-exceeded",
                                                    "internal",
                                                    "resource-exhausted",
                                                    "unavailable"};
  for (const std::string_view item : split(retry.retry_on, ',')) {
    const std::string_view policy = trim(item);
    if (policy.empty() || kKnown.count(policy) > 0) continue;
    const auto code = parse_uint(policy);
    if (code && *code >= 100 && *code <= 599) continue;
    issues.error(path + ".retries.retryOn: \"" + std::string(policy) +
                 "\" is not a valid retryOn policy");
  }
}

// A route acts in exactly one way.
void check_action(const std::string& path, const HttpRoute& route, bool is_delegate_child,
                  Issues& issues) {
  const int actions = int(!route.route.empty()) + int(route.redirect.has_value()) +
                      int(route.direct_response.has_value()) + int(route.delegate.has_value());
  if (actions == 0) {
    issues.error(path + ": HTTP route, redirect or direct_response is required");
  } else if (actions > 1) {
    issues.error(path +
                 ": HTTP route must have only one of route, redirect, directResponse, "
                 "delegate");
  }
  if (route.redirect && route.rewrite) {
    issues.error(path + ": HTTP route rule cannot contain both rewrite and redirect");
  }
  if (route.redirect && route.fault) {
    issues.error(path + ": HTTP route cannot contain both fault and redirect");
  }
  if (route.delegate && is_delegate_child) {
    issues.error(path + ".delegate: a delegate VirtualService cannot delegate again");
  }
}

void check_cors(const std::string& path, const CorsPolicy& cors, Issues& issues) {
  for (std::size_t i = 0; i < cors.allow_origins.size(); ++i) {
    check_match(path + ".corsPolicy.allowOrigins[" + std::to_string(i) + "]", cors.allow_origins[i],
                issues);
  }
  check_duration(path + ".corsPolicy.maxAge", cors.max_age, issues);
  if (cors.max_age && *cors.max_age % seconds(1) != nanoseconds(0)) {
    issues.error(path + ".corsPolicy.maxAge: must be in whole seconds");
  }
}

void check_http_route(const std::string& path, const HttpRoute& route, bool is_delegate_child,
                      Issues& issues) {
  check_action(path, route, is_delegate_child, issues);
  for (std::size_t i = 0; i < route.match.size(); ++i) {
    check_http_match(path + ".match[" + std::to_string(i) + "]", route.match[i], issues);
  }
  check_weights(path, route.route, issues);
  check_headers(path, route.headers, issues);
  if (route.redirect) check_redirect(path, *route.redirect, issues);
  if (route.direct_response &&
      (route.direct_response->status < 200 || route.direct_response->status > 599)) {
    issues.error(path + ".directResponse.status: must be in the range 200..599");
  }
  if (route.rewrite && route.rewrite->uri.empty() && route.rewrite->authority.empty() &&
      !route.rewrite->uri_regex) {
    issues.error(path + ".rewrite: must specify uri, uriRegexRewrite or authority");
  }
  if (route.rewrite && route.rewrite->uri_regex) {
    check_regex(path + ".rewrite.uriRegexRewrite.match", route.rewrite->uri_regex->match, issues);
  }
  if (route.fault) check_fault(path, *route.fault, issues);
  if (route.retries) check_retries(path, *route.retries, issues);
  if (route.cors) check_cors(path, *route.cors, issues);
  if (route.timeout && *route.timeout != nanoseconds(0)) {
    check_duration(path + ".timeout", route.timeout, issues);
  }
  for (const HttpMirror& mirror : route.mirrors) {
    check_destination(path + ".mirror", mirror.destination, issues);
    if (mirror.percent) check_percent(path + ".mirrorPercentage", *mirror.percent, issues);
  }
}

// Rules behind a rule that matches everything are never reached; upstream warns with IST0130.
void warn_unreachable(const VirtualService& spec, Issues& issues) {
  for (std::size_t i = 0; i + 1 < spec.http.size(); ++i) {
    if (!spec.http[i].match.empty()) continue;
    const std::string name =
        spec.http[i].name.empty() ? "#" + std::to_string(i) : "\"" + spec.http[i].name + "\"";
    issues.warn("spec.http: rule " + name +
                " matches every request, so the rules behind it are "
                "never used");
    return;
  }
}

void check_l4_route(const std::string& path, const L4Route& route, bool is_tls, Issues& issues) {
  if (is_tls && route.match.empty()) {
    issues.error(path + ".match: a TLS route must have at least one SNI match");
  }
  for (std::size_t i = 0; i < route.match.size(); ++i) {
    const L4Match& match = route.match[i];
    const std::string at = path + ".match[" + std::to_string(i) + "]";
    if (is_tls && match.sni_hosts.empty()) {
      issues.error(at + ".sniHosts: a TLS match must have at least one SNI host");
    }
    for (const std::string& host : match.sni_hosts) {
      if (const std::string wrong = check_host(host); !wrong.empty()) {
        issues.error(at + ".sniHosts: " + wrong);
      }
    }
    for (const std::string& subnet : match.destination_subnets) {
      if (!is_cidr_or_ip(subnet)) {
        issues.error(at + ".destinationSubnets: \"" + subnet + "\" is not an IP or CIDR");
      }
    }
    if (match.port != 0) check_port(at + ".port", match.port, issues);
    check_labels(at + ".sourceLabels", match.source_labels, issues);
  }
  if (route.route.empty()) issues.error(path + ".route: at least one destination is required");
  check_weights(path, route.route, issues);
}

void check_hosts(const VirtualService& spec, bool is_for_mesh, Issues& issues) {
  std::set<std::string_view> seen;
  for (const std::string& host : spec.hosts) {
    if (!seen.insert(host).second) issues.error("spec.hosts: duplicate host \"" + host + "\"");
    if (!is_ip(host)) {
      if (const std::string wrong = check_host(host); !wrong.empty()) {
        issues.error("spec.hosts: " + wrong);
      }
    }
    if (host == "*" && is_for_mesh) {
      issues.error(
          "spec.hosts: wildcard host * is not allowed for virtual services bound to the "
          "mesh gateway; add \"gateways\" or name the hosts");
    }
  }
}

}  // namespace

void check_spec(const Meta&, const VirtualService& spec, Issues& issues) {
  bool is_for_mesh = spec.gateways.empty();
  for (const std::string& gateway : spec.gateways) is_for_mesh |= gateway == "mesh";
  const bool is_delegate_child = spec.hosts.empty();
  if (is_delegate_child && !spec.gateways.empty()) {
    issues.error("spec.hosts: virtual service must have at least one host");
  }
  check_hosts(spec, is_for_mesh, issues);
  if (spec.http.empty() && spec.tls.empty() && spec.tcp.empty()) {
    issues.error("spec: http, tcp or tls must be provided in virtual service");
  }
  if (is_delegate_child && (!spec.tls.empty() || !spec.tcp.empty())) {
    issues.error("spec: a delegate virtual service may only have http routes");
  }
  for (std::size_t i = 0; i < spec.http.size(); ++i) {
    check_http_route("spec.http[" + std::to_string(i) + "]", spec.http[i], is_delegate_child,
                     issues);
  }
  for (std::size_t i = 0; i < spec.tls.size(); ++i) {
    check_l4_route("spec.tls[" + std::to_string(i) + "]", spec.tls[i], true, issues);
  }
  for (std::size_t i = 0; i < spec.tcp.size(); ++i) {
    check_l4_route("spec.tcp[" + std::to_string(i) + "]", spec.tcp[i], false, issues);
  }
  warn_unreachable(spec, issues);
  check_export_to(spec.export_to, issues);
}

}  // namespace lateen::mesh
