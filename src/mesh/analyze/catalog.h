// Catalog: the objects under analysis, parsed and indexed, and the list that findings go to.
#pragma once

#include <map>
#include <set>

#include "mesh/analyze/analyze.h"
#include "mesh/destination_rule.h"
#include "mesh/envoy_filter.h"
#include "mesh/gateway.h"
#include "mesh/security.h"
#include "mesh/service.h"
#include "mesh/sidecar.h"
#include "mesh/virtual_service.h"

namespace lateen::mesh {

template <typename Spec>
struct Analysed {
  Config<Spec> config;
  const AnalysisObject* source;
};

class Catalog {
 public:
  Catalog(const std::vector<AnalysisObject>& objects, const AnalysisOptions& options);

  std::vector<Analysed<VirtualService>> virtual_services;
  std::vector<Analysed<DestinationRule>> destination_rules;
  std::vector<Analysed<Gateway>> gateways;
  std::vector<Analysed<ServiceEntry>> service_entries;
  std::vector<Analysed<Sidecar>> sidecars;
  std::vector<Analysed<PeerAuthentication>> peer_authentications;
  std::vector<Analysed<RequestAuthentication>> request_authentications;
  std::vector<Analysed<AuthorizationPolicy>> authorization_policies;
  std::vector<Analysed<EnvoyFilter>> envoy_filters;
  std::vector<Analysed<Telemetry>> telemetries;
  struct ServiceObject {
    Service service;
    const AnalysisObject* source;
    std::string type;  // ClusterIP, …
  };
  struct PodObject {
    Workload workload;
    const AnalysisObject* source;
  };
  std::vector<ServiceObject> services;
  std::vector<PodObject> pods;
  std::vector<const AnalysisObject*> deployments, namespaces, mutating_webhooks, config_maps;
  std::map<std::pair<std::string, std::string>, const AnalysisObject*> secrets;  // namespace, name
  std::set<std::string> namespace_names;
  const AnalysisOptions& options;
  const std::vector<AnalysisObject>& all;

  // FQDN hosts of services and service entries that `ns` may use; ports of the one called `host`.
  bool knows_host(std::string_view host, std::string_view ns) const;
  const ServiceObject* find_service(std::string_view host) const;

  template <typename Spec>
  void add(const Analysed<Spec>& about, std::string_view code, std::string message,
           std::string_view path = {}) {
    add(about.config.meta, *about.source, code, std::move(message), path);
  }
  // `path` is the field it is about, for its line.
  void add(const Meta& meta, const AnalysisObject& source, std::string_view code,
           std::string message, std::string_view path = {});
  void add(const AnalysisObject& source, std::string_view code, std::string message,
           std::string_view path = {});
  std::vector<Finding> take();

 private:
  void read(const AnalysisObject& object);
  std::vector<Finding> findings_;
};

// The groups of analyzers, each in its own file.
void analyze_references(Catalog& catalog);        // hosts, gateways, subsets, credentials
void analyze_conflicts(Catalog& catalog);         // things that contradict each other
void analyze_virtual_services(Catalog& catalog);  // rules that are never reached
void analyze_workloads(Catalog& catalog);         // injection, ports, annotations, deployments
void analyze_schemas(Catalog& catalog);           // validation
void analyze_annotations(Catalog& catalog);
void analyze_policies(Catalog& catalog);  // telemetry, filters, authentication
void analyze_platform(Catalog& catalog);  // webhooks, images, the Gateway API
void analyze_clusters(Catalog& catalog);  // networks, services of several clusters, CRDs

bool is_system_namespace(const Catalog& catalog, std::string_view ns);
std::string full_name(const Meta& meta);        // "default/a"; "a" without a namespace
std::string labels_text(const Labels& labels);  // "a=b,c=d"

}  // namespace lateen::mesh
