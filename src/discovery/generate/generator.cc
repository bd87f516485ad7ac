#include "discovery/generate/generator.h"

#include "discovery/generate/clusters.h"
#include "discovery/generate/endpoints.h"
#include "discovery/generate/envoy_filters.h"
#include "discovery/generate/listeners.h"
#include "discovery/generate/name_table.h"
#include "discovery/generate/proxyless.h"
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

xds::Served make_served(std::string name, std::string body) {
  const std::uint64_t version = std::hash<std::string>()(body);
  return {std::move(name), version, std::make_shared<const std::string>(std::move(body))};
}

xds::Served make_served(std::string name, const google::protobuf::Message& message) {
  return make_served(std::move(name), xds::serialize(message));
}

std::vector<xds::Served> make_all_clusters(const View& view) {
  std::vector<xds::Served> out;
  auto clusters = make_clusters(view);
  patch_clusters(view, clusters);
  out.reserve(clusters.size());
  for (const Cluster& cluster : clusters) out.push_back(make_served(cluster.name(), cluster));
  return out;
}

std::vector<xds::Served> make_all_listeners(const View& view) {
  std::vector<xds::Served> out;
  auto listeners = make_listeners(view);
  patch_listeners(view, listeners);
  out.reserve(listeners.size());
  for (const Listener& listener : listeners) out.push_back(make_served(listener.name(), listener));
  return out;
}

xds::Served make_name_table(const View& view) {
  istio::networking::nds::v1::NameTable table;
  fill_name_table(view, table);
  return make_served("", table);
}

std::optional<xds::Served> make_named(const View& view, std::string_view type_url,
                                      const std::string& name) {
  std::optional<xds::Served> out;
  if (type_url == xds::kEndpointType) {
    ClusterLoadAssignment assignment;
    make_assignment(view, name, assignment);
    out = make_served(name, assignment);
  } else if (type_url == xds::kRouteType) {
    RouteConfiguration routes;
    make_route_configuration(view, name, routes);
    patch_routes(view, routes);
    out = make_served(name, routes);
  } else if (type_url == xds::kSecretType) {
    envoy::extensions::transport_sockets::tls::v3::Secret secret;
    if (make_secret(view, name, secret)) out = make_served(name, secret);
  } else if (type_url == xds::kExtensionType) {
    make_extension(view, name,
                   [&](const google::protobuf::Message& made) { out = make_served(name, made); });
  }
  return out;
}

std::optional<std::vector<xds::Served>> make_for_proxyless(const View& view,
                                                           std::string_view type_url,
                                                           const std::set<std::string>& names) {
  std::vector<xds::Served> out;
  if (type_url == xds::kListenerType) {
    for (const Listener& listener : make_proxyless_listeners(view, names))
      out.push_back(make_served(listener.name(), listener));
    return out;
  }
  if (type_url == xds::kClusterType) {
    for (const Cluster& cluster : make_proxyless_clusters(view, names))
      out.push_back(make_served(cluster.name(), cluster));
    return out;
  }
  if (type_url != xds::kRouteType) return std::nullopt;
  for (const std::string& name : names) {
    RouteConfiguration routes;
    if (make_proxyless_route(view, name, routes)) out.push_back(make_served(name, routes));
  }
  return out;
}

std::vector<xds::Served> Generator::make(const Proxy& proxy, std::string_view type_url,
                                         const std::set<std::string>& names) const {
  const auto scope = make_scope(*snapshot_, proxy);
  const View view{*snapshot_, proxy, *scope, snapshot_->targets_of(proxy)};
  if (is_proxyless(proxy)) {
    if (auto made = make_for_proxyless(view, type_url, names)) return *std::move(made);
  }
  if (type_url == xds::kClusterType) return make_all_clusters(view);
  if (type_url == xds::kListenerType) return make_all_listeners(view);
  std::vector<xds::Served> out;
  if (type_url == xds::kNameTableType) {
    out.push_back(make_name_table(view));
    return out;
  }
  for (const std::string& name : names) {
    if (auto made = make_named(view, type_url, name)) out.push_back(*std::move(made));
  }
  return out;
}

}  // namespace lateen::discovery
