#include "discovery/generate/generator.h"

#include "discovery/generate/clusters.h"
#include "discovery/generate/endpoints.h"
#include "discovery/generate/envoy_filters.h"
#include "discovery/generate/listeners.h"
#include "discovery/generate/name_table.h"
#include "discovery/generate/routes.h"
#include "discovery/generate/secrets.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "istio/name_table.pb.h"
#include "xds/any.h"

namespace lateen::discovery {
namespace {

using Resources = Generator::Resources;

void serve(const std::string& name, const google::protobuf::Message& message, Resources& out) {
  auto body = std::make_shared<const std::string>(xds::serialize(message));
  out.push_back({name, fnv1a64(*body), body});
}

Resources make_all_clusters(const View& view) {
  Resources out;
  auto clusters = make_clusters(view);
  patch_clusters(view, clusters);
  out.reserve(clusters.size());
  for (const Cluster& cluster : clusters) serve(cluster.name(), cluster, out);
  return out;
}

Resources make_all_listeners(const View& view) {
  Resources out;
  auto listeners = make_listeners(view);
  patch_listeners(view, listeners);
  out.reserve(listeners.size());
  for (const Listener& listener : listeners) serve(listener.name(), listener, out);
  return out;
}

}  // namespace

Generator::Generator(SnapshotPtr snapshot) : snapshot_(std::move(snapshot)) {
  using Kind = mesh::ExtensionProvider::Kind;
  for (const auto& provider : snapshot_->mesh().providers) {
    is_named_somewhere_ |= provider.kind == Kind::kOpenTelemetry || provider.kind == Kind::kDatadog;
  }
  for (const auto& filter : snapshot_->input().envoy_filters) {
    for (const auto& patch : filter->spec.patches) {
      is_named_somewhere_ |= !patch.proxy_metadata.empty();
    }
  }
  for (const auto& service : snapshot_->services()) has_headless_ |= service->is_headless;
}

// Everything about a proxy that generators look at, but for what tells replicas apart.
std::string Generator::kind_of(const Proxy& proxy, std::string_view type_url) {
  std::string key(type_url);
  const auto add = [&](std::string_view part) { key.append("\n").append(part); };
  if (is_named_somewhere_) add(proxy.id);
  if (has_headless_ && type_url == xds::kListenerType) add(proxy.ips.front());
  add(std::to_string(static_cast<int>(proxy.type)));
  for (const std::string_view part :
       {std::string_view(proxy.ns), std::string_view(proxy.dns_domain),
        std::string_view(proxy.service_account), std::string_view(proxy.locality),
        std::string_view(proxy.trust_domain), std::string_view(proxy.envoy_version)}) {
    add(part);
  }
  add(proxy.is_verified ? "verified" : "");
  add(proxy.shared_metadata);  // labels, network, cluster, version, ports and switches are in it
  for (const Target& target : snapshot_->targets_of(proxy)) {
    add(target.service->host);
    add(std::to_string(target.port->number) + ":" + std::to_string(target.number));
  }
  return key;
}

std::shared_ptr<const Generator::Resources> Generator::share(const Proxy& proxy,
                                                             std::string_view type_url,
                                                             const std::set<std::string>& names) {
  const bool is_shared = type_url == xds::kClusterType || type_url == xds::kEndpointType ||
                         type_url == xds::kListenerType || type_url == xds::kRouteType;
  if (!is_shared) return std::make_shared<const Resources>(make(proxy, type_url, names));
  constexpr std::size_t kMostVariants = 16;
  std::vector<Shared>& variants = shared_[kind_of(proxy, type_url)];
  for (const Shared& variant : variants) {
    if (variant.names == names) return variant.resources;
  }
  auto made = std::make_shared<const Resources>(make(proxy, type_url, names));
  if (variants.size() < kMostVariants) variants.push_back({names, made});
  return made;
}

View Generator::view_of(const Proxy& proxy) {
  std::shared_ptr<const Scope>& scope = scopes_[scope_key(*snapshot_, proxy)];
  if (scope == nullptr) scope = make_scope(*snapshot_, proxy);
  return View{*snapshot_, proxy, *scope, snapshot_->targets_of(proxy)};
}

Generator::Resources Generator::make(const Proxy& proxy, std::string_view type_url,
                                     const std::set<std::string>& names) {
  const View view = view_of(proxy);
  if (type_url == xds::kClusterType) return make_all_clusters(view);
  if (type_url == xds::kListenerType) return make_all_listeners(view);
  Resources out;
  if (type_url == xds::kNameTableType) {
    istio::networking::nds::v1::NameTable table;
    fill_name_table(view, table);
    serve("", table, out);
    return out;
  }
  for (const std::string& name : names) {
    if (type_url == xds::kEndpointType) {
      ClusterLoadAssignment assignment;
      make_assignment(view, name, assignment);
      serve(name, assignment, out);
    } else if (type_url == xds::kRouteType) {
      RouteConfiguration routes;
      make_route_configuration(view, name, routes);
      patch_routes(view, routes);
      serve(name, routes, out);
    } else if (type_url == xds::kSecretType) {
      envoy::extensions::transport_sockets::tls::v3::Secret secret;
      if (make_secret(view, name, secret)) serve(name, secret, out);
    } else if (type_url == xds::kExtensionType) {
      make_extension(view, name,
                     [&](const google::protobuf::Message& made) { serve(name, made, out); });
    }
  }
  return out;
}

}  // namespace lateen::discovery
