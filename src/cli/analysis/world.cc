// Collecting objects and running the checks over them.
#include "cli/analysis/world.h"

#include <algorithm>

#include "base/strings.h"

namespace lateen::cli {
namespace {

// "IST0101,IST0102" or "*" in the annotation silences an object's messages.
bool is_suppressed(const Json& object, std::string_view code) {
  for (const auto each : split(kube::annotation(object, "galley.istio.io/analyze-suppress"), ',')) {
    if (trim(each) == code || trim(each) == "*") return true;
  }
  return false;
}

}  // namespace

std::string Subject::origin() const {
  const auto ns = kube::namespace_of(object);
  return std::string(kube::kind_of(object)) + " " + (ns.empty() ? "" : std::string(ns) + "/") +
         std::string(kube::name_of(object));
}

void World::add(Json object, std::string place, std::string_view ns) {
  const std::string kind(kube::kind_of(object));
  static constexpr std::string_view kClusterScoped[] = {"Namespace",
                                                        "Node",
                                                        "CustomResourceDefinition",
                                                        "MutatingWebhookConfiguration",
                                                        "ValidatingWebhookConfiguration",
                                                        "ClusterRole",
                                                        "ClusterRoleBinding",
                                                        "PersistentVolume"};
  const bool is_cluster_scoped = std::find(std::begin(kClusterScoped), std::end(kClusterScoped),
                                           kind) != std::end(kClusterScoped);
  if (!is_cluster_scoped && kube::namespace_of(object).empty())
    data::set(object, {"metadata", "namespace"}, Json(ns));
  const kube::Key key = kube::key_of(object);
  auto& list = kinds_[kind];
  const auto [at, is_new] = index_[kind].emplace(key, list.size());
  if (is_new) list.push_back({std::move(object), std::move(place)});
  else list[at->second] = {std::move(object), std::move(place)};
}

const std::vector<Subject>& World::all(std::string_view kind) const {
  static const std::vector<Subject> kNone;
  const auto found = kinds_.find(kind);
  return found != kinds_.end() ? found->second : kNone;
}

const Subject* World::find(std::string_view kind, const kube::Key& key) const {
  const auto table = index_.find(kind);
  if (table == index_.end()) return nullptr;
  const auto found = table->second.find(key);
  return found != table->second.end() ? &all(kind)[found->second] : nullptr;
}

bool World::is_wanted(const Json& object) const {
  if (only_namespace.empty()) return true;
  const auto ns =
      kube::kind_of(object) == "Namespace" ? kube::name_of(object) : kube::namespace_of(object);
  return ns == only_namespace || ns.empty();
}

const std::vector<NamedAnalyzer>& analyzers() {
  static const std::vector<NamedAnalyzer> kAnalyzers = {
      {"schema.ValidationAnalyzer", "Runs schema validation as an analyzer on all Istio kinds",
       check_schemas},
      {"injection.Analyzer", "Checks conditions related to Istio sidecar injection of namespaces",
       check_injection},
      {"injection.PodAnalyzer", "Checks that pods in injected namespaces have a proxy", check_pods},
      {"virtualservice.DestinationHostAnalyzer",
       "Checks the destination hosts, ports and subsets of virtual services", check_destinations},
      {"virtualservice.GatewayAnalyzer", "Checks the gateways associated with each virtual service",
       check_gateway_references},
      {"virtualservice.ConflictingMeshGatewayHostsAnalyzer",
       "Checks if multiple virtual services of the mesh gateway conflict", check_mesh_hosts},
      {"virtualservice.MatchesAnalyzer",
       "Checks the order of routes: unreachable and duplicate matches", check_route_order},
      {"gateway.IngressGatewayPortAnalyzer", "Checks a gateway's selector, ports and credentials",
       check_gateways},
      {"selector.Analyzer",
       "Checks that workload selectors select something, and that sidecars do not conflict",
       check_selectors},
      {"destinationrule.CaCertificateAnalyzer",
       "Checks if caCertificates is set when TLS is used to a server", check_destination_tls},
      {"service.PortNameAnalyzer", "Checks port names of services and ports shared by deployments",
       check_ports},
      {"authz.AuthorizationPoliciesAnalyzer", "Checks the validity of authorization policies",
       check_authorization},
      {"envoyfilter.EnvoyPatchAnalyzer",
       "Checks an envoyFilter to see if it uses an operation that may be ignored",
       check_envoy_filters},
      {"serviceentry.ProtocolAddressesAnalyzer", "Checks that TCP service entries have addresses",
       check_service_entries}};
  return kAnalyzers;
}

std::vector<Message> analyze(const World& world) {
  std::vector<Message> found;
  for (const auto& each : analyzers()) each.run(world, found);
  std::map<std::string, const Subject*> by_origin;
  for (const auto& [kind, subjects] : world.by_kind()) {
    for (const Subject& subject : subjects) by_origin[subject.origin()] = &subject;
  }
  std::erase_if(found, [&](const Message& message) {
    const auto subject = by_origin.find(message.origin);
    return subject != by_origin.end() && (!world.is_wanted(subject->second->object) ||
                                          is_suppressed(subject->second->object, message.code));
  });
  std::sort(found.begin(), found.end(), [](const Message& a, const Message& b) {
    if (a.severity != b.severity) return a.severity > b.severity;
    return std::tie(a.code, a.origin, a.text) < std::tie(b.code, b.origin, b.text);
  });
  found.erase(std::unique(found.begin(), found.end(),
                          [](const Message& a, const Message& b) {
                            return a.code == b.code && a.origin == b.origin && a.text == b.text;
                          }),
              found.end());
  return found;
}

Message about(const Subject& subject, std::string code, Severity severity, std::string text) {
  return {std::move(code), severity, subject.origin(), subject.place, std::move(text)};
}

bool labels_match(const data::JsonObject& selector, const Json& object) {
  const auto& labels = kube::labels_of(object);
  return std::all_of(selector.begin(), selector.end(), [&](const auto& wanted) {
    const Json* found = labels.if_contains(wanted.key());
    return found != nullptr && *found == wanted.value();
  });
}

std::string join_labels(const data::JsonObject& labels) {
  std::vector<std::string> parts;
  for (const auto& member : labels)
    parts.push_back(std::string(member.key()) + "=" + std::string(data::as_string(member.value())));
  std::sort(parts.begin(), parts.end());
  return join(parts, ",");
}

std::string quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

bool is_system_namespace(const World& world, std::string_view ns) {
  return ns == world.istio_ns || ns == "kube-system" || ns == "kube-public" ||
         ns == "kube-node-lease" || ns == "local-path-storage" || ns == "istio-operator";
}

}  // namespace lateen::cli
