// Whether a pod fits a node: the scheduler's filters as pure functions, with kube-scheduler's words
// for a "no".
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "data/json.h"
#include "kube/informer.h"
#include "kube/quantity.h"

namespace lateen::cluster::controllers {

using data::Json;
using kube::ObjectPtr;

using Amounts = std::map<std::string, kube::Quantity, std::less<>>;
// What a pod asks for: containers and sidecars summed, init containers as a maximum, overhead
// added; plus "pods": 1.
Amounts requests_of(const Json& pod);

// A node and the pods on it (assumed ones included).
struct NodeView {
  ObjectPtr node;
  std::vector<ObjectPtr> pods;
};

// Why the pod cannot run there ("Insufficient cpu", "node(s) had untolerated taint {a: b}", …);
// empty when it can.
std::vector<std::string> obstacles(const Json& pod, const NodeView& view,
                                   const std::vector<NodeView>& all_nodes);
// Node affinity and nodeSelector alone.
bool matches_node(const Json& pod, const Json& node);
// No taint with one of these effects that the pod does not tolerate.
bool tolerates(const Json& pod, const Json& taint);
// Larger is better: the share of resources that stays free.
double score(const Json& pod, const NodeView& view);

// "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: …"
std::string unschedulable_message(std::size_t nodes, const std::map<std::string, int>& reasons);

}  // namespace lateen::cluster::controllers
