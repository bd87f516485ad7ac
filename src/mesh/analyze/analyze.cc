#include "mesh/analyze/analyze.h"

#include <algorithm>
#include <tuple>

#include "base/strings.h"
#include "mesh/analyze/catalog.h"
#include "mesh/hostname.h"

namespace lateen::mesh {

std::string_view to_string(Level level) {
  switch (level) {
    case Level::kInfo: return "Info";
    case Level::kWarning: return "Warning";
    case Level::kError: break;
  }
  return "Error";
}

std::string Finding::origin() const {
  std::string out = kind;
  if (!object.empty()) out += " " + (ns.empty() ? object : ns + "/" + object);
  if (!file.empty()) {
    out += " " + file;
    if (line > 0) out += ":" + std::to_string(line);
  }
  return out;
}

std::string Finding::to_string() const {
  return std::string(mesh::to_string(level)) + " [" + code + "] (" + origin() + ") " + message;
}

int AnalysisObject::line_of(std::string_view path) const {
  if (path.empty() || fields == nullptr) return line;
  const auto found = fields->find(prefix + std::string(path));
  return found == fields->end() ? line : found->second;
}

Catalog::Catalog(const std::vector<AnalysisObject>& objects, const AnalysisOptions& options)
    : options(options), all(objects) {
  for (const AnalysisObject& object : objects) read(object);
}

namespace {

template <typename Spec>
void read_into(const AnalysisObject& object, std::vector<Analysed<Spec>>& out) {
  Issues issues;  // reported by analyze_schemas
  out.push_back({read_config<Spec>(object.value, issues), &object});
}

}  // namespace

void Catalog::read(const AnalysisObject& object) {
  const data::Json& value = object.value;
  const std::string_view kind = data::get_string(value, {"kind"});
  const std::string_view api = data::get_string(value, {"apiVersion"});
  const std::string_view group = api.substr(0, api.find('/'));
  if (group == "networking.istio.io" || group == "security.istio.io" ||
      group == "telemetry.istio.io") {
    if (kind == "VirtualService") read_into(object, virtual_services);
    if (kind == "DestinationRule") read_into(object, destination_rules);
    if (kind == "Gateway") read_into(object, gateways);
    if (kind == "ServiceEntry") read_into(object, service_entries);
    if (kind == "Sidecar") read_into(object, sidecars);
    if (kind == "PeerAuthentication") read_into(object, peer_authentications);
    if (kind == "RequestAuthentication") read_into(object, request_authentications);
    if (kind == "AuthorizationPolicy") read_into(object, authorization_policies);
    if (kind == "EnvoyFilter") read_into(object, envoy_filters);
    if (kind == "Telemetry") read_into(object, telemetries);
    return;
  }
  if (kind == "Service" && api == "v1") {
    services.push_back({service_of_kube(value, options.domain), &object,
                        std::string(data::get_string(value, {"spec", "type"}, "ClusterIP"))});
  } else if (kind == "Pod") {
    pods.push_back({workload_of_pod(value), &object});
  } else if (kind == "Deployment") {
    deployments.push_back(&object);
  } else if (kind == "Namespace") {
    namespaces.push_back(&object);
    namespace_names.emplace(data::get_string(value, {"metadata", "name"}));
  } else if (kind == "Secret") {
    secrets[{std::string(data::get_string(value, {"metadata", "namespace"})),
             std::string(data::get_string(value, {"metadata", "name"}))}] = &object;
  } else if (kind == "MutatingWebhookConfiguration") {
    mutating_webhooks.push_back(&object);
  } else if (kind == "ConfigMap") {
    config_maps.push_back(&object);
  }
}

const Catalog::ServiceObject* Catalog::find_service(std::string_view host) const {
  for (const ServiceObject& service : services) {
    if (service.service.host == host) return &service;
  }
  return nullptr;
}

bool Catalog::knows_host(std::string_view host, std::string_view ns) const {
  for (const ServiceObject& service : services) {
    if (service.service.host != host && !host_covers(host, service.service.host)) continue;
    if (is_exported_to(service.service.export_to, service.service.ns, ns)) return true;
  }
  for (const auto& entry : service_entries) {
    if (!is_exported_to(entry.config.spec.export_to, entry.config.meta.ns, ns)) continue;
    for (const std::string& own : entry.config.spec.hosts) {
      if (hosts_overlap(own, host)) return true;
    }
  }
  return false;
}

void Catalog::add(const Meta& meta, const AnalysisObject& source, std::string_view code,
                  std::string message, std::string_view path) {
  const auto suppressed = label_of(meta.annotations, "galley.istio.io/analyze-suppress");
  for (const std::string_view item : split(suppressed, ',')) {
    if (trim(item) == "*" || trim(item) == code) return;
  }
  const std::string_view subject_ns =
      meta.kind == "Namespace" ? std::string_view(meta.name) : std::string_view(meta.ns);
  if (!options.namespace_only.empty() && !subject_ns.empty() &&
      subject_ns != options.namespace_only) {
    return;
  }
  Finding finding;
  finding.code = code;
  for (const FindingKind& kind : finding_kinds()) {
    if (kind.code != code) continue;
    finding.name = kind.name;
    finding.level = kind.level;
  }
  finding.kind = meta.kind;
  finding.ns = meta.ns;
  finding.object = meta.name;
  finding.file = source.file;
  finding.line = source.line_of(path);
  finding.message = std::move(message);
  findings_.push_back(std::move(finding));
}

void Catalog::add(const AnalysisObject& source, std::string_view code, std::string message,
                  std::string_view path) {
  add(read_meta(source.value), source, code, std::move(message), path);
}

std::vector<Finding> Catalog::take() {
  const auto key = [](const Finding& f) {
    return std::make_tuple(-static_cast<int>(f.level), std::string_view(f.code),
                           f.kind + "/" + f.object + "/" + f.ns, f.file, f.line,
                           std::string_view(f.message));
  };
  std::sort(findings_.begin(), findings_.end(),
            [&](const Finding& a, const Finding& b) { return key(a) < key(b); });
  findings_.erase(std::unique(findings_.begin(), findings_.end(),
                              [&](const Finding& a, const Finding& b) { return key(a) == key(b); }),
                  findings_.end());
  return std::move(findings_);
}

std::vector<Finding> analyze(const std::vector<AnalysisObject>& objects,
                             const AnalysisOptions& options) {
  Catalog catalog(objects, options);
  analyze_schemas(catalog);
  analyze_references(catalog);
  analyze_conflicts(catalog);
  analyze_virtual_services(catalog);
  analyze_workloads(catalog);
  analyze_policies(catalog);
  analyze_platform(catalog);
  analyze_clusters(catalog);
  return catalog.take();
}

}  // namespace lateen::mesh
