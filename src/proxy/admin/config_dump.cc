// /config_dump as envoy.admin.v3.ConfigDump; ?include_eds, ?resource=, ?mask=, ?name_regex=.
// Private keys are replaced.

#include "envoy/admin/v3/config_dump.pb.h"
#include "envoy/admin/v3/config_dump_shared.pb.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "proxy/admin/admin.h"
#include "xds/any.h"
#include "xds/json.h"

namespace lateen::proxy {
namespace {

namespace admin = envoy::admin::v3;

google::protobuf::Timestamp stamp(WallTime time) {
  google::protobuf::Timestamp made;
  const auto nanos = time.time_since_epoch().count();
  made.set_seconds(nanos / 1'000'000'000);
  made.set_nanos(static_cast<std::int32_t>(nanos % 1'000'000'000 / 1'000'000 * 1'000'000));
  return made;
}

void fill_failure(Server& server, std::string_view type, const std::string& name,
                  admin::UpdateFailureState* state) {
  const auto found = server.rejections().find(std::string(type) + "/" + name);
  if (found != server.rejections().end()) state->set_details(found->second);
}

admin::BootstrapConfigDump bootstrap_dump(Server& server) {
  admin::BootstrapConfigDump dump;
  *dump.mutable_bootstrap() = server.bootstrap();
  *dump.mutable_last_updated() = stamp(server.started_wall());
  return dump;
}

admin::ClustersConfigDump clusters_dump(Server& server) {
  admin::ClustersConfigDump dump;
  for (const auto& [name, entry] : server.clusters().entries()) {
    if (!entry->config->is_added_via_api) {
      auto& out = *dump.add_static_clusters();
      *out.mutable_cluster() = entry->raw->body;
      *out.mutable_last_updated() = stamp(entry->raw->updated);
      continue;
    }
    auto& out = entry->is_published ? *dump.add_dynamic_active_clusters()
                                    : *dump.add_dynamic_warming_clusters();
    out.set_version_info(entry->raw->version);
    *out.mutable_cluster() = entry->raw->body;
    *out.mutable_last_updated() = stamp(entry->raw->updated);
    if (server.rejections().contains(std::string(xds::kClusterType) + "/" + name))
      fill_failure(server, xds::kClusterType, name, out.mutable_error_state());
  }
  return dump;
}

admin::ListenersConfigDump listeners_dump(Server& server) {
  admin::ListenersConfigDump dump;
  const auto fill = [](const xds::RawResource& raw,
                       admin::ListenersConfigDump::DynamicListenerState* out) {
    out->set_version_info(raw.version);
    *out->mutable_listener() = raw.body;
    *out->mutable_last_updated() = stamp(raw.updated);
  };
  for (const auto& [name, entry] : server.listeners().entries()) {
    if (!entry->is_via_api) {
      auto& out = *dump.add_static_listeners();
      const auto& raw = entry->raw != nullptr ? *entry->raw : *entry->raw_warming;
      *out.mutable_listener() = raw.body;
      *out.mutable_last_updated() = stamp(raw.updated);
      continue;
    }
    auto& out = *dump.add_dynamic_listeners();
    out.set_name(name);
    if (entry->raw != nullptr) fill(*entry->raw, out.mutable_active_state());
    if (entry->raw_warming != nullptr) fill(*entry->raw_warming, out.mutable_warming_state());
    if (server.rejections().contains(std::string(xds::kListenerType) + "/" + name))
      fill_failure(server, xds::kListenerType, name, out.mutable_error_state());
  }
  return dump;
}

// Route tables inside listeners are static ones in Envoy's terms.
void add_inline_routes(const google::protobuf::Any& body, WallTime updated,
                       admin::RoutesConfigDump& dump) {
  namespace hcm = envoy::extensions::filters::network::http_connection_manager::v3;
  const auto listener = xds::unpack<envoy::config::listener::v3::Listener>(body);
  if (!listener.ok()) return;
  const auto add_chain = [&](const envoy::config::listener::v3::FilterChain& chain) {
    for (const auto& filter : chain.filters()) {
      if (!xds::carried_type(filter.typed_config()).ends_with("v3.HttpConnectionManager")) continue;
      const auto manager = xds::unpack<hcm::HttpConnectionManager>(filter.typed_config());
      if (!manager.ok() || !manager->has_route_config()) continue;
      auto& out = *dump.add_static_route_configs();
      *out.mutable_route_config() = xds::pack(manager->route_config());
      *out.mutable_last_updated() = stamp(updated);
    }
  };
  for (const auto& chain : listener->filter_chains()) add_chain(chain);
  if (listener->has_default_filter_chain()) add_chain(listener->default_filter_chain());
}

admin::RoutesConfigDump routes_dump(Server& server) {
  admin::RoutesConfigDump dump;
  for (const auto& [name, entry] : server.listeners().entries())
    if (entry->raw != nullptr) add_inline_routes(entry->raw->body, entry->raw->updated, dump);
  for (const auto& [name, entry] : server.listeners().routes()) {
    if (entry.table == nullptr) continue;
    auto& out = *dump.add_dynamic_route_configs();
    out.set_version_info(entry.raw.version);
    *out.mutable_route_config() = entry.raw.body;
    *out.mutable_last_updated() = stamp(entry.raw.updated);
  }
  return dump;
}

admin::EndpointsConfigDump endpoints_dump(Server& server) {
  admin::EndpointsConfigDump dump;
  for (const auto& [name, entry] : server.clusters().entries()) {
    if (entry->assignment == nullptr || entry->assignment->body.type_url().empty()) continue;
    if (entry->config->is_added_via_api) {
      auto& out = *dump.add_dynamic_endpoint_configs();
      out.set_version_info(entry->assignment->version);
      *out.mutable_endpoint_config() = entry->assignment->body;
      *out.mutable_last_updated() = stamp(entry->raw->updated);
    } else {
      auto& out = *dump.add_static_endpoint_configs();
      *out.mutable_endpoint_config() = entry->assignment->body;
      *out.mutable_last_updated() = stamp(entry->raw->updated);
    }
  }
  return dump;
}

admin::SecretsConfigDump secrets_dump(Server& server) {
  admin::SecretsConfigDump dump;
  for (const auto& [name, entry] : server.secrets().entries()) {
    if (entry.secret == nullptr) {
      auto& out = *dump.add_dynamic_warming_secrets();
      out.set_name(name);
      out.set_version_info("uninitialized");
      envoy::extensions::transport_sockets::tls::v3::Secret empty;
      empty.set_name(name);
      *out.mutable_secret() = xds::pack(empty);
      continue;
    }
    auto secret = *entry.secret;
    if (secret.has_tls_certificate() && secret.tls_certificate().has_private_key()) {
      secret.mutable_tls_certificate()->mutable_private_key()->Clear();
      secret.mutable_tls_certificate()->mutable_private_key()->set_inline_bytes("[redacted]");
    }
    if (entry.is_static) {
      auto& out = *dump.add_static_secrets();
      out.set_name(name);
      *out.mutable_secret() = xds::pack(secret);
      *out.mutable_last_updated() = stamp(entry.updated);
      continue;
    }
    auto& out = *dump.add_dynamic_active_secrets();
    out.set_name(name);
    out.set_version_info(entry.version);
    *out.mutable_last_updated() = stamp(entry.updated);
    *out.mutable_secret() = xds::pack(secret);
  }
  return dump;
}

}  // namespace

std::string config_dump(Server& server,
                        const std::vector<std::pair<std::string, std::string>>& query) {
  std::string resource;
  bool has_eds = false;
  for (const auto& [name, value] : query) {
    if (name == "resource") resource = value;
    if (name == "include_eds") has_eds = true;
  }
  data::JsonArray configs;
  const auto add = [&](const google::protobuf::Message& dump) {
    auto json = xds::to_json(xds::pack(dump));
    if (resource.empty()) return configs.push_back(std::move(json));
    const auto* listed = json.if_object()->if_contains(resource);
    if (listed == nullptr) return;
    if (const auto* list = listed->if_array())
      for (const auto& one : *list) configs.push_back(one);
    else configs.push_back(*listed);
  };
  add(bootstrap_dump(server));
  add(clusters_dump(server));
  if (has_eds || resource.find("endpoint") != std::string::npos) add(endpoints_dump(server));
  add(listeners_dump(server));
  add(routes_dump(server));
  add(secrets_dump(server));
  data::JsonObject all;
  all["configs"] = std::move(configs);
  return data::dump_json_pretty(all, 1) + "\n";
}

}  // namespace lateen::proxy
