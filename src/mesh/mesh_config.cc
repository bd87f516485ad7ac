#include "mesh/mesh_config.h"

#include "data/yaml.h"

namespace lateen::mesh {
namespace {

using data::get_string;

void read_proxy(Reader& reader, MeshConfig::Proxy& out) {
  reader.accept_all();
  out.discovery_address = reader.text("discoveryAddress", out.discovery_address);
  reader.object("tracing", [&](Reader& tracing) {
    tracing.accept_all();
    out.sampling_percent = tracing.maybe_number("sampling");
    out.max_path_tag_length = tracing.integer("maxPathTagLength");
    tracing.object("zipkin", [&](Reader& r) { out.zipkin_address = r.text("address"); });
  });
  if (out.zipkin_address.empty()) out.zipkin_address = reader.text("zipkinAddress");
  out.concurrency = reader.maybe_integer("concurrency");
  out.holds_application = reader.flag("holdApplicationUntilProxyStarts");
  out.interception_mode = reader.text("interceptionMode", out.interception_mode);
  out.status_port = reader.integer("statusPort", out.status_port);
  out.metadata = reader.map("proxyMetadata");
  reader.object("gatewayTopology", [&](Reader& r) {
    r.accept_all();
    out.trusted_proxies = r.integer("numTrustedProxies");
    out.forward_client_cert = r.text("forwardClientCertDetails");
  });
}

void read_provider(Reader& reader, ExtensionProvider& out) {
  using Kind = ExtensionProvider::Kind;
  out.name = reader.text("name");
  constexpr std::pair<std::string_view, Kind> kKinds[] = {
      {"prometheus", Kind::kPrometheus},
      {"envoyFileAccessLog", Kind::kEnvoyFileAccessLog},
      {"zipkin", Kind::kZipkin},
      {"envoyExtAuthzHttp", Kind::kExtAuthzHttp},
      {"envoyExtAuthzGrpc", Kind::kExtAuthzGrpc},
      {"opentelemetry", Kind::kOpenTelemetry}};
  reader.accept_all();
  for (const auto& [key, kind] : kKinds) {
    reader.object(key, [&, kind = kind, key = key](Reader& r) {
      r.accept_all();
      out.kind = kind;
      out.service = r.text("service");
      out.port = static_cast<int>(r.integer("port"));
      out.path = r.text(kind == Kind::kExtAuthzHttp ? "pathPrefix" : "path");
      if (const data::Json* detail = reader.raw(key)) out.detail = *detail;
    });
  }
}

void read_policies(Reader& reader, MeshConfig& out) {
  reader.object("outboundTrafficPolicy", [&](Reader& r) {
    r.accept_all();
    out.allows_any_outbound = r.text("mode", "ALLOW_ANY") != "REGISTRY_ONLY";
  });
  reader.object("inboundTrafficPolicy", [&](Reader& r) {
    r.accept_all();
    out.is_inbound_localhost = r.text("mode") == "LOCALHOST";
  });
  out.upgrades_to_http2 = reader.text("h2UpgradePolicy") == "UPGRADE";
  reader.object("localityLbSetting", [&](Reader& r) { read_locality_lb(r, out.locality); });
  reader.object("pathNormalization",
                [&](Reader& r) { out.path_normalization = r.text("normalization", "NONE"); });
  reader.object("defaultHttpRetryPolicy", [&](Reader& r) {
    r.accept_all();
    out.default_retry.emplace();
    out.default_retry->attempts = static_cast<int>(r.integer("attempts"));
    out.default_retry->retry_on = r.text("retryOn");
    out.default_retry->per_try_timeout = r.duration("perTryTimeout");
  });
  reader.object("defaultProviders", [&](Reader& r) {
    out.has_default_providers = true;
    out.default_tracing = r.texts("tracing");
    out.default_metrics = r.texts("metrics");
    out.default_access_log = r.texts("accessLogging");
  });
}

void read_mesh(Reader& reader, MeshConfig& out) {
  reader.accept_all();
  const auto port = [&](std::string_view key, int& to) {
    to = static_cast<int>(reader.integer(key, to));
  };
  port("proxyListenPort", out.proxy_listen_port);
  port("proxyInboundListenPort", out.proxy_inbound_listen_port);
  port("proxyHttpPort", out.proxy_http_port);
  if (const auto limit = reader.duration("connectTimeout")) out.connect_timeout = *limit;
  if (const auto rate = reader.duration("dnsRefreshRate")) out.dns_refresh_rate = *rate;
  reader.object("tcpKeepalive", [&](Reader& r) { read_keepalive(r, out.tcp_keepalive.emplace()); });
  out.ingress_class = reader.text("ingressClass", out.ingress_class);
  out.ingress_service = reader.text("ingressService", out.ingress_service);
  out.ingress_selector = reader.text("ingressSelector");
  out.ingress_controller_mode = reader.text("ingressControllerMode", "STRICT");
  out.is_tracing_enabled = reader.flag("enableTracing");
  out.access_log_file = reader.text("accessLogFile");
  out.access_log_format = reader.text("accessLogFormat");
  out.is_access_log_json = reader.text("accessLogEncoding") == "JSON";
  out.is_listener_log_disabled = reader.flag("disableEnvoyListenerLog");
  out.merges_prometheus = reader.flag("enablePrometheusMerge", true);
  out.is_auto_mtls = reader.flag("enableAutoMtls", true);
  out.trust_domain = reader.text("trustDomain", out.trust_domain);
  out.trust_domain_aliases = reader.texts("trustDomainAliases");
  out.root_namespace = reader.text("rootNamespace", out.root_namespace);
  out.service_export_to = reader.texts("defaultServiceExportTo");
  out.virtual_service_export_to = reader.texts("defaultVirtualServiceExportTo");
  out.destination_rule_export_to = reader.texts("defaultDestinationRuleExportTo");
  read_policies(reader, out);
  reader.each("extensionProviders",
              [&](Reader& r) { read_provider(r, out.providers.emplace_back()); });
  reader.object("meshMTLS", [&](Reader& r) {
    r.accept_all();
    out.min_tls_version = r.text("minProtocolVersion");
  });
  if (const data::Json* selectors = reader.raw("discoverySelectors");
      selectors != nullptr && selectors->is_array()) {
    out.discovery_selectors = *selectors->if_array();
  }
  reader.object("defaultConfig", [&](Reader& r) { read_proxy(r, out.proxy); });
}

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
      {"interceptionMode", "REDIRECT"},
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
    read_mesh(reader, config);
  }
  config.whole = merge_proxy_config(default_mesh_config(), given);
  const data::Json* proxy = data::find(given, {"defaultConfig"});
  config.proxy.whole =
      merge_proxy_config(default_proxy_config(), proxy != nullptr ? *proxy : data::Json());
  data::set(config.whole, {"defaultConfig"}, config.proxy.whole);
  return config;
}

}  // namespace lateen::mesh
