// analyze and validate: Istio configuration checked as it is in a cluster, in files, or in both.
#include <algorithm>
#include <filesystem>
#include <map>

#include "base/strings.h"
#include "cli/findings.h"
#include "cli/istioctl.h"
#include "data/yaml.h"
#include "data/yaml_lines.h"
#include "kube/object.h"
#include "mesh/analyze/analyze.h"
#include "mesh/kinds.h"

namespace lateen::cli {
namespace {

namespace fs = std::filesystem;

// sysexits of istioctl: what was found decides, not only whether it ran.
constexpr int kFoundIssues = 79;
constexpr int kBadInput = 65;

struct AnalyzeFlags {
  std::vector<std::string> files;
  std::vector<std::string> suppressed;
  std::string output = "log";
  std::string failure_threshold = "Error";
  std::string output_threshold = "Info";
  std::string mesh_config;
  std::string revision = "default";
  std::string timeout = "30s";
  bool is_kube_used = true;
  bool is_everywhere = false;
  bool is_recursive = false;
  bool is_listing = false;
  bool is_verbose = false;
  bool are_unknown_ignored = false;
  bool is_colored = false;
};

// The objects to analyse. Files override what the cluster has under the same kind and name.
class Objects {
 public:
  // `ns` goes to objects that are in a namespace and do not say in which.
  void add(mesh::AnalysisObject made, std::string_view ns) {
    Json& object = made.value;
    static constexpr std::string_view kClusterScoped[] = {"Namespace",
                                                          "Node",
                                                          "CustomResourceDefinition",
                                                          "MutatingWebhookConfiguration",
                                                          "ValidatingWebhookConfiguration",
                                                          "ClusterRole",
                                                          "ClusterRoleBinding",
                                                          "GatewayClass",
                                                          "IngressClass",
                                                          "PersistentVolume"};
    const std::string kind(kube::kind_of(object));
    const bool is_cluster_scoped = std::find(std::begin(kClusterScoped), std::end(kClusterScoped),
                                             kind) != std::end(kClusterScoped);
    if (!is_cluster_scoped && kube::namespace_of(object).empty()) {
      data::set(object, {"metadata", "namespace"}, Json(ns));
    }
    const std::string_view api = kube::api_version_of(object);
    const std::string group(api.substr(0, api.find('/')));
    const std::string key =
        made.cluster + "/" + group + "/" + kind + "/" + kube::key_of(made.value).to_string();
    const auto [at, is_new] = index_.emplace(key, list_.size());
    if (is_new) {
      list_.push_back(std::move(made));
    } else {
      list_[at->second] = std::move(made);
    }
  }
  const std::vector<mesh::AnalysisObject>& list() const { return list_; }

 private:
  std::vector<mesh::AnalysisObject> list_;
  std::map<std::string, std::size_t> index_;
};

Result<> read_kind(kube::Client& client, const kube::Resource& resource, bool is_needed,
                   Objects& objects) {
  auto list = client.list(resource, "");
  if (!list) {
    // Kinds that are not installed have no objects; Secrets may be nobody's business.
    const bool is_absent = list.error().code() == Code::kNotFound || !is_needed;
    return is_absent ? Result<>()
                     : Result<>(std::move(list).error().at("listing " + resource.plural));
  }
  for (Json item : data::get_array(*list, {"items"})) {
    // Items of a list need not say what they are.
    if (kube::kind_of(item).empty()) data::set(item, {"kind"}, Json(resource.kind));
    if (kube::api_version_of(item).empty()) {
      data::set(item, {"apiVersion"},
                Json(resource.group.empty() ? resource.version
                                            : resource.group + "/" + resource.version));
    }
    objects.add({std::move(item)}, "");
  }
  return {};
}

Result<> read_cluster(kube::Client& client, Objects& objects) {
  namespace r = kube::resources;
  for (const auto* each : {&r::namespaces(), &r::pods(), &r::services(), &r::deployments()})
    TRY(read_kind(client, *each, true, objects));
  for (const auto* each : {&r::secrets(), &r::config_maps(), &r::mutating_webhooks()})
    TRY(read_kind(client, *each, false, objects));
  for (const auto& kind : mesh::kinds()) {
    TRY(read_kind(client,
                  {std::string(kind.group), std::string(kind.version), std::string(kind.plural),
                   std::string(kind.kind), true},
                  false, objects));
  }
  return {};
}

Result<> add_file(Session& session, const std::string& path, const std::string& ns,
                  Objects& objects) {
  const std::string text = TRY(read_input(session, path));
  for (const auto& document : TRY(data::parse_yaml_stream(text).at(path))) {
    // Lines of fields are a courtesy: what is too large goes without.
    auto lines = data::yaml_field_lines(text, document.line);
    const auto fields =
        lines ? std::make_shared<const data::FieldLines>(std::move(*lines)) : nullptr;
    std::vector<Json> values{document.value};
    const bool is_list = kube::kind_of(document.value) == "List";
    int index = 0;
    if (is_list)
      values.assign(data::get_array(document.value, {"items"}).begin(),
                    data::get_array(document.value, {"items"}).end());
    for (Json& object : values) {
      if (kube::kind_of(object).empty() || kube::name_of(object).empty()) {
        return invalid(path + ":" + std::to_string(document.line) +
                       ": no Kubernetes object: kind and metadata.name are needed");
      }
      const std::string prefix = is_list ? "items[" + std::to_string(index++) + "]." : "";
      objects.add({std::move(object), path, document.line, fields, prefix}, ns);
    }
  }
  return {};
}

// The file stands for the cluster's mesh config.
Result<> add_mesh_config(Session& session, const std::string& path, Objects& objects) {
  const std::string text = TRY(read_input(session, path));
  TRY(data::parse_yaml(text).at(path));
  Json map = data::JsonObject{{"apiVersion", "v1"}, {"kind", "ConfigMap"}};
  data::set(map, {"metadata"},
            data::JsonObject{{"name", "istio"}, {"namespace", session.istio_ns}});
  data::set(map, {"data"}, data::JsonObject{{"mesh", text}});
  objects.add({std::move(map), path, 1}, "");
  return {};
}

bool is_yaml(const fs::path& path) {
  return path.extension() == ".yaml" || path.extension() == ".yml" || path.extension() == ".json";
}

Result<std::vector<std::string>> expand(Session& session, const AnalyzeFlags& flags) {
  std::vector<std::string> out;
  for (const auto& each : flags.files) {
    std::error_code error;
    if (each == "-" || !fs::is_directory(each, error)) {
      out.push_back(each);
      continue;
    }
    const auto add = [&](const fs::directory_entry& entry) {
      if (entry.is_directory()) return;
      if (is_yaml(entry.path())) out.push_back(entry.path().string());
      else
        session.err << "Skipping file " << entry.path().string()
                    << ", recognized file extensions are: [.json .yaml .yml]\n";
    };
    if (flags.is_recursive)
      for (const auto& entry : fs::recursive_directory_iterator(each, error)) add(entry);
    else
      for (const auto& entry : fs::directory_iterator(each, error)) add(entry);
  }
  return out;
}

// "IST0102=Namespace default", with * as a wildcard in the resource.
bool is_suppressed(const mesh::Finding& finding, const std::vector<std::string>& rules) {
  for (const auto& rule : rules) {
    const auto cut = split_once(rule, "=");
    if (!cut || cut->first != finding.code) continue;
    const std::string_view pattern = cut->second;
    const std::string name = origin_of(finding);
    const auto star = pattern.find('*');
    if (star == std::string_view::npos ? name == pattern
                                       : name.starts_with(pattern.substr(0, star)) &&
                                             name.ends_with(pattern.substr(star + 1))) {
      return true;
    }
  }
  return false;
}

// What --list-analyzers names: one group of checks each.
constexpr std::pair<const char*, const char*> kAnalyzers[] = {
    {"annotations.K8sAnalyzer", "Checks for misplaced, unknown and invalid Istio annotations"},
    {"authn.BlockedCIDRsAnalyzer", "Checks that key sets cannot be fetched from anywhere"},
    {"authz.AuthorizationPoliciesAnalyzer", "Checks the validity of authorization policies"},
    {"deployment.MultiServiceAnalyzer", "Checks deployments that belong to several services"},
    {"deprecation.DeprecationAnalyzer", "Checks for deprecated Istio types and fields"},
    {"destinationrule.CaCertificateAnalyzer",
     "Checks if caCertificates is set when TLS is used to a server"},
    {"destinationrule.PodNotSelectedAnalyzer", "Checks that hosts exist and subsets select pods"},
    {"envoyfilter.EnvoyPatchAnalyzer",
     "Checks an envoyFilter to see if it uses an operation that may be ignored"},
    {"externalcontrolplane.ExternalControlPlaneAnalyzer",
     "Checks the address of an external control plane"},
    {"gateway.CertificateAnalyzer", "Checks for certificates that several gateways share"},
    {"gateway.ConflictingGatewayAnalyzer", "Checks a gateway's selector, port number and hosts"},
    {"gateway.IngressGatewayPortAnalyzer", "Checks a gateway's ports against its service"},
    {"gateway.SecretAnalyzer", "Checks a gateway's referenced secrets for correctness"},
    {"injection.Analyzer", "Checks conditions related to Istio sidecar injection"},
    {"injection.ImageAnalyzer", "Checks the running proxies against the injector's image"},
    {"injection.ImageAutoAnalyzer", "Makes sure that `image: auto` is going to be injected"},
    {"k8sgateway.WorkloadSelectorAnalyzer", "Checks selectors on Kubernetes Gateways"},
    {"schema.ValidationAnalyzer", "Runs schema validation on all Istio kinds"},
    {"selector.Analyzer", "Checks that workload selectors select something, and do not conflict"},
    {"service.PortNameAnalyzer", "Checks the port names of services"},
    {"serviceentry.ConflictingServiceEntryAnalyzer",
     "Checks for service entries that disagree about a port"},
    {"serviceentry.ProtocolAddressesAnalyzer", "Checks that TCP service entries have addresses"},
    {"status.ConditionsAnalyzer", "Checks for negative conditions"},
    {"telemetry.ProviderAnalyzer", "Checks the providers of telemetries"},
    {"telemetry.SelectorAnalyzer", "Checks telemetries that select the same workload"},
    {"virtualservice.ConflictingMeshGatewayHostsAnalyzer",
     "Checks if multiple virtual services of the mesh gateway conflict"},
    {"virtualservice.DestinationHostAnalyzer",
     "Checks the destination hosts, ports and subsets of virtual services"},
    {"virtualservice.GatewayAnalyzer", "Checks the gateways associated with each virtual service"},
    {"virtualservice.JWTClaimRouteAnalyzer", "Checks that claims a route matches are verified"},
    {"virtualservice.MatchesAnalyzer",
     "Checks the order of routes: unreachable and duplicate matches"},
    {"webhook.Analyzer", "Checks the validity of Istio webhooks"},
};

Result<> analyze_all(Session& session, const AnalyzeFlags& flags) {
  if (flags.is_listing) {
    for (const auto& [name, description] : kAnalyzers)
      session.out << "* " << name << ":\n    " << description << "\n";
    return {};
  }
  if (flags.output != "log" && flags.output != "json" && flags.output != "yaml")
    return invalid(flags.output + " not a valid option for format. See istioctl analyze --help");
  mesh::Level failing, showing;
  if (!parse_level(flags.failure_threshold, failing) ||
      !parse_level(flags.output_threshold, showing)) {
    return invalid("thresholds are Info, Warning or Error");
  }
  Objects objects;
  mesh::AnalysisOptions options;
  options.root_namespace = session.istio_ns;
  std::string ns = session.ns.empty() ? "default" : session.ns;
  if (flags.is_kube_used) {
    kube::Client* client = TRY(session.client());
    ns = TRY(session.effective_namespace());
    if (!session.ns.empty() && !client->get(kube::resources::namespaces(), {"", ns}))
      session.err << "namespace \"" << ns << "\" not found\n";
    TRY(read_cluster(*client, objects));
  }
  if (!flags.mesh_config.empty()) TRY(add_mesh_config(session, flags.mesh_config, objects));
  int bad_files = 0;
  for (const auto& file : TRY(expand(session, flags))) {
    // Of files alone, all namespaces are wanted: then what says none is in none.
    const bool is_unbound = flags.is_everywhere && !flags.is_kube_used;
    const auto added = add_file(session, file, is_unbound ? "" : ns, objects);
    if (added) continue;
    session.err << "Error(s) adding files: " << added.error().message() << "\n";
    ++bad_files;
  }
  if (!flags.is_everywhere && flags.is_kube_used) options.namespace_only = ns;
  const std::string target = flags.is_everywhere ? "all namespaces" : "namespace: " + ns;
  auto findings = mesh::analyze(objects.list(), options);
  std::erase_if(findings, [&](const mesh::Finding& each) {
    return each.level < showing || is_suppressed(each, flags.suppressed);
  });
  TRY(print_findings(session, flags.output, findings));
  const bool is_failing =
      std::any_of(findings.begin(), findings.end(),
                  [&](const mesh::Finding& each) { return each.level >= failing; });
  if (is_failing) {
    session.out.flush();
    session.err << "Error: Analyzers found issues when analyzing " << target
                << ".\nSee https://istio.io/latest/docs/reference/config/analysis for more "
                   "information about causes and resolutions.\n";
    session.exit_status = kFoundIssues;
  } else if (findings.empty() && bad_files == 0 && flags.output == "log") {
    // Files alone are named; a cluster is named by its namespace.
    session.err << "✔ No validation issues found when analyzing "
                << (flags.is_kube_used || flags.files.empty() ? target : join(flags.files, "\n"))
                << ".\n";
  }
  if (bad_files > 0) session.exit_status = kBadInput;
  return {};
}

Result<> validate_files(Session& session, const std::vector<std::string>& files) {
  if (files.empty()) return invalid("at least one file must be given with --filename");
  int wrong = 0;
  for (const auto& file : files) {
    const std::string text = TRY(read_input(session, file));
    int of_file = 0;
    const auto documents = data::parse_yaml_stream(text);
    if (!documents) {
      session.err << "Error: " << file << ": " << documents.error().message() << "\n";
      ++wrong;
      continue;
    }
    for (const auto& document : documents.value()) {
      const mesh::Issues issues = mesh::validate(document.value);
      const std::string where = std::string(kube::kind_of(document.value)) + "/" +
                                std::string(kube::namespace_of(document.value)) + "/" +
                                std::string(kube::name_of(document.value));
      for (const auto& warning : issues.warnings)
        session.err << "Warning: " << where << ": " << warning << "\n";
      for (const auto& error : issues.errors)
        session.err << "Error: " << file << ":" << document.line << ": " << where << ": " << error
                    << "\n";
      of_file += static_cast<int>(issues.errors.size());
    }
    if (of_file == 0) session.out << "\"" << file << "\" is valid\n";
    wrong += of_file;
  }
  if (wrong > 0)
    return invalid(std::to_string(wrong) + " error" + (wrong > 1 ? "s" : "") +
                   " occurred: see above");
  return {};
}

}  // namespace

void add_analyze_commands(CLI::App& app, Session& session) {
  auto* command =
      app.add_subcommand("analyze", "Analyze Istio configuration and print validation messages");
  auto flags = std::make_shared<AnalyzeFlags>();
  command->add_option(
      "files", flags->files,
      "Files or directories to analyze, on top of the cluster or with --use-kube=false alone");
  command->add_flag("-k,--use-kube,!--no-use-kube", flags->is_kube_used,
                    "Use the live cluster; --use-kube=false does not");
  command->add_flag("-A,--all-namespaces", flags->is_everywhere, "Analyze all namespaces");
  command->add_flag("-R,--recursive", flags->is_recursive, "Go into directories");
  command->add_flag("-L,--list-analyzers", flags->is_listing, "List the analyzers");
  command->add_flag("-v,--verbose", flags->is_verbose, "Say more");
  command->add_flag("--color,!--no-color", flags->is_colored, "Colour");
  command->add_flag("--ignore-unknown", flags->are_unknown_ignored,
                    "Do not complain about unparseable files");
  command->add_option("-S,--suppress", flags->suppressed, "CODE=RESOURCE to leave out")
      ->allow_extra_args(false);
  command->add_option("-o,--output", flags->output, "log, json or yaml")->capture_default_str();
  command
      ->add_option("--failure-threshold", flags->failure_threshold,
                   "Lowest severity with a non-zero exit status")
      ->capture_default_str();
  command->add_option("--output-threshold", flags->output_threshold, "Lowest severity to show")
      ->capture_default_str();
  command->add_option("--meshConfigFile", flags->mesh_config,
                      "A file with the mesh config to take instead of the cluster's");
  command->add_option("--timeout", flags->timeout, "Accepted for compatibility");
  command->add_option("-r,--revision", flags->revision, "Accepted for compatibility");
  on_run(*command, session, [&session, flags] { return analyze_all(session, *flags); });

  auto* validate =
      app.add_subcommand("validate", "Validate Istio policy and rules files")->alias("v");
  auto files = std::make_shared<std::vector<std::string>>();
  validate->add_option("-f,--filename", *files, "Files to validate")->allow_extra_args(false);
  on_run(*validate, session, [&session, files] { return validate_files(session, *files); });
}

}  // namespace lateen::cli
