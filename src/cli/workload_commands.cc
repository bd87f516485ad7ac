// experimental workload: a WorkloadGroup as YAML, and the files that a machine outside of the
// cluster starts with.
#include <algorithm>
#include <filesystem>
#include <map>

#include "base/strings.h"
#include "cli/istioctl.h"
#include "data/yaml.h"
#include "linux/files.h"
#include "mesh/hostname.h"
#include "mesh/mesh_config.h"

namespace lateen::cli {
namespace {

using Map = std::map<std::string, std::string>;

struct GroupFlags {
  std::string name, account = "default", network, locality;
  std::vector<std::string> labels, annotations, ports;
  std::uint32_t weight = 0;
};

data::JsonObject strings_from(const std::vector<std::string>& pairs) {
  data::JsonObject out;
  for (const std::string& each : pairs) {
    const auto pair = split_once(each, "=");
    out[pair ? pair->first : std::string_view(each)] =
        Json(pair ? pair->second : std::string_view());
  }
  return out;
}

Result<> create_group(Session& session, const GroupFlags& flags) {
  if (flags.name.empty()) return invalid("expecting a workload name");
  if (session.ns.empty()) return invalid("expecting a workload namespace");
  data::JsonObject metadata, pattern, ports;
  if (!flags.labels.empty()) metadata["labels"] = strings_from(flags.labels);
  if (!flags.annotations.empty()) metadata["annotations"] = strings_from(flags.annotations);
  for (const std::string& each : flags.ports) {
    const auto pair = split_once(each, "=");
    const auto number = pair ? parse_uint(pair->second) : std::nullopt;
    if (!number || *number > 65'535) return invalid("port \"" + each + "\" must be NAME=NUMBER");
    ports[pair->first] = *number;
  }
  if (!ports.empty()) pattern["ports"] = std::move(ports);
  if (!flags.account.empty()) pattern["serviceAccount"] = flags.account;
  if (!flags.network.empty()) pattern["network"] = flags.network;
  if (!flags.locality.empty()) pattern["locality"] = flags.locality;
  if (flags.weight > 0) pattern["weight"] = flags.weight;
  session.out << data::dump_yaml(data::JsonObject{
      {"apiVersion", "networking.istio.io/v1"},
      {"kind", "WorkloadGroup"},
      {"metadata", data::JsonObject{{"name", flags.name}, {"namespace", session.ns}}},
      {"spec",
       data::JsonObject{{"metadata", std::move(metadata)}, {"template", std::move(pattern)}}}});
  return {};
}

struct ConfigureFlags {
  std::string file, name, directory, cluster_id = "Kubernetes",
                                     ingress_service = "istio-eastwestgateway", ingress_ip;
  std::string internal_ip, external_ip, revision;
  std::int64_t token_seconds = 3600;
  bool registers = false, captures_dns = true;
  CLI::Option* cluster_option = nullptr;

  bool is_revisioned() const { return !revision.empty() && revision != "default"; }
  std::string suffixed(const std::string& name_of) const {
    return is_revisioned() ? name_of + "-" + revision : name_of;
  }
};

Result<> write_file(const std::string& directory, const char* name, const std::string& text) {
  return os::write_file_atomic(directory + "/" + name, text, 0744);
}

// As a shell reads it back, whatever is in it.
std::string quoted(const std::string& value) {
  return "'" + replace_all(value, "'", "'\"'\"'") + "'";
}

std::string env_file(const Map& values) {
  std::string out;
  for (const auto& [key, value] : values) out += key + "=" + quoted(value) + "\n";
  return out;
}

Result<Json> config_map(Session& session, const std::string& name) {
  auto found = TRY(session.client())->get(kube::resources::config_maps(), {session.istio_ns, name});
  if (!found)
    return not_found("configmap " + name + " was not found in namespace " + session.istio_ns +
                     ": " + found.error().message());
  return found;
}

Result<Json> read_group(Session& session, const ConfigureFlags& flags) {
  if (!flags.file.empty())
    return data::parse_yaml(TRY(read_input(session, flags.file))).at(flags.file);
  kube::Client* client = TRY(session.client());
  const auto resource = TRY(client->resource_for("networking.istio.io/v1", "WorkloadGroup"));
  auto found = client->get(resource, {session.ns, flags.name});
  if (!found)
    return not_found("workloadgroup " + flags.name + " not found in namespace " + session.ns +
                     ": " + found.error().message());
  return found;
}

std::string label_of(const data::JsonObject& labels, std::string_view name) {
  const Json* found = labels.if_contains(name);
  return found == nullptr ? std::string() : std::string(data::as_string(*found));
}

std::string first_label(const data::JsonObject& labels,
                        std::initializer_list<std::string_view> names, std::string fallback) {
  for (const auto name : names) {
    if (std::string value = label_of(labels, name); !value.empty()) return value;
  }
  return fallback;
}

// The machine's ProxyConfig: the mesh's, the group's annotations over it, and who it is.
Result<Json> proxy_config(Session& session, const ConfigureFlags& flags, const Json& group) {
  const std::string name = flags.suffixed("istio");
  const Json map = TRY(config_map(session, name));
  const Json mesh =
      TRY(data::parse_yaml(data::get_string(map, {"data", "mesh"})).at("configmap " + name));
  const Json* given = data::find(mesh, {"defaultConfig"});
  Json config = given != nullptr && given->is_object() ? *given : Json(data::JsonObject());
  if (flags.is_revisioned() && data::get_string(config, {"discoveryAddress"}).empty())
    data::set(config, {"discoveryAddress"},
              Json(flags.suffixed("istiod") + "." + session.istio_ns + ".svc:15012"));
  for (const auto* annotations : {&data::get_object(group, {"metadata", "annotations"}),
                                  &data::get_object(group, {"spec", "metadata", "annotations"})}) {
    const std::string text = label_of(*annotations, "proxy.istio.io/config");
    if (!text.empty())
      config = mesh::merge_proxy_config(
          config, TRY(data::parse_yaml(text).at("annotation proxy.istio.io/config")));
  }
  const std::string group_name(kube::name_of(group)), ns(kube::namespace_of(group));
  data::JsonObject labels = data::get_object(group, {"spec", "metadata", "labels"});
  const auto& more = data::get_object(group, {"spec", "template", "labels"});
  if (!more.empty()) {
    session.err << "Labels should be set in the metadata. The following WorkloadEntry labels will "
                   "override metadata labels: "
                << data::dump_json(more) << "\n";
  }
  for (const auto& entry : more) labels[entry.key()] = entry.value();
  if (const Json* probe = data::find(group, {"spec", "probe"}))
    data::set(config, {"readinessProbe"}, *probe);

  const std::string service = first_label(
      labels, {"service.istio.io/canonical-name", "app.kubernetes.io/name", "app"}, group_name);
  const std::string revision = first_label(
      labels, {"service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"},
      "latest");
  data::JsonObject& out = data::ensure_object(config, {"proxyMetadata"});
  out["CANONICAL_SERVICE"] = service;
  out["CANONICAL_REVISION"] = revision;
  out["POD_NAMESPACE"] = ns;
  out["SERVICE_ACCOUNT"] =
      data::get_string(group, {"spec", "template", "serviceAccount"}, "default");
  out["TRUST_DOMAIN"] = data::get_string(mesh, {"trustDomain"});
  out["ISTIO_META_CLUSTER_ID"] = flags.cluster_id;
  out["ISTIO_META_MESH_ID"] = data::get_string(config, {"meshId"});
  out["ISTIO_META_NETWORK"] = data::get_string(group, {"spec", "template", "network"});
  out["ISTIO_META_WORKLOAD_NAME"] = group_name;
  Map sorted;
  for (const auto& entry : data::get_object(group, {"spec", "template", "ports"}))
    sorted[std::string(entry.key())] = std::to_string(data::as_int(entry.value()).value_or(0));
  std::string ports;
  for (const auto& [port, number] : sorted)
    ports +=
        (ports.empty() ? "[" : ",") +
        data::dump_json(data::JsonObject{
            {"name", port}, {"containerPort", parse_int(number).value_or(0)}, {"protocol", ""}});
  if (!ports.empty()) out["ISTIO_META_POD_PORTS"] = ports + "]";
  labels["service.istio.io/canonical-name"] = service;
  labels["service.istio.io/canonical-revision"] = revision;
  Map ordered;
  for (const auto& entry : labels)
    ordered[std::string(entry.key())] = data::as_string(entry.value());
  data::JsonObject of_labels;
  for (const auto& [key, value] : ordered) of_labels[key] = value;
  out["ISTIO_METAJSON_LABELS"] = data::dump_json(of_labels);
  if (flags.captures_dns) out["ISTIO_META_DNS_CAPTURE"] = "true";
  if (flags.registers) out["ISTIO_META_AUTO_REGISTER_GROUP"] = group_name;
  return config;
}

Result<> write_environment(Session& session, const ConfigureFlags& flags, const Json& group,
                           const Json& config) {
  std::string ports;
  for (const auto& entry : data::get_object(group, {"spec", "template", "ports"}))
    ports += (ports.empty() ? "" : ",") + std::to_string(data::as_int(entry.value()).value_or(0));
  // ssh stays reachable whatever happens; the others are the agent's own.
  std::string excluded = "22,15090,15021";
  const auto status = data::get_int(config, {"statusPort"}, 0);
  if (status == 0) excluded += ",15020";
  else if (status != 15'090 && status != 15'021) excluded += "," + std::to_string(status);
  Map values;
  for (const auto& entry : data::get_object(config, {"proxyMetadata"}))
    values[std::string(entry.key())] = data::as_string(entry.value());
  const std::string ns(kube::namespace_of(group));
  values["ISTIO_INBOUND_PORTS"] = ports.empty() ? "*" : ports;
  values["ISTIO_NAMESPACE"] = ns;
  values["ISTIO_SERVICE"] = std::string(kube::name_of(group)) + "." + ns;
  values["ISTIO_SERVICE_CIDR"] = "*";
  values["ISTIO_LOCAL_EXCLUDE_PORTS"] = excluded;
  values["SERVICE_ACCOUNT"] =
      data::get_string(group, {"spec", "template", "serviceAccount"}, "default");
  if (flags.is_revisioned())
    values["CA_ADDR"] = flags.suffixed("istiod") + "." + session.istio_ns + ".svc:15012";
  if (!flags.internal_ip.empty()) {
    values["ISTIO_SVC_IP"] = flags.internal_ip;
  } else if (!flags.external_ip.empty()) {
    values["ISTIO_SVC_IP"] = flags.external_ip;
    values["REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION"] = "true";
  }
  return write_file(flags.directory, "cluster.env", env_file(values));
}

Result<> write_credentials(Session& session, const ConfigureFlags& flags, const Json& group) {
  kube::Client* client = TRY(session.client());
  const std::string ns(kube::namespace_of(group)),
      account(data::get_string(group, {"spec", "template", "serviceAccount"}, "default"));
  const auto root = client->get(kube::resources::config_maps(), {ns, "istio-ca-root-cert"});
  if (!root)
    return not_found("configmap istio-ca-root-cert was not found in namespace " + ns + ": " +
                     root.error().message());
  TRY(write_file(flags.directory, "root-cert.pem",
                 std::string(data::get_string(*root, {"data", "root-cert.pem"}))));
  const Json request =
      data::JsonObject{{"apiVersion", "authentication.k8s.io/v1"},
                       {"kind", "TokenRequest"},
                       {"metadata", data::JsonObject{{"name", account}, {"namespace", ns}}},
                       {"spec", data::JsonObject{{"audiences", data::JsonArray{"istio-ca"}},
                                                 {"expirationSeconds", flags.token_seconds}}}};
  const auto token = client->create_subresource(kube::resources::service_accounts(), {ns, account},
                                                "token", request);
  if (!token)
    return unavailable("could not create a token under service account " + account +
                       " in namespace " + ns + ": " + token.error().message());
  TRY(write_file(flags.directory, "istio-token",
                 std::string(data::get_string(*token, {"status", "token"}))));
  session.err << "Warning: a security token for namespace \"" << ns << "\" and service account \""
              << account << "\" has been generated and stored at \"" << flags.directory
              << "/istio-token\"\n";
  return {};
}

Result<> write_hosts(Session& session, const ConfigureFlags& flags) {
  std::string ip = flags.ingress_ip;
  if (!mesh::is_ip(ip)) {
    const auto pair = split_once(flags.ingress_service, ".");
    const kube::Key key{pair ? std::string(pair->second) : session.istio_ns,
                        pair ? std::string(pair->first) : flags.ingress_service};
    if (const auto service = TRY(session.client())->get(kube::resources::services(), key)) {
      const auto& ingress = data::get_array(*service, {"status", "loadBalancer", "ingress"});
      const auto& external = data::get_array(*service, {"spec", "externalIPs"});
      if (!ingress.empty()) ip = data::get_string(ingress.front(), {"ip"});
      else if (!external.empty()) ip = data::as_string(external.front());
    }
  }
  const std::string host = flags.suffixed("istiod") + "." + session.istio_ns + ".svc";
  if (mesh::is_ip(ip)) return write_file(flags.directory, "hosts", ip + " " + host + "\n");
  session.err
      << "Could not auto-detect IP for " << host << "/" << session.istio_ns
      << ". Use --ingressIP to manually specify the Gateway address to reach istiod from the VM.\n";
  return write_file(flags.directory, "hosts", "");
}

Result<> configure(Session& session, ConfigureFlags flags) {
  if (flags.file.empty() && (flags.name.empty() || session.ns.empty()))
    return invalid(
        "expecting a WorkloadGroup artifact file or the name and namespace of an existing "
        "WorkloadGroup");
  if (flags.directory.empty()) return invalid("expecting an output directory");
  if (!flags.internal_ip.empty() && !flags.external_ip.empty())
    return invalid("the flags --internalIP and --externalIP are mutually exclusive");
  const Json group = TRY(read_group(session, flags));
  if (flags.cluster_option->count() == 0) {
    const Json map = TRY(config_map(session, flags.suffixed("istio-sidecar-injector")));
    const Json values = TRY(data::parse_json(data::get_string(map, {"data", "values"}))
                                .at("failed to automatically determine the --clusterID"));
    if (const auto name = data::get_string(values, {"global", "multiCluster", "clusterName"});
        !name.empty())
      flags.cluster_id = name;
  }
  std::error_code error;
  std::filesystem::create_directories(flags.directory, error);
  if (error)
    return invalid("cannot make the directory " + flags.directory + ": " + error.message());
  const Json config = TRY(proxy_config(session, flags, group));
  TRY(write_file(flags.directory, "mesh.yaml",
                 data::dump_yaml(data::JsonObject{{"defaultConfig", config}})));
  TRY(write_environment(session, flags, group, config));
  TRY(write_credentials(session, flags, group));
  TRY(write_hosts(session, flags));
  session.out << "Configuration generation into directory " << flags.directory
              << " was successful\n";
  return {};
}

void add_create(CLI::App& group, Session& session) {
  auto* create = group.add_subcommand(
      "create",
      "Creates a WorkloadGroup resource that provides a template for associated WorkloadEntries");
  auto flags = std::make_shared<GroupFlags>();
  create->add_option("--name", flags->name, "The name of the workload group");
  create->add_option("-l,--labels", flags->labels, "The labels to apply to the workload instances")
      ->delimiter(',');
  create
      ->add_option("-a,--annotations", flags->annotations,
                   "The annotations to apply to the workload instances")
      ->delimiter(',');
  create
      ->add_option("-p,--ports", flags->ports,
                   "The incoming ports exposed by the workload instance")
      ->delimiter(',');
  create
      ->add_option("-s,--serviceAccount", flags->account,
                   "The service identity of the workload instances")
      ->capture_default_str();
  create->add_option("--network", flags->network, "Endpoints of one network reach each other");
  create->add_option("--locality", flags->locality, "The locality associated with the endpoint.");
  create->add_option("-w,--weight", flags->weight,
                     "The load balancing weight associated with the endpoint.");
  on_run(*create, session, [&session, flags] { return create_group(session, *flags); });
}

void add_configure(CLI::App& entry, Session& session) {
  auto* command =
      entry.add_subcommand("configure",
                           "Generates all the required configuration files for a workload instance "
                           "running on a VM or non-Kubernetes environment");
  auto flags = std::make_shared<ConfigureFlags>();
  command->add_option("-f,--file", flags->file,
                      "The WorkloadGroup as a file; else it is asked of the API server");
  command->add_option("--name", flags->name, "The name of the workload group");
  command->add_option("-o,--output", flags->directory, "Output directory for generated files");
  flags->cluster_option =
      command->add_option("--clusterID", flags->cluster_id, "The ID used to identify the cluster");
  command->add_option("--tokenDuration", flags->token_seconds, "The token duration in seconds")
      ->capture_default_str();
  command
      ->add_option("--ingressService", flags->ingress_service,
                   "SERVICE[.NAMESPACE] of the gateway to istiod")
      ->capture_default_str();
  command->add_option("--ingressIP", flags->ingress_ip, "IP address of the ingress gateway");
  command->add_flag("--autoregister,!--no-autoregister", flags->registers,
                    "Creates a WorkloadEntry upon connection to istiod");
  command->add_flag("--capture-dns,!--no-capture-dns", flags->captures_dns,
                    "The agent answers the machine's DNS; --capture-dns=false: not");
  command->add_option("--internalIP", flags->internal_ip, "Internal IP address of the workload");
  command->add_option("--externalIP", flags->external_ip, "External IP address of the workload");
  command->add_option("-r,--revision", flags->revision, "Control plane revision");
  on_run(*command, session, [&session, flags] { return configure(session, *flags); });
}

}  // namespace

void add_workload_commands(CLI::App& app, Session& session) {
  auto* workload = app.add_subcommand("workload",
                                      "Commands to assist in configuring and deploying workloads "
                                      "running on VMs and other non-Kubernetes environments");
  workload->require_subcommand(1);
  auto* group = workload->add_subcommand("group", "Commands dealing with WorkloadGroup resources");
  group->require_subcommand(1);
  add_create(*group, session);
  auto* entry = workload->add_subcommand("entry", "Commands dealing with WorkloadEntry resources");
  entry->require_subcommand(1);
  add_configure(*entry, session);
}

}  // namespace lateen::cli
