// Finding the virtual host and the route of a request. No allocation but for query parameters, and
// only when a route looks at them.

#include <algorithm>

#include "proxy/route/route.h"

namespace lateen::proxy {

bool PathMatch::matches(std::string_view path) const {
  switch (kind) {
    case Kind::kAny: return path.starts_with('/');
    case Kind::kPrefix:
      return is_case_ignored
                 ? path.size() >= text.size() && iequals(path.substr(0, text.size()), text)
                 : path.starts_with(text);
    case Kind::kExact: return is_case_ignored ? iequals(path, text) : path == text;
    case Kind::kRegex: return regex->matches_all(path);
    case Kind::kSeparatedPrefix: {
      const bool is_start =
          is_case_ignored ? path.size() >= text.size() && iequals(path.substr(0, text.size()), text)
                          : path.starts_with(text);
      return is_start && (path.size() == text.size() || path[text.size()] == '/');
    }
    case Kind::kTemplate: return regex->matches_all(path);
    case Kind::kConnect: return false;
  }
  return false;
}

bool StateMatcher::matches(const std::map<std::string, std::string, std::less<>>& state) const {
  const auto found = state.find(key);
  if (found == state.end()) return false;
  if (text) return text->matches(found->second);
  const std::string& value = found->second;
  auto ip = net::Ip::parse(value);
  if (!ip.ok())
    if (const auto address = net::Address::parse(value); address.ok() && !address->is_unix())
      ip = address->ip();
  return ip.ok() && std::any_of(ranges.begin(), ranges.end(),
                                [&](const net::Cidr& range) { return range.contains(*ip); });
}

const VirtualHost* RouteTable::find_host(std::string_view authority) const {
  if (hosts.size() == 1 && fallback != nullptr && exact.empty() && suffixes.empty() &&
      prefixes.empty())
    return fallback;
  if (is_port_ignored) {
    const auto colon = authority.rfind(':');
    if (colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos &&
        parse_uint(authority.substr(colon + 1)))
      authority = authority.substr(0, colon);
  }
  std::string lowered;
  for (const char c : authority) {
    if (c >= 'A' && c <= 'Z') {
      lowered = to_lower(authority);
      authority = lowered;
      break;
    }
  }
  if (const auto found = exact.find(authority); found != exact.end()) return found->second;
  for (const auto& [length, hosts_of_length] : suffixes) {
    if (length >= authority.size()) continue;  // "*.a" needs something before ".a"
    const auto found = hosts_of_length.find(authority.substr(authority.size() - length));
    if (found != hosts_of_length.end()) return found->second;
  }
  for (const auto& [length, hosts_of_length] : prefixes) {
    if (length >= authority.size()) continue;
    const auto found = hosts_of_length.find(authority.substr(0, length));
    if (found != hosts_of_length.end()) return found->second;
  }
  return fallback;
}

namespace {

bool is_grpc(const http::Request& request) {
  const auto type = request.headers.get("content-type");
  return type && (*type == "application/grpc" || type->starts_with("application/grpc+") ||
                  type->starts_with("application/grpc;"));
}

// A certificate that was presented and not validated ends its connection here.
bool matches_tls(const Route& route, const net::TlsInfo* tls) {
  const bool has_certificate = tls != nullptr && tls->has_peer_certificate;
  if (route.is_certificate_presented && *route.is_certificate_presented != has_certificate)
    return false;
  return !route.is_certificate_validated || *route.is_certificate_validated == has_certificate;
}

bool matches_route(const Route& route, const http::Request& request, std::string_view path,
                   const RouteFacts& facts,
                   std::optional<std::vector<std::pair<std::string, std::string>>>& query) {
  if (route.path.kind == PathMatch::Kind::kConnect) {
    if (request.method != "CONNECT") return false;
  } else if (request.method == "CONNECT" && request.path.empty()) {
    return false;  // A tunnel only where the route says so.
  } else if (!route.path.matches(path)) {
    return false;
  }
  if (route.fraction && facts.random % 1'000'000 >= *route.fraction) return false;
  if (route.is_grpc_only && !is_grpc(request)) return false;
  if (!all_match(route.headers, request)) return false;
  for (const auto& matcher : route.metadata_matches)
    if (!matcher.matches(facts.metadata)) return false;
  for (const auto& matcher : route.state_matches)
    if (!matcher.matches(facts.state)) return false;
  if (!matches_tls(route, facts.tls)) return false;
  if (route.query.empty()) return true;
  if (!query) {
    const auto mark = request.path.find('?');
    query = mark == std::string_view::npos ? std::vector<std::pair<std::string, std::string>>()
                                           : parse_query(request.path.substr(mark + 1));
  }
  for (const auto& matcher : route.query)
    if (!matcher.matches(*query)) return false;
  return true;
}

}  // namespace

const Route* RouteTable::find_route(const VirtualHost& host, const http::Request& request,
                                    const RouteFacts& facts) const {
  const std::string_view path = request.path.substr(0, request.path.find_first_of("?#"));
  std::optional<std::vector<std::pair<std::string, std::string>>> query;
  for (const Route& route : host.routes)
    if (matches_route(route, request, path, facts, query)) return &route;
  return nullptr;
}

const RouteFilterEntry* find_filter_config(const RouteTable& table, const VirtualHost* host,
                                           const Route* route, std::string_view cluster_choice,
                                           std::string_view filter) {
  const auto in = [&](const RouteFilterConfigs& configs) -> const RouteFilterEntry* {
    const auto found = configs.find(filter);
    return found == configs.end() ? nullptr : &found->second;
  };
  if (route != nullptr) {
    if (const auto* forward = std::get_if<Forward>(&route->action);
        forward != nullptr && !cluster_choice.empty()) {
      for (const auto& weighted : forward->weighted)
        if (weighted.name == cluster_choice)
          if (const auto* found = in(weighted.filter_configs)) return found;
    }
    if (const auto* found = in(route->filter_configs)) return found;
  }
  if (host != nullptr)
    if (const auto* found = in(host->filter_configs)) return found;
  return in(table.filter_configs);
}

}  // namespace lateen::proxy
