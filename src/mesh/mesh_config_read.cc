// Reads MeshConfig field by field. What is read here has an effect; what has none says so.
#include "base/strings.h"
#include "mesh/mesh_config.h"
#include "mesh/virtual_service.h"

namespace lateen::mesh {
namespace {

// Settings of defaultConfig that the proxy's agent takes from PROXY_CONFIG: given to it as they
// are.
constexpr std::string_view kOfTheAgent[] = {"configPath",
                                            "binaryPath",
                                            "serviceCluster",
                                            "tracingServiceName",
                                            "drainDuration",
                                            "terminationDrainDuration",
                                            "statsdUdpAddress",
                                            "proxyAdminPort",
                                            "controlPlaneAuthPolicy",
                                            "customConfigFile",
                                            "statNameLength",
                                            "proxyBootstrapTemplatePath",
                                            "envoyMetricsService",
                                            "runtimeValues",
                                            "extraStatTags",
                                            "meshId",
                                            "readinessProbe",
                                            "proxyStatsMatcher",
                                            "caCertificatesPem",
                                            "image",
                                            "privateKeyProvider",
                                            "fileFlushInterval",
                                            "fileFlushMinSizeKb",
                                            "statsCompression",
                                            "availabilityZone",
                                            "envoyMetricsServiceAddress"};

void read_tracing(Reader& reader, MeshConfig::Proxy& out) {
  out.sampling_percent = reader.maybe_number("sampling");
  out.max_path_tag_length = reader.integer("maxPathTagLength");
  reader.object("zipkin", [&](Reader& r) { out.zipkin_address = r.text("address"); });
  reader.each_entry("customTags", [&](const std::string& name, Reader& tag) {
    tag.object("literal", [&](Reader& r) { out.custom_tags[name] = r.text("value"); });
    tag.unused("environment", "set customTags in a Telemetry");
    tag.unused("header", "set customTags in a Telemetry");
  });
  reader.unused("enableIstioTags", "set enableIstioTags in a Telemetry");
  for (const char* old : {"lightstep", "datadog", "stackdriver", "openCensusAgent"}) {
    reader.unused(old, "name an extension provider in defaultProviders.tracing");
  }
  reader.unused("tlsSettings", "write a DestinationRule for the collector");
}

void read_proxy(Reader& reader, MeshConfig::Proxy& out) {
  for (const std::string_view name : kOfTheAgent) reader.raw(name);
  out.discovery_address = reader.text("discoveryAddress", out.discovery_address);
  reader.object("tracing", [&](Reader& r) { read_tracing(r, out); });
  const std::string zipkin = reader.text("zipkinAddress");
  if (out.zipkin_address.empty()) out.zipkin_address = zipkin;
  out.concurrency = reader.maybe_integer("concurrency");
  out.holds_application = reader.flag("holdApplicationUntilProxyStarts");
  out.interception_mode = reader.text("interceptionMode", out.interception_mode);
  out.status_port = reader.integer("statusPort", out.status_port);
  out.metadata = reader.map("proxyMetadata");
  reader.object("gatewayTopology", [&](Reader& r) {
    out.trusted_proxies = r.integer("numTrustedProxies");
    out.forward_client_cert = r.text("forwardClientCertDetails");
    out.accepts_proxy_protocol = r.object("proxyProtocol", [](Reader&) {});
  });
  reader.unused("envoyAccessLogService", "name an envoyHttpAls provider");
  reader.unused("discoveryRefreshDelay", "proxies are pushed to, they do not poll");
  reader.unused("sds", "certificates always come over SDS");
  reader.unused("proxyHeaders", "headers are Istio's defaults");
  reader.unused("connectionSettings", "limits are Istio's defaults");
}

void read_provider(Reader& reader, ExtensionProvider& out) {
  using Kind = ExtensionProvider::Kind;
  out.name = reader.text("name");
  constexpr std::pair<std::string_view, Kind> kKinds[] = {
      {"prometheus", Kind::kPrometheus},         {"envoyFileAccessLog", Kind::kEnvoyFileAccessLog},
      {"envoyHttpAls", Kind::kHttpAls},          {"envoyTcpAls", Kind::kTcpAls},
      {"envoyOtelAls", Kind::kOtelAls},          {"zipkin", Kind::kZipkin},
      {"opentelemetry", Kind::kOpenTelemetry},   {"datadog", Kind::kDatadog},
      {"skywalking", Kind::kSkyWalking},         {"envoyExtAuthzHttp", Kind::kExtAuthzHttp},
      {"envoyExtAuthzGrpc", Kind::kExtAuthzGrpc}};
  for (const auto& [key, kind] : kKinds) {
    reader.object(key, [&, kind = kind, key = key](Reader& r) {
      r.accept_all();
      out.kind = kind;
      out.service = r.text("service");
      out.port = static_cast<int>(r.integer("port"));
      out.path = r.text(kind == Kind::kExtAuthzHttp ? "pathPrefix" : "path");
      if (const data::Json* detail = reader.raw(key)) out.detail = *detail;
      for (const char* detail :
           {"resourceDetectors", "serviceAttributeEnrichment", "dynatraceSampler", "accessToken"}) {
        r.unused(detail, "the collector is told the workload's name only");
      }
      if (kind == Kind::kZipkin) {
        r.unused("timeout", "spans are sent with the proxy's own limit");
        r.unused("headers", "write a VirtualService for the collector");
      }
      const bool asks_service = kind != Kind::kPrometheus && kind != Kind::kEnvoyFileAccessLog;
      if (asks_service && (out.service.empty() || out.port == 0)) {
        r.warn("service", "a service and a port are needed; the provider is not used");
      }
    });
  }
  for (const char* old : {"lightstep", "stackdriver", "opencensus"}) {
    reader.unused(old, "use opentelemetry");
  }
  reader.unused("sds", "use credentialName with a Secret");
}

void read_tls(Reader& reader, MeshConfig::TlsDefaults& out) {
  out.min_version = reader.text("minProtocolVersion");
  out.ecdh_curves = reader.texts("ecdhCurves");
  out.cipher_suites = reader.texts("cipherSuites");
}

void read_policies(Reader& reader, MeshConfig& out) {
  reader.object("outboundTrafficPolicy", [&](Reader& r) {
    out.allows_any_outbound = r.text("mode", "ALLOW_ANY") != "REGISTRY_ONLY";
    r.unused("tls", "TLS to unknown hosts passes through");
  });
  reader.object("inboundTrafficPolicy",
                [&](Reader& r) { out.is_inbound_localhost = r.text("mode") == "LOCALHOST"; });
  out.upgrades_to_http2 = reader.text("h2UpgradePolicy") == "UPGRADE";
  reader.object("localityLbSetting", [&](Reader& r) { read_locality_lb(r, out.locality); });
  reader.object("zoneAwareLbSetting",
                [&](Reader& r) { read_zone_aware_lb(r, out.zone_aware.emplace()); });
  reader.object("defaultTrafficPolicy", [&](Reader& r) {
    r.object("connectionPool", [&](Reader& pool) {
      read_connection_pool(pool, out.default_connection_pool.emplace());
    });
    r.object("outlierDetection",
             [&](Reader& outlier) { read_outlier(outlier, out.default_outlier.emplace()); });
  });
  reader.object("pathNormalization",
                [&](Reader& r) { out.path_normalization = r.text("normalization", "DEFAULT"); });
  reader.object("defaultHttpRetryPolicy",
                [&](Reader& r) { read_retry(r, out.default_retry.emplace()); });
  reader.unused("defaultInboundHttpRetryPolicy",
                "proxies do not repeat towards their own workload");
  reader.object("defaultProviders", [&](Reader& r) {
    out.has_default_providers = true;
    out.default_tracing = r.texts("tracing");
    out.default_metrics = r.texts("metrics");
    out.default_access_log = r.texts("accessLogging");
  });
}

void read_ingress_and_logs(Reader& reader, MeshConfig& out) {
  out.ingress_class = reader.text("ingressClass", out.ingress_class);
  out.ingress_service = reader.text("ingressService", out.ingress_service);
  out.ingress_selector = reader.text("ingressSelector");
  out.ingress_controller_mode = reader.text("ingressControllerMode", "STRICT");
  out.is_tracing_enabled = reader.flag("enableTracing", out.is_tracing_enabled);
  out.access_log_file = reader.text("accessLogFile");
  out.access_log_format = reader.text("accessLogFormat");
  out.is_access_log_json = reader.text("accessLogEncoding") == "JSON";
  reader.unused("enableEnvoyAccessLogService", "name an envoyHttpAls provider");
  out.is_listener_log_disabled = reader.flag("disableEnvoyListenerLog");
  out.merges_prometheus = reader.flag("enablePrometheusMerge", true);
}

// Known, and without effect.
void read_unused(Reader& reader) {
  reader.unused("hboneIdleTimeout", "this mesh has no ambient mode");
  reader.unused("configSources", "config is read from the API server");
  reader.unused("certificates", "the control plane makes its own certificates");
  reader.unused("serviceSettings", "there is one cluster");
  reader.unused("serviceScopeConfigs", "this mesh has no ambient mode");
  reader.unused("verifyCertificateAtClient", "set caCertificates: system in a DestinationRule");
  reader.unused("ca", "certificates are signed by the control plane");
  reader.unused("serviceEntryVisibility", "set exportTo");
}

}  // namespace

void read_mesh_config(Reader& reader, MeshConfig& out) {
  const auto port = [&](std::string_view key, int& to) {
    to = static_cast<int>(reader.integer(key, to));
  };
  port("proxyListenPort", out.proxy_listen_port);
  port("proxyInboundListenPort", out.proxy_inbound_listen_port);
  reader.unused("proxyHttpPort", "proxies take HTTP as it comes, not as an HTTP proxy");
  if (const auto limit = reader.duration("connectTimeout")) out.connect_timeout = *limit;
  if (const auto rate = reader.duration("dnsRefreshRate")) out.dns_refresh_rate = *rate;
  if (const auto wait = reader.duration("protocolDetectionTimeout")) {
    out.protocol_detection_timeout = *wait;
  }
  reader.object("tcpKeepalive", [&](Reader& r) { read_keepalive(r, out.tcp_keepalive.emplace()); });
  read_ingress_and_logs(reader, out);
  out.is_auto_mtls = reader.flag("enableAutoMtls", true);
  out.trust_domain = reader.text("trustDomain", out.trust_domain);
  out.trust_domain_aliases = reader.texts("trustDomainAliases");
  out.root_namespace = reader.text("rootNamespace", out.root_namespace);
  out.service_export_to = reader.texts("defaultServiceExportTo");
  out.virtual_service_export_to = reader.texts("defaultVirtualServiceExportTo");
  out.destination_rule_export_to = reader.texts("defaultDestinationRuleExportTo");
  out.inbound_stat_name = reader.text("inboundClusterStatName");
  out.outbound_stat_name = reader.text("outboundClusterStatName");
  read_policies(reader, out);
  reader.each("extensionProviders",
              [&](Reader& r) { read_provider(r, out.providers.emplace_back()); });
  reader.object("meshMTLS", [&](Reader& r) { read_tls(r, out.mutual_tls); });
  reader.object("tlsDefaults", [&](Reader& r) { read_tls(r, out.other_tls); });
  reader.each("caCertificates", [&](Reader& r) {
    if (std::string pem = r.text("pem"); !pem.empty()) out.extra_roots.push_back(std::move(pem));
    r.unused("spiffeBundleUrl", "give the certificates as pem");
    r.unused("certSigners", "certificates are signed by the control plane");
    r.unused("trustDomains", "every root is trusted for every trust domain");
  });
  if (const data::Json* selectors = reader.raw("discoverySelectors");
      selectors != nullptr && selectors->is_array()) {
    out.discovery_selectors = *selectors->if_array();
  }
  reader.object("defaultConfig", [&](Reader& r) { read_proxy(r, out.proxy); });
  read_unused(reader);
}

}  // namespace lateen::mesh
