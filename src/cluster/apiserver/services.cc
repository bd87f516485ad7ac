// Services and webhook configurations: defaults and validation. Addresses are handed out by
// service_addresses.h.
#include <fmt/format.h>

#include <set>

#include "base/strings.h"
#include "cluster/apiserver/defaults.h"
#include "cluster/apiserver/match_conditions.h"
#include "kube/names.h"
#include "kube/object.h"

namespace lateen::cluster::apiserver {
namespace {

void default_service(Json& object) {
  fill(object, {"spec", "type"}, "ClusterIP");
  fill(object, {"spec", "sessionAffinity"}, "None");
  const std::string type(data::get_string(object, {"spec", "type"}));
  if (data::get_string(object, {"spec", "sessionAffinity"}) == "ClientIP") {
    fill(object, {"spec", "sessionAffinityConfig", "clientIP", "timeoutSeconds"}, 10800);
  }
  if (auto* ports = array_at(object, {"spec", "ports"})) {
    for (auto& port : *ports) {
      fill(port, {"protocol"}, "TCP");
      const Json* target = data::find(std::as_const(port), {"targetPort"});
      const bool is_unset = target == nullptr || target->is_null() || data::as_int(*target) == 0 ||
                            (target->is_string() && data::as_string(*target).empty());
      if (is_unset) data::set(port, {"targetPort"}, Json(data::get_int(port, {"port"})));
      if (data::get_int(port, {"nodePort"}, -1) == 0) data::erase(port, {"nodePort"});
    }
  }
  if (type == "ExternalName") return;
  fill(object, {"spec", "internalTrafficPolicy"}, "Cluster");
  fill(object, {"spec", "ipFamilies"}, JsonArray{"IPv4"});
  fill(object, {"spec", "ipFamilyPolicy"}, "SingleStack");
  if (type == "NodePort" || type == "LoadBalancer") {
    fill(object, {"spec", "externalTrafficPolicy"}, "Cluster");
  } else {
    data::erase(object, {"spec", "externalTrafficPolicy"});
  }
  if (type == "LoadBalancer") fill(object, {"spec", "allocateLoadBalancerNodePorts"}, true);
  else data::erase(object, {"spec", "allocateLoadBalancerNodePorts"});
}

void create_service(Json& object) {
  data::set(object, {"status"}, JsonObject{{"loadBalancer", JsonObject{}}});
}

// A Service that stops being a LoadBalancer has no ingress any more.
void update_service(Json& object, const Json&) {
  if (data::get_string(object, {"spec", "type"}) != "LoadBalancer") {
    data::set(object, {"status", "loadBalancer"}, JsonObject{});
  }
}

void validate_service_port(const Json& port, const std::string& path, bool needs_name,
                           std::set<std::string>& names, std::set<std::string>& numbers,
                           FieldErrors& errors) {
  const auto name = data::get_string(port, {"name"});
  if (name.empty()) {
    if (needs_name) errors.required(path + ".name");
  } else if (auto wrong = kube::check_dns1123_label(name); !wrong.empty()) {
    errors.invalid(path + ".name", Json(name), wrong);
  } else if (!names.emplace(name).second) {
    errors.duplicate(path + ".name", Json(name));
  }
  const auto number = data::get_int(port, {"port"});
  if (number < 1 || number > 65535) {
    errors.invalid(path + ".port", Json(number), "must be between 1 and 65535, inclusive");
  }
  const auto protocol = data::get_string(port, {"protocol"});
  if (protocol != "TCP" && protocol != "UDP" && protocol != "SCTP") {
    errors.unsupported(path + ".protocol", Json(protocol), {"SCTP", "TCP", "UDP"});
  }
  if (!numbers.insert(fmt::format("{}/{}", number, protocol)).second) {
    errors.duplicate(path, JsonObject{{"port", number}, {"protocol", protocol}});
  }
  const Json* target = data::find(port, {"targetPort"});
  if (target == nullptr) return;
  if (const auto value = data::as_int(*target)) {
    if (*value < 1 || *value > 65535) {
      errors.invalid(path + ".targetPort", *target, "must be between 1 and 65535, inclusive");
    }
  } else if (auto wrong = kube::check_port_name(data::as_string(*target)); !wrong.empty()) {
    errors.invalid(path + ".targetPort", *target, wrong);
  }
}

void validate_service(const Json& object, const Json*, FieldErrors& errors) {
  const auto type = data::get_string(object, {"spec", "type"});
  if (type != "ClusterIP" && type != "NodePort" && type != "LoadBalancer" &&
      type != "ExternalName") {
    errors.unsupported("spec.type", Json(type),
                       {"ClusterIP", "ExternalName", "LoadBalancer", "NodePort"});
  }
  const bool is_headless = data::get_string(object, {"spec", "clusterIP"}) == "None";
  const auto& ports = data::get_array(object, {"spec", "ports"});
  if (ports.empty() && !is_headless && type != "ExternalName") errors.required("spec.ports");
  if (type == "ExternalName") {
    const auto name = data::get_string(object, {"spec", "externalName"});
    if (name.empty()) errors.required("spec.externalName");
  }
  if (is_headless && (type == "NodePort" || type == "LoadBalancer")) {
    errors.invalid("spec.clusterIPs[0]", Json("None"),
                   fmt::format("may not be set to 'None' for {} services", type));
  }
  std::set<std::string> names;
  std::set<std::string> numbers;
  for (std::size_t i = 0; i < ports.size(); ++i) {
    validate_service_port(ports[i], fmt::format("spec.ports[{}]", i), ports.size() > 1, names,
                          numbers, errors);
  }
  const auto affinity = data::get_string(object, {"spec", "sessionAffinity"});
  if (affinity != "None" && affinity != "ClientIP") {
    errors.unsupported("spec.sessionAffinity", Json(affinity), {"ClientIP", "None"});
  }
  validate_labels(data::find(object, {"spec", "selector"}), "spec.selector", errors);
}

// ---- webhook configurations ----

bool is_mutating(const Json& object) {
  return kube::kind_of(object) == "MutatingWebhookConfiguration";
}

void default_webhooks(Json& object) {
  auto* webhooks = array_at(object, {"webhooks"});
  if (webhooks == nullptr) return;
  const bool is_mutating_kind = is_mutating(object);
  for (auto& webhook : *webhooks) {
    fill(webhook, {"failurePolicy"}, "Fail");
    fill(webhook, {"matchPolicy"}, "Equivalent");
    fill(webhook, {"namespaceSelector"}, JsonObject{});
    fill(webhook, {"objectSelector"}, JsonObject{});
    fill(webhook, {"timeoutSeconds"}, 10);
    fill(webhook, {"admissionReviewVersions"}, JsonArray{"v1beta1"});
    fill(webhook, {"sideEffects"}, "Unknown");
    if (is_mutating_kind) fill(webhook, {"reinvocationPolicy"}, "Never");
    if (data::find(std::as_const(webhook), {"clientConfig", "service"}) != nullptr) {
      fill(webhook, {"clientConfig", "service", "port"}, 443);
    }
    if (auto* rules = array_at(webhook, {"rules"})) {
      for (auto& rule : *rules) fill(rule, {"scope"}, "*");
    }
  }
}

void validate_webhooks(const Json& object, const Json*, FieldErrors& errors) {
  std::set<std::string> names;
  int index = 0;
  for (const auto& webhook : data::get_array(object, {"webhooks"})) {
    const std::string path = fmt::format("webhooks[{}]", index++);
    const std::string name(data::get_string(webhook, {"name"}));
    if (name.empty()) {
      errors.required(path + ".name");
    } else if (split(name, '.').size() < 3) {
      errors.invalid(path + ".name", Json(name),
                     "should be a domain with at least three segments separated by dots");
    } else if (!names.insert(name).second) {
      errors.duplicate(path + ".name", Json(name));
    }
    const bool has_service = data::find(webhook, {"clientConfig", "service"}) != nullptr;
    const bool has_url = data::find(webhook, {"clientConfig", "url"}) != nullptr;
    if (has_service == has_url)
      errors.required(path + ".clientConfig", "exactly one of url or service is required");
    const auto policy = data::get_string(webhook, {"failurePolicy"});
    if (policy != "Fail" && policy != "Ignore") {
      errors.unsupported(path + ".failurePolicy", Json(policy), {"Fail", "Ignore"});
    }
    validate_match_conditions(webhook, path, errors);
    const auto timeout = data::get_int(webhook, {"timeoutSeconds"});
    if (timeout < 1 || timeout > 30) {
      errors.invalid(path + ".timeoutSeconds", Json(timeout),
                     "the timeout value must be between 1 and 30 seconds");
    }
  }
}

}  // namespace

const Strategy kServiceStrategy{default_service, create_service, update_service, validate_service};
const Strategy kMutatingWebhookStrategy{default_webhooks, nullptr, nullptr, validate_webhooks};

}  // namespace lateen::cluster::apiserver
