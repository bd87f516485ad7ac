// Rewrites and header rules around forwarding, and redirects.

#include "base/strings.h"
#include "proxy/http/config.h"
#include "proxy/http/router.h"

namespace lateen::proxy {
namespace {

struct PathParts {
  std::string_view path;
  std::string_view query;  // with '?'
};

PathParts parts_of(std::string_view path) {
  const auto mark = path.find('?');
  return {path.substr(0, mark),
          mark == std::string_view::npos ? std::string_view() : path.substr(mark)};
}

// Replaces what the route matched by `prefix`.
std::string replace_prefix(const Route& route, std::string_view path, const std::string& prefix) {
  const PathParts parts = parts_of(path);
  std::size_t matched = 0;
  switch (route.path.kind) {
    case PathMatch::Kind::kPrefix:
    case PathMatch::Kind::kSeparatedPrefix:
    case PathMatch::Kind::kAny:
      matched = std::min(route.path.text.size(), parts.path.size());
      break;
    default: matched = parts.path.size();
  }
  return prefix + std::string(parts.path.substr(matched)) + std::string(parts.query);
}

void apply_ops(const StreamInfo& info, auto&& apply) {
  const WeightedCluster* weighted = nullptr;
  if (info.route != nullptr)
    if (const auto* forward = std::get_if<Forward>(&info.route->action))
      for (const auto& one : forward->weighted)
        if (one.name == info.cluster_choice) weighted = &one;
  const bool is_specific_last = info.route_table->is_most_specific_last;
  if (is_specific_last)
    apply(&info.route_table->request_headers, &info.route_table->response_headers);
  if (is_specific_last && info.virtual_host != nullptr)
    apply(&info.virtual_host->request_headers, &info.virtual_host->response_headers);
  if (weighted != nullptr && !is_specific_last)
    apply(&weighted->request_headers, &weighted->response_headers);
  if (info.route != nullptr) apply(&info.route->request_headers, &info.route->response_headers);
  if (weighted != nullptr && is_specific_last)
    apply(&weighted->request_headers, &weighted->response_headers);
  if (!is_specific_last && info.virtual_host != nullptr)
    apply(&info.virtual_host->request_headers, &info.virtual_host->response_headers);
  if (!is_specific_last)
    apply(&info.route_table->request_headers, &info.route_table->response_headers);
}

}  // namespace

void apply_request_rules(const StreamInfo& info, http::Request& request) {
  if (info.route_table == nullptr) return;
  apply_ops(info, [&](const HeaderOps* ops, const HeaderOps*) {
    if (!ops->empty()) ops->apply(request, info);
  });
}

void apply_response_rules(const StreamInfo& info, http::Headers& headers) {
  if (info.route_table == nullptr) return;
  apply_ops(info, [&](const HeaderOps*, const HeaderOps* ops) {
    if (!ops->empty()) ops->apply(headers, info);
  });
}

void rewrite_request(const StreamInfo& info, const Forward& action, http::Request& request) {
  Arena& arena = request.headers.arena();
  std::string path;
  if (!action.prefix_rewrite.empty()) {
    path = replace_prefix(*info.route, request.path, action.prefix_rewrite);
  } else if (action.path_regex) {
    const PathParts parts = parts_of(request.path);
    path = action.path_regex->replace_all(parts.path, action.path_substitution) +
           std::string(parts.query);
  } else if (action.path_template) {
    const PathParts parts = parts_of(request.path);
    path = action.path_template->match.replace_all(parts.path, action.path_template->substitution) +
           std::string(parts.query);
  }
  const std::string_view old_path = request.path;
  if (!path.empty() && path != request.path) {
    request.headers.set("x-envoy-original-path", request.path);
    request.path = arena.copy(path);
  }
  std::string_view authority;
  for (const auto& weighted : action.weighted)
    if (weighted.name == info.cluster_choice && !weighted.host_rewrite.empty())
      authority = weighted.host_rewrite;
  if (!action.host_rewrite.empty()) authority = action.host_rewrite;
  if (!action.host_rewrite_header.empty())
    if (const auto value = request.headers.get(action.host_rewrite_header)) authority = *value;
  std::string of_path;
  if (action.host_regex) {
    of_path = action.host_regex->replace_all(old_path.substr(0, old_path.find_first_of("?#")),
                                             action.host_substitution);
    authority = of_path;
  }
  if (!authority.empty() && authority != request.authority) {
    if (action.is_forwarded_host_added) request.headers.add("x-forwarded-host", request.authority);
    request.headers.remove("x-envoy-original-host");
    request.headers.add("x-envoy-original-host", request.authority);
    request.authority = arena.copy(authority);
  }
}

http::Response redirect_response(HttpState& stream, const Redirect& action,
                                 const http::Request& request) {
  const PathParts parts = parts_of(request.path);
  std::string scheme(request.scheme.empty() ? "http" : request.scheme);
  const std::string old_scheme = scheme;
  if (action.is_https) scheme = "https";
  if (!action.scheme.empty()) scheme = action.scheme;
  std::string host(request.authority);
  std::string port;
  if (const auto colon = host.rfind(':');
      colon != std::string::npos && host.find(']', colon) == std::string::npos) {
    port = host.substr(colon + 1);
    host.resize(colon);
  }
  // The standard port of the old scheme does not belong to the new one.
  if (scheme != old_scheme && port == (old_scheme == "https" ? "443" : "80")) port.clear();
  if (!action.host.empty()) {
    host = action.host;
    port.clear();
    if (const auto colon = host.rfind(':');
        colon != std::string::npos && host.find(']', colon) == std::string::npos) {
      port = host.substr(colon + 1);
      host.resize(colon);
    }
  }
  if (action.port) port = std::to_string(*action.port);
  std::string path(parts.path);
  std::string query(action.is_query_stripped ? std::string_view() : parts.query);
  if (!action.path.empty()) {
    path = action.path;
    if (path.find('?') != std::string::npos) query.clear();
  } else if (!action.prefix_rewrite.empty()) {
    path = replace_prefix(*stream.info.route, parts.path, action.prefix_rewrite);
  } else if (action.path_regex) {
    path = action.path_regex->replace_all(parts.path, action.path_substitution);
  }
  stream.config->stats->add(HttpStat::kRqRedirect);
  auto response = local_reply(stream, action.status, "", "direct_response");
  response.status = action.status;
  response.headers.add("location",
                       scheme + "://" + host + (port.empty() ? "" : ":" + port) + path + query);
  return response;
}

}  // namespace lateen::proxy
