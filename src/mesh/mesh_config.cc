#include "mesh/mesh_config.h"

#include "data/yaml.h"

namespace lateen::mesh {
namespace {

void merge_into(data::JsonObject& base, const data::JsonObject& over) {
  for (const auto& entry : over) {
    data::Json& to = base[entry.key()];
    if (to.is_object() && entry.value().is_object()) {
      merge_into(*to.if_object(), *entry.value().if_object());
    } else {
      to = entry.value();
    }
  }
}

}  // namespace

const ExtensionProvider* MeshConfig::find_provider(std::string_view name) const {
  for (const ExtensionProvider& provider : providers) {
    if (provider.name == name) return &provider;
  }
  return nullptr;
}

data::Json merge_proxy_config(const data::Json& base, const data::Json& over) {
  data::JsonObject merged;
  if (const data::JsonObject* object = base.if_object()) merged = *object;
  // proxyMetadata is replaced key by key, everything else likewise: upstream merges messages.
  if (const data::JsonObject* object = over.if_object()) merge_into(merged, *object);
  return merged;
}

data::Json default_proxy_config() {
  return data::JsonObject{
      {"configPath", "./etc/istio/proxy"},
      {"binaryPath", "/usr/local/bin/envoy"},
      {"serviceCluster", "istio-proxy"},
      {"drainDuration", "45s"},
      {"terminationDrainDuration", "5s"},
      {"discoveryAddress", "istiod.istio-system.svc:15012"},
      {"proxyAdminPort", 15000},
      {"interceptionMode", kDefaultInterceptionMode},
      {"controlPlaneAuthPolicy", "MUTUAL_TLS"},
      {"statNameLength", 189},
      {"statusPort", 15020},
  };
}

data::Json default_mesh_config() {
  return data::JsonObject{
      {"proxyListenPort", 15001},
      {"proxyInboundListenPort", 15006},
      {"connectTimeout", "10s"},
      {"protocolDetectionTimeout", "0s"},
      {"dnsRefreshRate", "60s"},
      {"ingressClass", "istio"},
      {"ingressService", "istio-ingressgateway"},
      {"ingressControllerMode", "STRICT"},
      {"accessLogEncoding", "TEXT"},
      {"enableAutoMtls", true},
      {"enableTracing", true},
      {"enablePrometheusMerge", true},
      {"rootNamespace", "istio-system"},
      {"trustDomain", "cluster.local"},
      {"outboundTrafficPolicy", data::JsonObject{{"mode", "ALLOW_ANY"}}},
      {"localityLbSetting", data::JsonObject{{"enabled", true}}},
      {"defaultProviders", data::JsonObject{{"metrics", data::JsonArray{"prometheus"}}}},
  };
}

Result<MeshConfig> parse_mesh_config(std::string_view yaml, Issues& issues) {
  data::Json given = TRY(data::parse_yaml(yaml).at("mesh config"));
  if (given.is_null()) given = data::JsonObject{};
  if (!given.is_object()) return invalid("mesh config: must be a map of settings", Blame::kConfig);
  MeshConfig config;
  {
    Reader reader(given, "", issues);
    read_mesh_config(reader, config);
  }
  // A field that nobody knows stops nothing: the mesh config is written for many versions.
  std::erase_if(issues.errors, [&](const std::string& text) {
    if (!text.starts_with("unknown field")) return false;
    issues.warn(text + " has no effect");
    return true;
  });
  config.whole = merge_proxy_config(default_mesh_config(), given);
  const data::Json* proxy = data::find(given, {"defaultConfig"});
  config.proxy.whole =
      merge_proxy_config(default_proxy_config(), proxy != nullptr ? *proxy : data::Json());
  data::set(config.whole, {"defaultConfig"}, config.proxy.whole);
  return config;
}

}  // namespace lateen::mesh
