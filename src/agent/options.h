// What the agent is told: flags of `pilot-agent proxy`, the environment that injection sets, and
// the pod's downward-API files. Values only; read once at the start.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "data/json.h"

namespace lateen::agent {

enum class Role : unsigned char { kSidecar, kRouter };

struct Options {
  Role role = Role::kSidecar;
  std::string domain;  // "default.svc.cluster.local"
  std::string service_cluster;
  std::string proxy_log_level = "warning";
  std::string component_log_level = "misc:error";
  std::string template_file;  // custom bootstrap template; not supported, refused by name
  std::optional<int> concurrency;

  std::string pod_name;
  std::string pod_namespace;
  std::vector<std::string> ips;  // the first is the node id's
  std::string service_account;
  std::string trust_domain = "cluster.local";
  std::map<std::string, std::string> metadata;  // ISTIO_META_* without the prefix
  data::JsonObject labels;
  data::JsonObject annotations;
  data::Json proxy_config;  // mesh defaultConfig < PROXY_CONFIG < annotation proxy.istio.io/config

  std::string discovery_address = "istiod.istio-system.svc:15012";
  std::string ca_address;  // as discovery_address unless CA_ADDR
  std::string root_certificate_file = "./var/run/secrets/istio/root-cert.pem";
  std::string crl_file = "./var/run/secrets/istio/crl/ca-crl.pem";  // may be missing
  std::string token_file = "./var/run/secrets/tokens/istio-token";
  std::string config_path = "./etc/istio/proxy";
  std::string binary_path = "/usr/local/bin/envoy";
  std::string sds_socket = "./var/run/secrets/workload-spiffe-uds/socket";
  std::string output_certificates;  // directory; empty: none
  seconds certificate_lifetime{24 * 3600};
  double rotation_ratio = 0.5;  // of the lifetime
  double rotation_jitter = 0.01;
  seconds drain_duration{45};
  seconds termination_drain{5};
  seconds minimum_drain{5};
  bool is_exit_on_zero_connections = false;
  bool is_delta_xds = true;
  bool has_dns_capture = false;
  std::string dns_address = "127.0.0.1:15053";
  bool is_single_uid =
      false;  // LATEEN_SINGLE_UID: the proxy marks its sockets instead of being user 1337
  int status_port = 15020;
  int admin_port = 15000;
  int envoy_status_port = 15021;
  int envoy_prometheus_port = 15090;
  std::string app_probers_json;  // ISTIO_KUBE_APP_PROBERS
  std::string prometheus_json;   // ISTIO_PROMETHEUS_ANNOTATIONS

  std::string spiffe_id() const;
  std::string node_id() const;
};

using Environment = std::map<std::string, std::string>;

// `args`: after "proxy": "sidecar --domain …". Files are read below `root` ("" for the real ones).
// The error names the flag, variable or file.
Result<Options> parse_options(const std::vector<std::string>& args, const Environment& environment,
                              const std::string& root = {});

// One `key="value"` a line, as the downward API writes labels and annotations.
data::JsonObject parse_downward_file(std::string_view text);

}  // namespace lateen::agent
