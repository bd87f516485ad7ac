// The objects that analysis looks at, from a cluster and from files, indexed by kind and name.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cli/analysis/message.h"
#include "kube/object.h"

namespace lateen::cli {

struct Subject {
  Json object;
  std::string place;           // "file.yaml:3" when it came from a file
  std::string origin() const;  // "VirtualService default/x"
};

// Built once, then const.
class World {
 public:
  // Files override what the cluster has under the same kind and name. `ns` goes to objects without
  // one.
  void add(Json object, std::string place, std::string_view ns);

  const std::vector<Subject>& all(std::string_view kind) const;
  const Subject* find(std::string_view kind, const kube::Key& key) const;
  const std::map<std::string, std::vector<Subject>, std::less<>>& by_kind() const { return kinds_; }

  // Analysis may be of one namespace: messages about others are not wanted.
  std::string only_namespace;  // empty: all
  std::string istio_ns = "istio-system";
  std::string domain = "cluster.local";
  bool is_wanted(const Json& object) const;

 private:
  std::map<std::string, std::vector<Subject>, std::less<>> kinds_;
  std::map<std::string, std::map<kube::Key, std::size_t>, std::less<>> index_;
};

// One check. Adds what it finds.
using Analyzer = void (*)(const World& world, std::vector<Message>& out);
struct NamedAnalyzer {
  std::string_view name;  // "virtualservice.DestinationHostAnalyzer"
  std::string_view description;
  Analyzer run;
};
const std::vector<NamedAnalyzer>& analyzers();
// Runs all; sorted by severity (worst first), code and origin. Honours the
// galley.istio.io/analyze-suppress annotation.
std::vector<Message> analyze(const World& world);

// --- shared by the checks ---
Message about(const Subject& subject, std::string code, Severity severity, std::string text);
bool labels_match(const data::JsonObject& selector,
                  const Json& object);                    // of metadata.labels; empty matches all
std::string join_labels(const data::JsonObject& labels);  // "a=b,c=d", sorted
std::string quoted(std::string_view text);
bool is_system_namespace(const World& world, std::string_view ns);

void check_schemas(const World& world, std::vector<Message>& out);
void check_injection(const World& world, std::vector<Message>& out);
void check_pods(const World& world, std::vector<Message>& out);
void check_destinations(const World& world, std::vector<Message>& out);
void check_gateway_references(const World& world, std::vector<Message>& out);
void check_mesh_hosts(const World& world, std::vector<Message>& out);
void check_route_order(const World& world, std::vector<Message>& out);
void check_gateways(const World& world, std::vector<Message>& out);
void check_selectors(const World& world, std::vector<Message>& out);
void check_destination_tls(const World& world, std::vector<Message>& out);
void check_ports(const World& world, std::vector<Message>& out);
void check_authorization(const World& world, std::vector<Message>& out);
void check_envoy_filters(const World& world, std::vector<Message>& out);
void check_service_entries(const World& world, std::vector<Message>& out);

}  // namespace lateen::cli
