// experimental precheck: whether the cluster can take an installation or an upgrade.
#include <algorithm>

#include "base/strings.h"
#include "cli/findings.h"
#include "cli/istioctl.h"

namespace lateen::cli {
namespace {

constexpr int kOldestMinor = 29;  // of Kubernetes that Istio's current release supports

struct Flags {
  std::string output = "log", output_threshold = "Info", from_version, revision;
  bool skips_control_plane = false;
};

mesh::Finding finding_of(std::string_view code, std::string message, const Json* about = nullptr) {
  mesh::Finding out;
  out.code = code;
  for (const auto& kind : mesh::finding_kinds()) {
    if (kind.code != code) continue;
    out.name = kind.name;
    out.level = kind.level;
  }
  out.message = std::move(message);
  out.kind = about == nullptr ? "Cluster" : std::string(kube::kind_of(*about));
  if (about != nullptr) {
    out.ns = kube::namespace_of(*about);
    out.object = kube::name_of(*about);
  }
  return out;
}

using Findings = std::vector<mesh::Finding>;

Result<> check_version(kube::Client& client, Findings& out) {
  http::PlainRequest request;
  request.url = "/version";
  const auto reply = TRY(client.raw(request).at("failed to get the Kubernetes version"));
  const Json version = TRY(data::parse_json(reply.body).at("/version"));
  std::string digits(data::get_string(version, {"minor"}));
  digits = digits.substr(0, digits.find_first_not_of("0123456789"));
  const auto minor = parse_int(digits);
  if (!minor || *minor >= kOldestMinor) return {};
  out.push_back(finding_of("IST0142", "The Kubernetes Version \"" +
                                          std::string(data::get_string(version, {"gitVersion"})) +
                                          "\" is lower than the minimum version: 1." +
                                          std::to_string(kOldestMinor)));
  return {};
}

struct Needed {
  bool is_of_istio;  // in the control plane's namespace
  const char *group, *resource;
};
constexpr Needed kNeeded[] = {
    {false, "", "namespaces"},
    {false, "rbac.authorization.k8s.io", "clusterroles"},
    {false, "rbac.authorization.k8s.io", "clusterrolebindings"},
    {false, "apiextensions.k8s.io", "customresourcedefinitions"},
    {true, "rbac.authorization.k8s.io", "roles"},
    {true, "", "serviceaccounts"},
    {true, "", "services"},
    {true, "apps", "deployments"},
    {true, "", "configmaps"},
    {false, "admissionregistration.k8s.io", "mutatingwebhookconfigurations"},
    {false, "admissionregistration.k8s.io", "validatingwebhookconfigurations"}};

void check_permissions(kube::Client& client, const std::string& istio_ns, Findings& out) {
  const kube::Resource reviews{"authorization.k8s.io", "v1", "selfsubjectaccessreviews",
                               "SelfSubjectAccessReview", false};
  for (const Needed& each : kNeeded) {
    Json review = data::JsonObject{{"apiVersion", reviews.api_version()}, {"kind", reviews.kind}};
    data::set(review, {"spec", "resourceAttributes"},
              data::JsonObject{{"namespace", each.is_of_istio ? istio_ns : ""},
                               {"verb", "create"},
                               {"group", each.group},
                               {"version", "v1"},
                               {"resource", each.resource}});
    const auto answer = client.create(reviews, review);
    if (answer && data::get_bool(*answer, {"status", "allowed"})) continue;
    std::string why = answer ? std::string(data::get_string(*answer, {"status", "reason"}))
                             : answer.error().message();
    if (why.empty()) why = "permission denied";
    out.push_back(finding_of("IST0141", "Missing required permission to create resource " +
                                            std::string(each.resource) + " (" + why + ")"));
  }
}

Result<> check_gateway_api(kube::Client& client, Findings& out) {
  const Json crds = TRY(client.list(kube::resources::crds(), ""));
  for (Json crd : data::get_array(crds, {"items"})) {
    if (data::get_string(crd, {"spec", "group"}) != "gateway.networking.k8s.io") continue;
    data::set(crd, {"kind"}, Json("CustomResourceDefinition"));
    std::vector<std::string> served;
    for (const Json& version : data::get_array(crd, {"spec", "versions"})) {
      if (data::get_bool(version, {"served"}))
        served.emplace_back(data::get_string(version, {"name"}));
    }
    std::sort(served.begin(), served.end());
    const auto serves = [&](std::string_view version) {
      return std::find(served.begin(), served.end(), version) != served.end();
    };
    const auto kind = data::get_string(crd, {"spec", "names", "kind"});
    const bool is_core = kind == "Gateway" || kind == "GatewayClass" || kind == "HTTPRoute";
    const std::string has = served.empty() ? "none" : join(served, ",");
    const auto report = [&](std::string_view code, std::string_view oldest) {
      out.push_back(finding_of(code,
                               "The Gateway API CRD version " + has +
                                   " is lower than the minimum version: " + std::string(oldest),
                               &crd));
    };
    if ((is_core || kind == "ReferenceGrant") && !serves("v1beta1")) report("IST0156", "v1beta1");
    if ((is_core || kind == "GRPCRoute") && !serves("v1")) report("IST0172", "v1");
  }
  return {};
}

// Annotations of alpha features, which an upgrade may change.
Result<> check_alpha(kube::Client& client, const std::string& ns, const std::string& istio_ns,
                     Findings& out) {
  std::vector<mesh::AnalysisObject> objects;
  namespace r = kube::resources;
  for (const auto* each : {&r::namespaces(), &r::services(), &r::pods(), &r::deployments()}) {
    const Json list = TRY(client.list(*each, ""));
    for (Json item : data::get_array(list, {"items"})) {
      data::set(item, {"kind"}, Json(each->kind));
      data::set(item, {"apiVersion"}, Json(each->api_version()));
      objects.push_back({std::move(item)});
    }
  }
  mesh::AnalysisOptions options;
  options.reports_alpha = true;
  options.namespace_only = ns;
  options.root_namespace = istio_ns;
  for (mesh::Finding& each : mesh::analyze(objects, options)) {
    if (each.code == "IST0136") out.push_back(std::move(each));
  }
  return {};
}

// What changed since the version that is installed.
Result<> check_changes(kube::Client& client, const std::string& version, Findings& out) {
  const auto parts = split_once(version, ".");
  if (!parts) return invalid("invalid version " + version + ", expected format like '1.0'");
  if (parts->first != "1")
    return invalid("expected major version 1, got " + std::string(parts->first));
  const auto minor = parse_int(parts->second);
  if (!minor) return invalid("minor version is not a number: " + std::string(parts->second));
  if (*minor > 21) return {};
  auto zipkin = client.get(kube::resources::services(), {"istio-system", "zipkin"});
  if (!zipkin) {
    if (zipkin.error().code() == Code::kNotFound) return {};
    return std::move(zipkin).error();
  }
  out.push_back(finding_of(
      "IST0169",
      "The configuration \"meshConfig.defaultConfig.tracer\" changed in release 1.21: tracing is "
      "no "
      "longer by default enabled to send to 'zipkin.istio-system.svc'; follow "
      "https://istio.io/latest/docs/tasks/observability/distributed-tracing/telemetry-api/. Or, "
      "install with `--set compatibilityVersion=1.21` to retain the old default.",
      &*zipkin));
  return {};
}

Result<> precheck(Session& session, const Flags& flags) {
  mesh::Level showing;
  if (!parse_level(flags.output_threshold, showing))
    return invalid("thresholds are Info, Warning or Error");
  kube::Client* client = TRY(session.client());
  Findings found;
  if (!flags.skips_control_plane) {
    TRY(check_version(*client, found));
    check_permissions(*client, session.istio_ns, found);
    TRY(check_gateway_api(*client, found));
    TRY(check_alpha(*client, session.ns, session.istio_ns, found));
  }
  if (!flags.from_version.empty()) TRY(check_changes(*client, flags.from_version, found));
  const bool is_bad = std::any_of(found.begin(), found.end(), [](const auto& each) {
    return each.level >= mesh::Level::kWarning;
  });
  std::erase_if(found, [&](const auto& each) { return each.level < showing; });
  if (found.empty()) {
    session.err << session.mark_good()
                << " No issues found when checking the cluster. Istio is safe to install or "
                   "upgrade!\n  To get started, check out "
                   "https://istio.io/latest/docs/setup/getting-started/.\n";
  } else {
    TRY(print_findings(session, flags.output, found));
  }
  if (!is_bad) return {};
  return invalid(
      "Issues found when checking the cluster. Istio may not be safe to install or upgrade.\nSee "
      "https://istio.io/latest/docs/reference/config/analysis for more information about causes "
      "and resolutions.");
}

}  // namespace

void add_precheck_command(CLI::App& app, Session& session) {
  auto* command =
      app.add_subcommand("precheck", "Check whether Istio can safely be installed or upgraded");
  auto flags = std::make_shared<Flags>();
  command->add_option("-o,--output", flags->output, "log, json or yaml")->capture_default_str();
  command->add_option("--output-threshold", flags->output_threshold, "Lowest severity to show")
      ->capture_default_str();
  command->add_option("-f,--from-version", flags->from_version,
                      "Check for what changed since this version");
  command->add_flag("--skip-controlplane", flags->skips_control_plane,
                    "Do not check the control plane");
  command->add_option("-r,--revision", flags->revision, "Accepted for compatibility");
  on_run(*command, session, [&session, flags] { return precheck(session, *flags); });
}

}  // namespace lateen::cli
