// Redirects of the upstream that the route wants followed here: the request starts again at the
// first filter, with the new address. Only requests without a body: others get the redirect.

#include <algorithm>

#include "base/strings.h"
#include "proxy/http/connection_manager.h"
#include "proxy/http/router.h"

namespace lateen::proxy {
namespace {

// Routes that redirects of this request came through, with a comma after each.
constexpr const char* kSeenRoutes = "envoy.internal_redirect.previous_routes";

struct Target {
  std::string_view scheme, authority, path;
};

// An absolute URL, or a path of the same host.
std::optional<Target> target_of(std::string_view location, const http::Request& request,
                                std::string_view scheme) {
  location = location.substr(0, location.find('#'));
  if (location.starts_with('/') && !location.starts_with("//"))
    return Target{scheme, request.authority, location};
  for (const std::string_view one : {"http", "https"}) {
    if (!location.starts_with(one) || location.substr(one.size(), 3) != "://") continue;
    location.remove_prefix(one.size() + 3);
    const auto slash = location.find_first_of("/?");
    const std::string_view authority = location.substr(0, slash);
    if (authority.empty() || authority.find('@') != std::string_view::npos) return std::nullopt;
    if (slash != std::string_view::npos && location[slash] == '?') return std::nullopt;
    return Target{one, authority,
                  slash == std::string_view::npos ? std::string_view("/") : location.substr(slash)};
  }
  return std::nullopt;
}

bool lists(std::string_view seen, std::string_view name) {
  for (const auto one : split(seen, ','))
    if (one == name) return true;
  return false;
}

}  // namespace

bool RouterCall::is_target_allowed(const InternalRedirect& policy, bool is_from_tls,
                                   bool is_to_tls) const {
  const StreamInfo& info = stream_.info;
  if (is_from_tls != is_to_tls && !policy.is_cross_scheme_allowed) return false;
  if (policy.is_scheme_safe && !is_from_tls && is_to_tls) return false;
  if (info.route == nullptr) return false;
  if (!policy.allowed_routes.empty() &&
      std::find(policy.allowed_routes.begin(), policy.allowed_routes.end(), info.route->name) ==
          policy.allowed_routes.end())
    return false;
  const auto seen = info.state.find(kSeenRoutes);
  return !policy.is_route_once || seen == info.state.end() ||
         !lists(seen->second, info.route->name);
}

bool RouterCall::redirect_internally(const http::Response& response) {
  if (!action_.internal_redirect || has_body_ || !request_.upgrade.empty()) return false;
  const InternalRedirect& policy = *action_.internal_redirect;
  if (std::find(policy.statuses.begin(), policy.statuses.end(), response.status) ==
      policy.statuses.end())
    return false;
  const auto location = response.headers.get("location");
  StreamInfo& info = stream_.info;
  const bool is_from_tls = info.connection.tls != nullptr;
  const std::string_view scheme = is_from_tls ? "https" : "http";
  const auto target = location ? target_of(*location, request_, scheme) : std::nullopt;
  if (!target || stream_.redirects >= policy.most) {
    upstream_->stats().add(ClusterStat::kRedirectFailed);
    return false;
  }
  Arena& arena = stream_.exchange.arena;
  http::Request next = head_of(request_);
  next.headers.set(
      "x-envoy-original-url",
      std::string(scheme) + "://" + std::string(request_.authority) + std::string(request_.path));
  next.authority = arena.copy(target->authority);
  next.path = arena.copy(target->path);
  if (response.status == 303 && next.method != "HEAD") next.method = "GET";
  for (const auto& name : policy.copied_headers) {
    next.headers.remove(name);
    for (const auto& field : response.headers)
      if (iequals(field.name, name)) next.headers.add(name, field.value);
  }
  const auto* host = info.virtual_host;
  const auto* route = info.route;
  const std::string_view choice = info.cluster_choice;
  const std::string name = info.route->name;
  select_route(stream_, next);
  if (!is_target_allowed(policy, is_from_tls, target->scheme == "https")) {
    info.virtual_host = host;
    info.route = route;
    info.cluster_choice = choice;
    upstream_->stats().add(ClusterStat::kRedirectFailed);
    return false;
  }
  upstream_->stats().add(ClusterStat::kRedirectSucceeded);
  info.state[kSeenRoutes] += name + ",";
  ++stream_.redirects;
  for (event::Timer* timer : {&timer_, &try_timer_, &idle_timer_, &duration_timer_})
    timer->cancel();
  stage_ = Stage::kAnswered;
  auto held = std::make_shared<http::Request>(std::move(next));
  // What starts now takes our place, and we are on the stack.
  event::after(stream_.exchange.scope, stream_.exchange.loop, nanoseconds(0),
               [&stream = stream_, held] { stream.manager->restart(stream, std::move(*held)); });
  return true;
}

}  // namespace lateen::proxy
