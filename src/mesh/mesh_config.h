// MeshConfig: the mesh-wide settings in ConfigMap istio, key "mesh" (YAML), with upstream's
// defaults.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mesh/destination_rule.h"
#include "mesh/virtual_service.h"

namespace lateen::mesh {

// How sidecars take over traffic when nobody says how.
inline constexpr std::string_view kDefaultInterceptionMode = "REDIRECT";

struct ExtensionProvider {
  enum class Kind : unsigned char {
    kOther,
    kPrometheus,
    kEnvoyFileAccessLog,
    kHttpAls,  // Envoy's gRPC access log service
    kTcpAls,
    kOtelAls,
    kZipkin,
    kOpenTelemetry,
    kDatadog,
    kSkyWalking,
    kExtAuthzHttp,
    kExtAuthzGrpc,
  };
  std::string name;
  Kind kind = Kind::kOther;
  std::string service;  // of those that ask or tell one: "host" or "namespace/host"
  int port = 0;
  std::string path;   // access log file; ext authz path prefix; zipkin's and OTLP's path
  data::Json detail;  // the provider's own object
  bool is_tracer() const {
    return kind == Kind::kZipkin || kind == Kind::kOpenTelemetry || kind == Kind::kDatadog ||
           kind == Kind::kSkyWalking;
  }
};

struct MeshConfig {
  int proxy_listen_port = 15001;
  int proxy_inbound_listen_port = 15006;
  nanoseconds connect_timeout = seconds(10);
  std::optional<TcpKeepalive> tcp_keepalive;
  nanoseconds dns_refresh_rate = seconds(60);
  std::string ingress_class = "istio";
  std::string ingress_service = "istio-ingressgateway";
  std::string ingress_selector;
  std::string ingress_controller_mode = "STRICT";
  bool is_tracing_enabled = true;
  std::string access_log_file, access_log_format;
  bool is_access_log_json = false;
  bool is_listener_log_disabled = false;
  bool merges_prometheus = true;
  bool allows_any_outbound = true;    // outboundTrafficPolicy
  bool is_inbound_localhost = false;  // inboundTrafficPolicy
  bool is_auto_mtls = true;
  std::string trust_domain = "cluster.local";
  std::vector<std::string> trust_domain_aliases;
  std::string root_namespace = "istio-system";
  std::vector<std::string> service_export_to, virtual_service_export_to, destination_rule_export_to;
  bool upgrades_to_http2 = false;  // h2UpgradePolicy
  LocalityLb locality;
  std::optional<ZoneAwareLb> zone_aware;
  std::optional<ConnectionPool> default_connection_pool;  // defaultTrafficPolicy
  std::optional<OutlierDetection> default_outlier;
  nanoseconds protocol_detection_timeout{};
  std::string inbound_stat_name, outbound_stat_name;  // inboundClusterStatName, …
  std::optional<HttpRetry> default_retry;
  std::string path_normalization = "DEFAULT";  // that is BASE
  std::vector<ExtensionProvider> providers;
  std::vector<std::string> default_tracing, default_metrics, default_access_log;
  bool has_default_providers = false;
  struct TlsDefaults {
    std::string min_version;
    std::vector<std::string> ecdh_curves, cipher_suites;
  };
  TlsDefaults mutual_tls;  // meshMTLS: between proxies
  TlsDefaults other_tls;   // tlsDefaults: what Gateways and DestinationRules set up themselves
  std::vector<std::string> extra_roots;  // caCertificates: PEM that workloads trust too
  data::JsonArray discovery_selectors;

  // defaultConfig (ProxyConfig)
  struct Proxy {
    std::string discovery_address = "istiod.istio-system.svc:15012";
    std::string zipkin_address;  // tracing.zipkin.address
    std::optional<double> sampling_percent;
    std::int64_t max_path_tag_length = 0;
    std::optional<std::int64_t> concurrency;
    bool holds_application = false;
    std::string interception_mode{kDefaultInterceptionMode};
    std::int64_t status_port = 15020;
    Labels metadata;                   // proxyMetadata
    std::int64_t trusted_proxies = 0;  // gatewayTopology.numTrustedProxies
    std::string forward_client_cert;
    bool accepts_proxy_protocol = false;    // gatewayTopology.proxyProtocol
    Labels custom_tags;                     // tracing.customTags that are literals
    data::Json whole = data::JsonObject{};  // as given, for the injector
  };
  Proxy proxy;
  data::Json whole = data::JsonObject{};  // as given, for templates and /debug/mesh

  const ExtensionProvider* find_provider(std::string_view name) const;
};
void read_mesh_config(Reader& reader, MeshConfig& out);

// `yaml` is the ConfigMap's text; unknown fields are warnings, wrong values errors.
Result<MeshConfig> parse_mesh_config(std::string_view yaml, Issues& issues);
// Lays a ProxyConfig (annotation proxy.istio.io/config, or a ProxyConfig object) over `base`.
data::Json merge_proxy_config(const data::Json& base, const data::Json& over);
// ProxyConfig with upstream's defaults for what is not set: what templates see as .ProxyConfig and
// .MeshConfig.
data::Json default_proxy_config();
data::Json default_mesh_config();

}  // namespace lateen::mesh
