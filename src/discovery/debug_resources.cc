#include "discovery/debug_resources.h"

#include "envoy/admin/v3/config_dump.pb.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "envoy/service/status/v3/csds.pb.h"
#include "xds/any.h"
#include "xds/json.h"

namespace lateen::discovery {
namespace {

namespace admin = envoy::admin::v3;
namespace status = envoy::service::status::v3;

status::ConfigStatus status_of(const xds::Watch& watch) {
  if (!watch.last_error.empty()) return status::ERROR;
  if (watch.nonce_sent.empty()) return status::NOT_SENT;
  return watch.is_synced() ? status::SYNCED : status::STALE;
}

void set_time(WallTime from, google::protobuf::Timestamp& to) {
  const auto since = from.time_since_epoch();
  to.set_seconds(std::chrono::duration_cast<seconds>(since).count());
  to.set_nanos(static_cast<std::int32_t>((since % seconds(1)).count()));
}

std::vector<google::protobuf::Any> sync_resources(const Ads& ads) {
  std::vector<google::protobuf::Any> out;
  for (const Ads::Stream& stream : ads.streams()) {
    if (!stream.proxy || data::find(stream.proxy->metadata, {"PROXY_CONFIG"}) == nullptr) continue;
    status::ClientConfig config;
    config.mutable_node()->set_id(stream.proxy->name);
    *config.mutable_node()->mutable_metadata() =
        xds::json_to_struct({{"CLUSTER_ID", stream.proxy->cluster_id},
                             {"NAMESPACE", stream.proxy->ns},
                             {"ISTIO_VERSION", stream.proxy->version}});
    for (const auto& [type, watch] : stream.session->watches()) {
      auto& item = *config.add_generic_xds_configs();
      item.set_type_url(type);
      item.set_config_status(status_of(watch));
      set_time(watch.last_sent, *item.mutable_last_updated());
      if (!watch.last_error.empty()) {
        item.mutable_error_state()->set_details(watch.last_error);
        set_time(watch.last_sent, *item.mutable_error_state()->mutable_last_update_attempt());
      }
    }
    out.push_back(xds::pack(config));
  }
  return out;
}

google::protobuf::Any any_of(std::string_view type_url, const xds::Served& served) {
  google::protobuf::Any any;
  any.set_type_url(std::string(type_url));
  any.set_value(*served.body);
  return any;
}

const xds::Session* session_of(const Ads& ads, const Proxy& proxy) {
  for (const Ads::Stream& stream : ads.streams()) {
    if (stream.proxy && stream.proxy->id == proxy.id && !stream.session->watches().empty()) {
      return stream.session;
    }
  }
  return nullptr;
}

std::set<std::string> watched_names(const Ads& ads, const Proxy& proxy, std::string_view type) {
  const xds::Session* session = session_of(ads, proxy);
  const xds::Watch* watch = session == nullptr ? nullptr : session->find(type);
  return watch == nullptr ? std::set<std::string>{} : watch->all_names();
}

std::vector<google::protobuf::Any> dump_resources(Ads& ads, const Proxy& proxy) {
  admin::ConfigDump dump;
  fill_config_dump(ads, proxy, false, dump);
  return {dump.configs().begin(), dump.configs().end()};
}

}  // namespace

void fill_config_dump(Ads& ads, const Proxy& proxy, bool has_endpoints, admin::ConfigDump& out) {
  const Generator generator = ads.generator();
  const std::string& version = generator.snapshot().version();
  admin::ClustersConfigDump clusters;
  clusters.set_version_info(version);
  for (const auto& served : generator.make(proxy, xds::kClusterType, {})) {
    auto& item = *clusters.add_dynamic_active_clusters();
    item.set_version_info(version);
    *item.mutable_cluster() = any_of(xds::kClusterType, served);
  }
  admin::ListenersConfigDump listeners;
  listeners.set_version_info(version);
  const auto made_listeners = generator.make(proxy, xds::kListenerType, {});
  for (const auto& served : made_listeners) {
    auto& item = *listeners.add_dynamic_listeners();
    item.set_name(served.name);
    item.mutable_active_state()->set_version_info(version);
    *item.mutable_active_state()->mutable_listener() = any_of(xds::kListenerType, served);
  }
  admin::RoutesConfigDump routes;
  for (const auto& served :
       generator.make(proxy, xds::kRouteType, watched_names(ads, proxy, xds::kRouteType))) {
    auto& item = *routes.add_dynamic_route_configs();
    item.set_version_info(version);
    *item.mutable_route_config() = any_of(xds::kRouteType, served);
  }
  *out.add_configs() = xds::pack(admin::BootstrapConfigDump());
  *out.add_configs() = xds::pack(clusters);
  if (has_endpoints) {
    admin::EndpointsConfigDump endpoints;
    for (const auto& served :
         generator.make(proxy, xds::kEndpointType, watched_names(ads, proxy, xds::kEndpointType))) {
      *endpoints.add_dynamic_endpoint_configs()->mutable_endpoint_config() =
          any_of(xds::kEndpointType, served);
    }
    *out.add_configs() = xds::pack(endpoints);
  }
  *out.add_configs() = xds::pack(listeners);
  *out.add_configs() = xds::pack(admin::ScopedRoutesConfigDump());
  *out.add_configs() = xds::pack(routes);
  // Names only: a dump never holds keys.
  admin::SecretsConfigDump secrets;
  for (const std::string& name : watched_names(ads, proxy, xds::kSecretType)) {
    secrets.add_dynamic_active_secrets()->set_name(name);
  }
  *out.add_configs() = xds::pack(secrets);
}

Result<std::string> make_debug_response(Ads& ads, std::string_view type_url,
                                        const std::string& name, bool is_delta,
                                        const std::string& nonce, const Ads::Debug& debug) {
  std::vector<google::protobuf::Any> resources;
  if (type_url == kSyncType) {
    resources = sync_resources(ads);
  } else if (type_url == kDumpType) {
    const Proxy* proxy = ads.find_proxy(name);
    if (proxy == nullptr) {
      return not_found("no proxy " + name + " is connected to this control plane");
    }
    resources = dump_resources(ads, *proxy);
  } else {
    if (name.empty()) return invalid("exactly one debug request is required");
    google::protobuf::Any any;
    any.set_type_url(std::string(kDebugType));
    any.set_value(debug ? debug(name) : std::string());
    resources.push_back(std::move(any));
  }
  const std::string version = ads.snapshot()->version();
  if (is_delta) {
    envoy::service::discovery::v3::DeltaDiscoveryResponse response;
    response.set_type_url(std::string(type_url));
    response.set_system_version_info(version);
    response.set_nonce(nonce);
    response.mutable_control_plane()->set_identifier(ads.identifier());
    for (auto& resource : resources) *response.add_resources()->mutable_resource() = resource;
    return response.SerializeAsString();
  }
  envoy::service::discovery::v3::DiscoveryResponse response;
  response.set_type_url(std::string(type_url));
  response.set_version_info(version);
  response.set_nonce(nonce);
  response.mutable_control_plane()->set_identifier(ads.identifier());
  for (auto& resource : resources) *response.add_resources() = std::move(resource);
  return response.SerializeAsString();
}

}  // namespace lateen::discovery
