// Flags by CLI11; unknown ones are accepted with a warning, as newer injection templates bring new
// ones.
#include "agent/options.h"

#include <CLI/CLI.hpp>

#include "base/log.h"
#include "base/strings.h"
#include "data/yaml.h"
#include "linux/files.h"

namespace lateen::agent {
namespace {

constexpr std::string_view kMetaPrefix = "ISTIO_META_";
constexpr std::size_t kMostFileBytes = 1 << 20;

std::string get(const Environment& environment, const std::string& name,
                std::string fallback = {}) {
  const auto at = environment.find(name);
  return at != environment.end() && !at->second.empty() ? at->second : std::move(fallback);
}

void merge_into(data::Json& base, const data::Json& over) {
  const auto* from = over.if_object();
  if (from == nullptr) return;
  auto& into = data::ensure_object(base, {});
  for (const auto& member : *from) {
    if (member.value().is_object()) merge_into(into[member.key()], member.value());
    else into[member.key()] = member.value();
  }
}

Result<> merge_yaml(data::Json& config, const std::string& text, std::string_view where) {
  if (text.empty()) return {};
  const data::Json parsed = TRY(data::parse_yaml(text).at(where));
  merge_into(config, parsed);
  return {};
}

Result<> parse_flags(const std::vector<std::string>& args, Options& options) {
  CLI::App app("proxy");
  std::string role, ignored;
  int concurrency = -1;
  app.add_option("role", role);
  app.add_option("--domain", options.domain);
  app.add_option("--serviceCluster", options.service_cluster);
  app.add_option("--proxyLogLevel", options.proxy_log_level);
  app.add_option("--proxyComponentLogLevel", options.component_log_level);
  app.add_option("--concurrency", concurrency);
  app.add_option("--templateFile", options.template_file);
  app.add_option("--trust-domain", options.trust_domain);
  for (const char* name :
       {"--log_output_level", "--log_target", "--log_as_json", "--stsPort", "--outlierLogPath",
        "--meshConfig", "--tokenManagerPlugin", "--profiling", "--log_caller",
        "--log_stacktrace_level", "--controlPlaneAuthPolicy"}) {
    app.add_option(name, ignored)->expected(0, 1);
  }
  app.allow_extras();
  std::vector<std::string> reversed(args.rbegin(), args.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::Error& error) {
    return invalid(std::string("agent flags: ") + error.what());
  }
  for (const auto& extra : app.remaining())
    LOG(kWarn, "agent", "flag {} is not known and is ignored", extra);
  if (role == "sidecar") options.role = Role::kSidecar;
  else if (role == "router") options.role = Role::kRouter;
  else return invalid("agent: the role is \"" + role + "\"; expected sidecar or router");
  if (concurrency >= 0) options.concurrency = concurrency;
  if (!options.template_file.empty())
    return invalid("agent: --templateFile is not supported; use bootstrap overrides");
  return {};
}

Result<> read_proxy_config(const Environment& environment, const std::string& root,
                           Options& options) {
  data::Json config = data::JsonObject();
  if (const auto mesh = os::read_file(root + "./etc/istio/config/mesh", kMostFileBytes)) {
    const data::Json parsed = TRY(data::parse_yaml(*mesh).at("etc/istio/config/mesh"));
    if (const auto* defaults = data::find(parsed, {"defaultConfig"})) merge_into(config, *defaults);
  }
  TRY(merge_yaml(config, get(environment, "PROXY_CONFIG"), "PROXY_CONFIG"));
  if (const auto* own = options.annotations.if_contains("proxy.istio.io/config")) {
    TRY(merge_yaml(config, std::string(data::as_string(*own)), "annotation proxy.istio.io/config"));
  }
  options.proxy_config = std::move(config);
  return {};
}

Result<seconds> seconds_of(const data::Json& config, std::string_view field, seconds fallback) {
  const auto text = data::get_string(config, {field});
  if (text.empty()) return fallback;
  return std::chrono::duration_cast<seconds>(TRY(parse_duration(text).at(field)));
}

Result<> apply_proxy_config(const Environment& environment, Options& options) {
  const auto& config = options.proxy_config;
  options.discovery_address =
      std::string(data::get_string(config, {"discoveryAddress"}, options.discovery_address));
  options.config_path = std::string(data::get_string(config, {"configPath"}, options.config_path));
  options.binary_path = std::string(data::get_string(config, {"binaryPath"}, options.binary_path));
  options.admin_port =
      static_cast<int>(data::get_int(config, {"proxyAdminPort"}, options.admin_port));
  options.status_port =
      static_cast<int>(data::get_int(config, {"statusPort"}, options.status_port));
  options.drain_duration = TRY(seconds_of(config, "drainDuration", options.drain_duration));
  options.termination_drain =
      TRY(seconds_of(config, "terminationDrainDuration", options.termination_drain));
  if (!options.concurrency) {
    if (const auto* value = data::find(config, {"concurrency"}))
      options.concurrency = static_cast<int>(data::as_int(*value).value_or(0));
  }
  for (const auto& member : data::get_object(config, {"proxyMetadata"})) {
    std::string_view name = member.key();
    if (name.starts_with(kMetaPrefix))
      options.metadata[std::string(name.substr(kMetaPrefix.size()))] =
          data::as_string(member.value());
  }
  options.ca_address = get(environment, "CA_ADDR", options.discovery_address);
  return {};
}

}  // namespace

std::string Options::spiffe_id() const {
  return "spiffe://" + trust_domain + "/ns/" + pod_namespace + "/sa/" +
         (service_account.empty() ? "default" : service_account);
}

std::string Options::node_id() const {
  return std::string(role == Role::kSidecar ? "sidecar" : "router") + "~" + ips.front() + "~" +
         pod_name + "." + pod_namespace + "~" + domain;
}

data::JsonObject parse_downward_file(std::string_view text) {
  data::JsonObject out;
  for (const auto line : split(text, '\n')) {
    const auto pair = split_once(line, "=");
    if (!pair) continue;
    const auto value =
        data::parse_json(pair->second);  // A quoted Go string; JSON reads all that occurs.
    out[pair->first] = value && value->is_string() ? *value : data::Json(pair->second);
  }
  return out;
}

Result<Options> parse_options(const std::vector<std::string>& args, const Environment& environment,
                              const std::string& root) {
  Options options;
  TRY(parse_flags(args, options));
  options.pod_name = get(environment, "POD_NAME");
  options.pod_namespace = get(environment, "POD_NAMESPACE");
  options.service_account = get(environment, "SERVICE_ACCOUNT");
  options.trust_domain = get(environment, "TRUST_DOMAIN", options.trust_domain);
  const std::string ips = get(environment, "INSTANCE_IPS", get(environment, "INSTANCE_IP"));
  for (const auto ip : split(ips, ',')) {
    if (!ip.empty()) options.ips.emplace_back(ip);
  }
  if (options.pod_name.empty() || options.pod_namespace.empty() || options.ips.empty()) {
    return invalid(
        "agent: POD_NAME, POD_NAMESPACE and INSTANCE_IP must be set (by the downward API)");
  }
  if (options.domain.empty()) options.domain = options.pod_namespace + ".svc.cluster.local";
  for (const auto& [name, value] : environment) {
    if (name.starts_with(kMetaPrefix)) options.metadata[name.substr(kMetaPrefix.size())] = value;
  }
  if (const auto text = os::read_file(root + "./etc/istio/pod/labels", kMostFileBytes))
    options.labels = parse_downward_file(*text);
  if (const auto text = os::read_file(root + "./etc/istio/pod/annotations", kMostFileBytes))
    options.annotations = parse_downward_file(*text);
  TRY(read_proxy_config(environment, root, options));
  TRY(apply_proxy_config(environment, options));

  options.root_certificate_file = get(
      environment, "XDS_ROOT_CA", get(environment, "CA_ROOT_CA", options.root_certificate_file));
  if (const std::string ttl = get(environment, "SECRET_TTL"); !ttl.empty()) {
    options.certificate_lifetime =
        std::chrono::duration_cast<seconds>(TRY(parse_duration(ttl).at("SECRET_TTL")));
  }
  if (const auto ratio = parse_double(get(environment, "SECRET_GRACE_PERIOD_RATIO")))
    options.rotation_ratio = *ratio;
  if (const std::string least = get(environment, "MINIMUM_DRAIN_DURATION"); !least.empty()) {
    options.minimum_drain = std::chrono::duration_cast<seconds>(
        TRY(parse_duration(least).at("MINIMUM_DRAIN_DURATION")));
  }
  options.output_certificates = get(environment, "OUTPUT_CERTS");
  options.is_exit_on_zero_connections =
      get(environment, "EXIT_ON_ZERO_ACTIVE_CONNECTIONS") == "true";
  options.is_delta_xds = get(environment, "ISTIO_DELTA_XDS", "true") == "true";
  // Looked up, not made: an empty value in the node's metadata is refused by a stock istiod.
  const auto capture = options.metadata.find("DNS_CAPTURE");
  options.has_dns_capture = capture != options.metadata.end() && capture->second == "true";
  options.dns_address = get(environment, "DNS_PROXY_ADDR", options.dns_address);
  options.is_single_uid = get(environment, "LATEEN_SINGLE_UID") == "1";
  options.app_probers_json = get(environment, "ISTIO_KUBE_APP_PROBERS");
  options.prometheus_json = get(environment, "ISTIO_PROMETHEUS_ANNOTATIONS");
  if (const auto port = parse_int(get(environment, "ENVOY_STATUS_PORT")))
    options.envoy_status_port = static_cast<int>(*port);
  if (const auto port = parse_int(get(environment, "ENVOY_PROMETHEUS_PORT")))
    options.envoy_prometheus_port = static_cast<int>(*port);
  return options;
}

}  // namespace lateen::agent
