// Filters: cordon, selectors, taints, ports, resources, pod affinity.
#include "cluster/controllers/placement.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/strings.h"
#include "cluster/controllers/pods.h"
#include "kube/selector.h"

namespace lateen::cluster::controllers {
namespace {

void add(Amounts& into, const data::JsonObject& requests) {
  for (const auto& [name, value] : requests) {
    const std::string text =
        value.is_string() ? std::string(data::as_string(value)) : data::dump_json(value);
    if (auto amount = kube::Quantity::parse(text)) into[std::string(name)] += *amount;
  }
}

void raise(Amounts& into, const Amounts& floor) {
  for (const auto& [name, amount] : floor) {
    if (into[name] < amount) into[name] = amount;
  }
}

Amounts requests_on(const NodeView& view) {
  Amounts used;
  for (const auto& pod : view.pods) {
    if (is_finished(*pod)) continue;
    for (const auto& [name, amount] : requests_of(*pod)) used[name] += amount;
  }
  return used;
}

bool expression_matches(const Json& expression, const data::JsonObject& labels) {
  const auto selector =
      kube::LabelSelector::from_object({{"matchExpressions", data::JsonArray{expression}}});
  if (selector) return selector->matches(labels);
  // Gt and Lt exist only for nodes.
  const auto* label = labels.if_contains(data::get_string(expression, {"key"}));
  const auto& values = data::get_array(expression, {"values"});
  if (label == nullptr || values.size() != 1) return false;
  const auto number = parse_int(data::as_string(*label));
  const auto limit = parse_int(data::as_string(values[0]));
  if (!number.has_value() || !limit.has_value()) return false;
  const auto op = data::get_string(expression, {"operator"});
  const auto difference = number.value_or(0) - limit.value_or(0);
  return op == "Gt" ? difference > 0 : op == "Lt" && difference < 0;
}

bool term_matches(const Json& term, const Json& node) {
  const auto& expressions = data::get_array(term, {"matchExpressions"});
  const auto& fields = data::get_array(term, {"matchFields"});
  if (expressions.empty() && fields.empty()) return false;
  const data::JsonObject names = {{"metadata.name", kube::name_of(node)}};
  return std::all_of(expressions.begin(), expressions.end(),
                     [&](const Json& e) { return expression_matches(e, kube::labels_of(node)); }) &&
         std::all_of(fields.begin(), fields.end(),
                     [&](const Json& e) { return expression_matches(e, names); });
}

std::vector<std::string> host_ports(const Json& pod) {
  std::vector<std::string> out;
  for (const Json& container : data::get_array(pod, {"spec", "containers"})) {
    for (const Json& port : data::get_array(container, {"ports"})) {
      if (const auto number = data::get_int(port, {"hostPort"}); number != 0) {
        out.push_back(fmt::format("{}/{}", data::get_string(port, {"protocol"}, "TCP"), number));
      }
    }
  }
  return out;
}

bool has_port_conflict(const Json& pod, const NodeView& view) {
  const auto mine = host_ports(pod);
  if (mine.empty()) return false;
  for (const auto& other : view.pods) {
    if (is_finished(*other)) continue;
    for (const auto& port : host_ports(*other)) {
      if (std::find(mine.begin(), mine.end(), port) != mine.end()) return true;
    }
  }
  return false;
}

// Whether `other` is one that a pod (anti-)affinity term of `pod` speaks of.
bool is_meant(const Json& term, const Json& pod, const Json& other) {
  const auto selector =
      kube::LabelSelector::from_object(Json(data::get_object(term, {"labelSelector"})));
  if (data::find(term, {"labelSelector"}) == nullptr || !selector) return false;
  const auto& namespaces = data::get_array(term, {"namespaces"});
  const bool is_in_namespace =
      namespaces.empty() ? data::find(term, {"namespaceSelector"}) != nullptr ||
                               kube::namespace_of(pod) == kube::namespace_of(other)
                         : std::any_of(namespaces.begin(), namespaces.end(), [&](const Json& ns) {
                             return data::as_string(ns) == kube::namespace_of(other);
                           });
  return is_in_namespace && selector->matches(kube::labels_of(other));
}

// Whether a meant pod runs in the node's topology domain.
bool is_domain_occupied(const Json& term, const Json& pod, const NodeView& view,
                        const std::vector<NodeView>& all) {
  const auto key = data::get_string(term, {"topologyKey"});
  const auto domain = kube::label(*view.node, key);
  for (const auto& other : all) {
    const bool is_same = kube::name_of(*other.node) == kube::name_of(*view.node) ||
                         (!domain.empty() && kube::label(*other.node, key) == domain);
    if (!is_same) continue;
    for (const auto& neighbour : other.pods) {
      if (is_finished(*neighbour) || kube::uid_of(*neighbour) == kube::uid_of(pod)) continue;
      if (is_meant(term, pod, *neighbour)) return true;
    }
  }
  return false;
}

const data::JsonArray& required_terms(const Json& pod, std::string_view kind) {
  return data::get_array(
      pod, {"spec", "affinity", kind, "requiredDuringSchedulingIgnoredDuringExecution"});
}

bool is_anywhere(const Json& term, const Json& pod, const std::vector<NodeView>& all) {
  return std::any_of(all.begin(), all.end(), [&](const NodeView& view) {
    return std::any_of(view.pods.begin(), view.pods.end(),
                       [&](const ObjectPtr& other) { return is_meant(term, pod, *other); });
  });
}

void check_pod_affinity(const Json& pod, const NodeView& view, const std::vector<NodeView>& all,
                        std::vector<std::string>& out) {
  for (const Json& term : required_terms(pod, "podAffinity")) {
    // The first pod of a group that wants to be together may go anywhere.
    const bool is_first = is_meant(term, pod, pod) && !is_anywhere(term, pod, all);
    if (!is_first && !is_domain_occupied(term, pod, view, all)) {
      out.emplace_back("node(s) didn't match pod affinity rules");
      break;
    }
  }
  for (const Json& term : required_terms(pod, "podAntiAffinity")) {
    if (!is_domain_occupied(term, pod, view, all)) continue;
    out.emplace_back("node(s) didn't match pod anti-affinity rules");
    return;
  }
  for (const auto& other : view.pods) {
    if (is_finished(*other)) continue;
    for (const Json& term : required_terms(*other, "podAntiAffinity")) {
      if (!is_meant(term, *other, pod)) continue;
      out.emplace_back("node(s) didn't satisfy existing pods anti-affinity rules");
      return;
    }
  }
}

void check_resources(const Json& pod, const NodeView& view, std::vector<std::string>& out) {
  Amounts free;
  add(free, data::get_object(*view.node, {"status", "allocatable"}));
  if (free.empty()) add(free, data::get_object(*view.node, {"status", "capacity"}));
  const Amounts used = requests_on(view);
  for (const auto& [name, amount] : requests_of(pod)) {
    if (amount.is_zero()) continue;
    const auto limit = free.find(name);
    // A node that reports nothing of a standard resource does not bound it.
    const bool is_standard =
        name == "cpu" || name == "memory" || name == "pods" || name == "ephemeral-storage";
    if (limit == free.end() && is_standard) continue;
    kube::Quantity left = limit != free.end() ? limit->second : kube::Quantity();
    if (const auto taken = used.find(name); taken != used.end()) left -= taken->second;
    if (left < amount) out.push_back(name == "pods" ? "Too many pods" : "Insufficient " + name);
  }
}

}  // namespace

Amounts requests_of(const Json& pod) {
  Amounts total, init_peak, sidecars;
  for (const Json& container : data::get_array(pod, {"spec", "initContainers"})) {
    const auto& requests = data::get_object(container, {"resources", "requests"});
    Amounts now = sidecars;
    add(now, requests);
    if (data::get_string(container, {"restartPolicy"}) == "Always") sidecars = now;
    raise(init_peak, now);
  }
  total = sidecars;
  for (const Json& container : data::get_array(pod, {"spec", "containers"})) {
    add(total, data::get_object(container, {"resources", "requests"}));
  }
  raise(total, init_peak);
  add(total, data::get_object(pod, {"spec", "overhead"}));
  total["pods"] = kube::Quantity::of(1);
  return total;
}

bool matches_node(const Json& pod, const Json& node) {
  const auto selector =
      kube::LabelSelector::from_map(data::get_object(pod, {"spec", "nodeSelector"}));
  if (!selector.matches(kube::labels_of(node))) return false;
  const Json* required =
      data::find(pod, {"spec", "affinity", "nodeAffinity",
                       "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"});
  if (required == nullptr || !required->is_array()) return true;
  const auto& terms = *required->if_array();
  return std::any_of(terms.begin(), terms.end(),
                     [&](const Json& term) { return term_matches(term, node); });
}

bool tolerates(const Json& pod, const Json& taint) {
  const auto& tolerations = data::get_array(pod, {"spec", "tolerations"});
  return std::any_of(tolerations.begin(), tolerations.end(), [&](const Json& toleration) {
    const auto effect = data::get_string(toleration, {"effect"});
    const auto key = data::get_string(toleration, {"key"});
    if (!effect.empty() && effect != data::get_string(taint, {"effect"})) return false;
    if (data::get_string(toleration, {"operator"}) == "Exists") {
      return key.empty() || key == data::get_string(taint, {"key"});
    }
    return key == data::get_string(taint, {"key"}) &&
           data::get_string(toleration, {"value"}) == data::get_string(taint, {"value"});
  });
}

std::vector<std::string> obstacles(const Json& pod, const NodeView& view,
                                   const std::vector<NodeView>& all_nodes) {
  std::vector<std::string> out;
  const Json& node = *view.node;
  const Json cordon = {{"key", "node.kubernetes.io/unschedulable"}, {"effect", "NoSchedule"}};
  if (data::get_bool(node, {"spec", "unschedulable"}) && !tolerates(pod, cordon)) {
    return {"node(s) were unschedulable"};
  }
  for (const Json& taint : data::get_array(node, {"spec", "taints"})) {
    if (data::get_string(taint, {"effect"}) == "PreferNoSchedule" || tolerates(pod, taint))
      continue;
    return {fmt::format("node(s) had untolerated taint {{{}: {}}}",
                        data::get_string(taint, {"key"}), data::get_string(taint, {"value"}))};
  }
  if (!matches_node(pod, node)) return {"node(s) didn't match Pod's node affinity/selector"};
  if (has_port_conflict(pod, view)) {
    out.emplace_back("node(s) didn't have free ports for the requested pod ports");
  }
  check_resources(pod, view, out);
  check_pod_affinity(pod, view, all_nodes, out);
  return out;
}

double score(const Json& pod, const NodeView& view) {
  Amounts size;
  add(size, data::get_object(*view.node, {"status", "allocatable"}));
  Amounts used = requests_on(view);
  for (const auto& [name, amount] : requests_of(pod)) used[name] += amount;
  double sum = 0;
  for (const std::string_view name : {"cpu", "memory"}) {
    const auto limit = size.find(name);
    const auto taken = used.find(name);
    if (limit == size.end() || limit->second.is_zero()) continue;
    const double part =
        taken != used.end() ? static_cast<double>(taken->second.milli_value()) : 0.0;
    sum += 1.0 - part / static_cast<double>(limit->second.milli_value());
  }
  return sum;
}

std::string unschedulable_message(std::size_t nodes, const std::map<std::string, int>& reasons) {
  if (nodes == 0) return "no nodes available to schedule pods";
  std::vector<std::string> parts;
  for (const auto& [reason, count] : reasons) parts.push_back(std::to_string(count) + " " + reason);
  return fmt::format(
      "0/{} nodes are available: {}. preemption: 0/{} nodes are available: {} No preemption "
      "victims "
      "found for incoming pod.",
      nodes, join(parts, ", "), nodes, nodes);
}

}  // namespace lateen::cluster::controllers
