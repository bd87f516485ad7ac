// /config_dump as envoy.admin.v3.ConfigDump; ?include_eds, ?resource=, ?mask=, ?name_regex=.
// Private keys are replaced.

#include "base/strings.h"
#include "envoy/admin/v3/config_dump.pb.h"
#include "envoy/admin/v3/config_dump_shared.pb.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/core/v3/extension.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "proxy/admin/admin.h"
#include "proxy/match/string_matcher.h"
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

admin::EcdsConfigDump extensions_dump(Server& server) {
  admin::EcdsConfigDump dump;
  for (const auto& [name, raw] : server.listeners().extensions()) {
    auto& out = *dump.add_ecds_filters();
    out.set_version_info(raw.version);
    envoy::config::core::v3::TypedExtensionConfig filter;
    filter.set_name(name);
    *filter.mutable_typed_config() = raw.body;
    *out.mutable_ecds_filter() = xds::pack(filter);
    *out.mutable_last_updated() = stamp(raw.updated);
  }
  return dump;
}

// The name of what an element of a dump holds; empty: it has none.
std::string name_in(const data::JsonObject& element) {
  for (const char* field : {"name", "cluster_name"})
    if (const auto* name = element.if_contains(field); name != nullptr && name->is_string())
      return std::string(data::as_string(*name));
  for (const char* field : {"cluster", "listener", "active_state", "route_config",
                            "endpoint_config", "secret", "ecds_filter"})
    if (const auto* inner = element.if_contains(field))
      if (const auto* object = inner->if_object()) return name_in(*object);
  return {};
}

// Keeps the elements of lists whose name matches.
void filter_names(data::JsonObject& dump, const Regex& wanted) {
  for (auto& entry : dump) {
    auto* list = entry.value().if_array();
    if (list == nullptr) continue;
    data::JsonArray kept;
    for (auto& one : *list)
      if (const auto* object = one.if_object();
          object == nullptr || wanted.matches_all(name_in(*object)))
        kept.push_back(std::move(one));
    *list = std::move(kept);
  }
}

// Keeps what the paths name; in lists of each element.
data::Json masked(const data::Json& from, const std::vector<std::string>& paths) {
  if (const auto* list = from.if_array()) {
    data::JsonArray made;
    for (const auto& one : *list) made.push_back(masked(one, paths));
    return made;
  }
  const auto* object = from.if_object();
  if (object == nullptr) return from;
  data::JsonObject made;
  if (const auto* type = object->if_contains("@type")) made["@type"] = *type;
  for (const auto& entry : *object) {
    const std::string name(entry.key());
    std::vector<std::string> below;
    bool is_whole = false;
    for (const auto& path : paths) {
      if (path == name) is_whole = true;
      else if (path.starts_with(name + ".")) below.push_back(path.substr(name.size() + 1));
    }
    if (is_whole) made[name] = entry.value();
    else if (!below.empty()) made[name] = masked(entry.value(), below);
  }
  return made;
}

}  // namespace

Result<std::string> config_dump(Server& server, const DumpQuery& query) {
  std::optional<Regex> names;
  if (!query.name_regex.empty()) {
    auto regex = Regex::compile(query.name_regex);
    if (!regex.ok())
      return invalid("INVALID_ARGUMENT: Error while parsing name_regex from " + query.name_regex +
                     ": " + regex.error().message());
    names = *std::move(regex);
  }
  std::vector<std::string> paths;
  for (const auto path : split(query.mask, ','))
    if (!trim(path).empty()) paths.emplace_back(trim(path));
  data::JsonArray configs;
  bool is_found = query.resource.empty(), is_single = false;
  const auto add = [&](const google::protobuf::Message& dump) {
    auto json = xds::to_json(xds::pack(dump));
    auto& object = *json.if_object();
    if (names) filter_names(object, *names);
    if (query.resource.empty()) {
      if (!paths.empty()) json = masked(json, paths);
      // Of a mask that names nothing of it only the type is left.
      if (paths.empty() || json.if_object()->size() > 1) configs.push_back(std::move(json));
      return;
    }
    const auto* field = dump.GetDescriptor()->FindFieldByName(query.resource);
    if (field == nullptr) return;
    is_found = true;
    is_single = !field->is_repeated();
    const auto* listed = object.if_contains(query.resource);
    const auto* list = listed == nullptr ? nullptr : listed->if_array();
    if (list == nullptr) return;
    for (const auto& one : *list) configs.push_back(paths.empty() ? one : masked(one, paths));
  };
  add(bootstrap_dump(server));
  add(clusters_dump(server));
  if (query.has_endpoints || query.resource.find("endpoint") != std::string::npos)
    add(endpoints_dump(server));
  add(listeners_dump(server));
  add(routes_dump(server));
  add(secrets_dump(server));
  if (!server.listeners().extensions().empty() || query.resource == "ecds_filters")
    add(extensions_dump(server));
  if (!is_found) return Error(Code::kNotFound, query.resource + " not found in config dump");
  if (is_single)
    return invalid(query.resource + " is not a repeated field. Use ?mask=" + query.resource +
                   " to get only this field");
  data::JsonObject all;
  if (!configs.empty() || query.resource.empty()) all["configs"] = std::move(configs);
  return data::dump_json_pretty(all, 1) + "\n";
}

// What keeps the start, or a listener, waiting.
std::string init_dump(Server& server) {
  data::JsonArray clusters, listeners;
  for (const auto& [name, entry] : server.clusters().entries())
    if (!entry->is_published) clusters.emplace_back("cluster " + name);
  for (const auto& [name, entry] : server.listeners().entries())
    if (entry->active == nullptr || entry->raw_warming != nullptr)
      listeners.emplace_back("listener " + name);
  data::JsonArray targets;
  if (!clusters.empty())
    targets.push_back(
        data::JsonObject{{"name", "init manager Clusters"}, {"target_names", std::move(clusters)}});
  if (!listeners.empty())
    targets.push_back(data::JsonObject{{"name", "init manager Listeners"},
                                       {"target_names", std::move(listeners)}});
  data::JsonObject all;
  if (!targets.empty()) all["unready_targets_dumps"] = std::move(targets);
  return data::dump_json_pretty(all, 1) + "\n";
}

}  // namespace lateen::proxy
