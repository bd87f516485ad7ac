// Clusters, routes and extension configs; listeners are in listener_patches.cc.
#include "discovery/generate/envoy_filters.h"

#include <algorithm>

#include "discovery/generate/names.h"
#include "discovery/generate/patching.h"
#include "discovery/generate/wasm.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/core/v3/extension.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"

namespace lateen::discovery {
namespace {

PatchContext context_of(const View& view, const std::string& cluster) {
  if (view.proxy.is_gateway()) return PatchContext::kGateway;
  const bool is_inbound = cluster.starts_with("inbound|") || cluster == kInboundPassthrough;
  return is_inbound ? PatchContext::kSidecarInbound : PatchContext::kSidecarOutbound;
}

bool fits_cluster(const Patch& patch, const std::string& name) {
  if (!patch.cluster) return true;
  const auto& match = *patch.cluster;
  if (!match.name.empty()) return match.name == name;
  if (match.service.empty() && match.subset.empty() && match.port == 0) return true;
  const auto parts = parse_outbound_name(name);
  if (!parts) return match.port != 0 && name == inbound_name(match.port);
  return (match.service.empty() || match.service == parts->host) &&
         (match.subset.empty() || match.subset == parts->subset) &&
         (match.port == 0 || match.port == parts->port);
}

bool fits_route_configuration(const Patch& patch, const RouteConfiguration& routes) {
  if (!patch.route) return true;
  const auto& match = *patch.route;
  if (!match.name.empty() && match.name != routes.name()) return false;
  const std::string port = std::to_string(match.port);
  if (match.port != 0 && routes.name() != port && !routes.name().ends_with(":" + port) &&
      routes.name() != "http." + port && routes.name() != inbound_name(match.port) &&
      !routes.name().starts_with("https." + port + ".")) {
    return false;
  }
  if (!match.port_name.empty() && routes.name().starts_with("https.")) {
    // "https.443.name.gateway.namespace"
    const auto parts = split(routes.name(), '.');
    if (parts.size() < 3 || parts[2] != match.port_name) return false;
  }
  if (!match.gateway.empty() &&
      routes.name().find("." + match.gateway.substr(match.gateway.find('/') + 1) + ".") ==
          std::string::npos &&
      !routes.name().starts_with("http.")) {
    return false;
  }
  return true;
}

bool fits_vhost(const Patch& patch, const VirtualHost& host) {
  if (!patch.route || (patch.route->vhost.empty() && patch.route->vhost_domain.empty()))
    return true;
  if (!patch.route->vhost.empty() && patch.route->vhost != host.name()) return false;
  if (patch.route->vhost_domain.empty()) return true;
  return std::find(host.domains().begin(), host.domains().end(), patch.route->vhost_domain) !=
         host.domains().end();
}

bool fits_route(const Patch& patch, const Route& route) {
  if (!patch.route || !patch.route->has_route) return true;
  if (!patch.route->route.empty() && patch.route->route != route.name()) return false;
  const std::string& action = patch.route->action;
  if (action == "ROUTE") return route.has_route();
  if (action == "REDIRECT") return route.has_redirect();
  if (action == "DIRECT_RESPONSE") return route.has_direct_response();
  return true;
}

void patch_routes_of(const Patch& patch, VirtualHost& host) {
  auto& routes = *host.mutable_routes();
  if (is_merge(patch.operation) || patch.operation == PatchOperation::kRemove) {
    for (int i = routes.size() - 1; i >= 0; --i) {
      if (!fits_route(patch, routes[i])) continue;
      if (patch.operation == PatchOperation::kRemove) {
        routes.DeleteSubrange(i, 1);
      } else {
        merge_patch(patch, routes[i]);
      }
    }
    return;
  }
  Route made;
  if (!read_patch(patch, made)) return;
  int at = -1;
  const bool is_placed = patch.route && patch.route->has_route;
  for (int i = 0; i < routes.size() && at < 0 && is_placed; ++i) {
    if (fits_route(patch, routes[i])) at = i;
  }
  if (is_placed && at < 0 && patch.operation != PatchOperation::kAdd) return;
  insert_item(patch.operation, at, std::move(made), routes);
}

}  // namespace

void patch_clusters(const View& view, std::vector<Cluster>& clusters) {
  if (view.mesh.input().envoy_filters.empty()) return;
  const auto contexts = view.proxy.is_gateway() ? std::vector{PatchContext::kGateway}
                                                : std::vector{PatchContext::kSidecarOutbound,
                                                              PatchContext::kSidecarInbound};
  for (const PatchContext context : contexts) {
    for (const Patch* patch : patches_for(view, ApplyTo::kCluster, context)) {
      const auto fits = [&](const Cluster& cluster) {
        return context_of(view, cluster.name()) == context && fits_cluster(*patch, cluster.name());
      };
      if (patch->operation == PatchOperation::kRemove) {
        std::erase_if(clusters, fits);
      } else if (is_merge(patch->operation)) {
        for (Cluster& cluster : clusters) {
          if (fits(cluster)) merge_patch(*patch, cluster);
        }
      } else if (patch->operation == PatchOperation::kAdd) {
        Cluster made;
        // A patch for any context is added once.
        const bool is_again = patch->context == PatchContext::kAny && context != contexts.front();
        if (!is_again && read_patch(*patch, made)) clusters.push_back(std::move(made));
      }
    }
  }
}

void patch_routes(const View& view, RouteConfiguration& routes) {
  if (view.mesh.input().envoy_filters.empty()) return;
  PatchContext context = PatchContext::kSidecarOutbound;
  if (view.proxy.is_gateway()) context = PatchContext::kGateway;
  if (routes.name().starts_with("inbound|") || routes.name() == kInboundPassthrough) {
    context = PatchContext::kSidecarInbound;
  }
  for (const Patch* patch : patches_for(view, ApplyTo::kRouteConfiguration, context)) {
    if (is_merge(patch->operation) && fits_route_configuration(*patch, routes)) {
      merge_patch(*patch, routes);
    }
  }
  for (const Patch* patch : patches_for(view, ApplyTo::kVirtualHost, context)) {
    if (!fits_route_configuration(*patch, routes)) continue;
    auto& hosts = *routes.mutable_virtual_hosts();
    if (patch->operation == PatchOperation::kAdd) {
      VirtualHost made;
      if (read_patch(*patch, made)) *hosts.Add() = std::move(made);
      continue;
    }
    for (int i = hosts.size() - 1; i >= 0; --i) {
      if (!fits_vhost(*patch, hosts[i])) continue;
      if (patch->operation == PatchOperation::kRemove) {
        hosts.DeleteSubrange(i, 1);
      } else if (is_merge(patch->operation)) {
        merge_patch(*patch, hosts[i]);
      } else if (patch->operation == PatchOperation::kReplace) {
        VirtualHost made;
        if (read_patch(*patch, made)) hosts[i] = std::move(made);
      }
    }
  }
  for (const Patch* patch : patches_for(view, ApplyTo::kHttpRoute, context)) {
    if (!fits_route_configuration(*patch, routes)) continue;
    for (VirtualHost& host : *routes.mutable_virtual_hosts()) {
      if (fits_vhost(*patch, host)) patch_routes_of(*patch, host);
    }
  }
}

void make_extension(const View& view, const std::string& name,
                    const std::function<void(const google::protobuf::Message&)>& serve) {
  if (make_wasm_extension(view, name, serve)) return;
  for (const PatchContext context : {PatchContext::kAny, PatchContext::kSidecarInbound,
                                     PatchContext::kSidecarOutbound, PatchContext::kGateway}) {
    for (const Patch* patch : patches_for(view, ApplyTo::kExtensionConfig, context)) {
      envoy::config::core::v3::TypedExtensionConfig config;
      if (!read_patch(*patch, config) || config.name() != name) continue;
      serve(config);
      return;
    }
  }
}

}  // namespace lateen::discovery
