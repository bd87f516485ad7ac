// See rbac.h. Evaluation walks the bindings in memory; a cluster has a few dozen.
#include "cluster/apiserver/rbac.h"

#include <fmt/format.h>

#include "base/strings.h"
#include "kube/selector.h"

namespace lateen::cluster::apiserver {
namespace {

constexpr std::string_view kBucketPrefix = "rbac.authorization.k8s.io/";
std::string bucket_of(std::string_view plural) {
  return fmt::format("{}{}", kBucketPrefix, plural);
}

bool is_subject(const Json& subject, const User& user, std::string_view binding_ns) {
  const auto kind = data::get_string(subject, {"kind"});
  const auto name = data::get_string(subject, {"name"});
  if (kind == "User") return name == user.name;
  if (kind == "Group") return user.in_group(name);
  if (kind != "ServiceAccount") return false;
  auto ns = data::get_string(subject, {"namespace"});
  if (ns.empty()) ns = binding_ns;
  return user.name == fmt::format("system:serviceaccount:{}:{}", ns, name);
}

bool has_subject(const Json& binding, const User& user, std::string_view ns) {
  for (const auto& subject : data::get_array(binding, {"subjects"})) {
    if (is_subject(subject, user, ns)) return true;
  }
  return false;
}

bool has_word(const Json& rule, std::string_view field, std::string_view wanted) {
  for (const auto& one : data::get_array(rule, {field})) {
    const auto word = data::as_string(one);
    if (word == "*" || word == wanted) return true;
  }
  return false;
}

bool matches_resource(const Json& rule, const AccessAttributes& wanted) {
  const std::string full = wanted.subresource.empty()
                               ? wanted.resource
                               : fmt::format("{}/{}", wanted.resource, wanted.subresource);
  for (const auto& one : data::get_array(rule, {"resources"})) {
    const auto word = data::as_string(one);
    if (word == "*" || word == full) return true;
    if (!wanted.subresource.empty() && word == fmt::format("*/{}", wanted.subresource)) return true;
  }
  return false;
}

bool matches_path(const Json& rule, std::string_view path) {
  for (const auto& one : data::get_array(rule, {"nonResourceURLs"})) {
    const auto word = data::as_string(one);
    if (word == "*" || word == path) return true;
    if (word.ends_with('*') && path.starts_with(word.substr(0, word.size() - 1))) return true;
  }
  return false;
}

bool allows(const Json& rule, const AccessAttributes& wanted) {
  if (!has_word(rule, "verbs", wanted.verb)) return false;
  if (!wanted.is_resource) return matches_path(rule, wanted.path);
  if (!has_word(rule, "apiGroups", wanted.group) || !matches_resource(rule, wanted)) return false;
  const auto& names = data::get_array(rule, {"resourceNames"});
  if (names.empty()) return true;
  for (const auto& one : names) {
    if (data::as_string(one) == wanted.name) return true;
  }
  return false;
}

}  // namespace

template <typename Visit>
void Rbac::visit_rules(const User& user, std::string_view ns, Visit visit) const {
  const auto visit_role = [&](const Json& binding, std::string_view binding_ns) {
    const bool is_cluster = data::get_string(binding, {"roleRef", "kind"}) == "ClusterRole";
    const std::string name(data::get_string(binding, {"roleRef", "name"}));
    const auto role = store_.get(bucket_of(is_cluster ? "clusterroles" : "roles"),
                                 {is_cluster ? std::string() : std::string(binding_ns), name});
    if (role == nullptr) return true;
    if (const Json* selectors = data::find(role->value, {"aggregationRule"})) {
      for (const auto& rule : aggregated_rules(*selectors)) {
        if (!visit(rule, binding)) return false;
      }
    }
    for (const auto& rule : data::get_array(role->value, {"rules"})) {
      if (!visit(rule, binding)) return false;
    }
    return true;
  };
  for (const auto& binding : store_.list(bucket_of("clusterrolebindings")).items) {
    if (has_subject(binding->value, user, {}) && !visit_role(binding->value, {})) return;
  }
  if (ns.empty()) return;
  for (const auto& binding : store_.list(bucket_of("rolebindings"), ns).items) {
    if (has_subject(binding->value, user, ns) && !visit_role(binding->value, ns)) return;
  }
}

// What the aggregation controller would copy into the role.
JsonArray Rbac::aggregated_rules(const Json& aggregation) const {
  JsonArray rules;
  for (const auto& selector : data::get_array(aggregation, {"clusterRoleSelectors"})) {
    auto parsed = kube::LabelSelector::from_object(selector);
    if (!parsed.ok()) continue;
    for (const auto& role : store_.list(bucket_of("clusterroles")).items) {
      if (!parsed->matches(kube::labels_of(role->value))) continue;
      for (const auto& rule : data::get_array(role->value, {"rules"})) rules.push_back(rule);
    }
  }
  return rules;
}

AccessDecision Rbac::authorize(const User& user, const AccessAttributes& wanted) const {
  if (user.in_group("system:masters")) return {true, ""};
  AccessDecision decision;
  visit_rules(user, wanted.ns, [&](const Json& rule, const Json& binding) {
    if (!allows(rule, wanted)) return true;
    decision.is_allowed = true;
    decision.reason = fmt::format(
        "RBAC: allowed by {} \"{}\" of {} \"{}\" to {} \"{}\"", kube::kind_of(binding),
        kube::key_of(binding).to_string(), data::get_string(binding, {"roleRef", "kind"}),
        data::get_string(binding, {"roleRef", "name"}), "User", user.name);
    return false;
  });
  return decision;
}

JsonArray Rbac::rules_of(const User& user, std::string_view ns) const {
  JsonArray rules;
  if (user.in_group("system:masters")) {
    rules.push_back(JsonObject{
        {"verbs", JsonArray{"*"}}, {"apiGroups", JsonArray{"*"}}, {"resources", JsonArray{"*"}}});
    rules.push_back(JsonObject{{"verbs", JsonArray{"*"}}, {"nonResourceURLs", JsonArray{"*"}}});
    return rules;
  }
  visit_rules(user, ns, [&](const Json& rule, const Json&) {
    rules.push_back(rule);
    return true;
  });
  return rules;
}

Status denied(const User& user, const AccessAttributes& wanted, std::string_view reason) {
  std::string why;
  if (!wanted.is_resource) {
    why = fmt::format("User \"{}\" cannot {} path \"{}\"", user.name, wanted.verb, wanted.path);
    if (!reason.empty()) why += fmt::format(": {}", reason);
    return Status::forbidden("", "", "", why);
  }
  const std::string resource = wanted.subresource.empty()
                                   ? wanted.resource
                                   : fmt::format("{}/{}", wanted.resource, wanted.subresource);
  why = fmt::format("User \"{}\" cannot {} resource \"{}\" in API group \"{}\"", user.name,
                    wanted.verb, resource, wanted.group);
  why += wanted.ns.empty() ? " at the cluster scope"
                           : fmt::format(" in the namespace \"{}\"", wanted.ns);
  if (!reason.empty()) why += fmt::format(": {}", reason);
  return Status::forbidden(wanted.group, wanted.resource, wanted.name, why);
}

namespace {

JsonArray words(std::string_view list) {
  JsonArray made;
  for (const auto& word : split(list, ' '))
    made.emplace_back(word == "core" ? std::string_view() : word);
  return made;
}
Json rule(std::string_view groups, std::string_view resources, std::string_view verbs) {
  return JsonObject{
      {"apiGroups", words(groups)}, {"resources", words(resources)}, {"verbs", words(verbs)}};
}
Json path_rule(std::string_view paths) {
  return JsonObject{{"nonResourceURLs", words(paths)}, {"verbs", JsonArray{"get"}}};
}

// A role that also has the rules of all roles labelled for it.
Json aggregated(Json role, std::string_view name) {
  data::set(
      role, {"aggregationRule"},
      JsonObject{{"clusterRoleSelectors",
                  JsonArray{JsonObject{
                      {"matchLabels",
                       JsonObject{{fmt::format("rbac.authorization.k8s.io/aggregate-to-{}", name),
                                   "true"}}}}}}});
  return role;
}

Json role(std::string_view name, JsonArray rules, std::string_view aggregate_to = {}) {
  JsonObject labels{{"kubernetes.io/bootstrapping", "rbac-defaults"}};
  if (!aggregate_to.empty())
    labels[fmt::format("rbac.authorization.k8s.io/aggregate-to-{}", aggregate_to)] = "true";
  return JsonObject{{"apiVersion", "rbac.authorization.k8s.io/v1"},
                    {"kind", "ClusterRole"},
                    {"metadata", JsonObject{{"name", name}, {"labels", std::move(labels)}}},
                    {"rules", std::move(rules)}};
}
Json binding(std::string_view name, std::string_view role_name, JsonArray subjects) {
  return JsonObject{
      {"apiVersion", "rbac.authorization.k8s.io/v1"},
      {"kind", "ClusterRoleBinding"},
      {"metadata",
       JsonObject{{"name", name},
                  {"labels", JsonObject{{"kubernetes.io/bootstrapping", "rbac-defaults"}}}}},
      {"roleRef", JsonObject{{"apiGroup", "rbac.authorization.k8s.io"},
                             {"kind", "ClusterRole"},
                             {"name", role_name}}},
      {"subjects", std::move(subjects)}};
}
Json group(std::string_view name) {
  return JsonObject{{"apiGroup", "rbac.authorization.k8s.io"}, {"kind", "Group"}, {"name", name}};
}

constexpr std::string_view kReadVerbs = "get list watch";
constexpr std::string_view kWriteVerbs = "create delete deletecollection patch update";
constexpr std::string_view kCoreObjects =
    "configmaps endpoints events limitranges persistentvolumeclaims persistentvolumeclaims/status "
    "pods pods/log "
    "pods/status replicationcontrollers replicationcontrollers/scale replicationcontrollers/status "
    "resourcequotas "
    "serviceaccounts services services/status bindings namespaces namespaces/status";
constexpr std::string_view kAppsObjects =
    "controllerrevisions daemonsets daemonsets/status deployments deployments/scale "
    "deployments/status replicasets "
    "replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status";
constexpr std::string_view kCoreWritable =
    "configmaps endpoints persistentvolumeclaims pods pods/attach pods/exec pods/portforward "
    "pods/proxy "
    "pods/eviction replicationcontrollers replicationcontrollers/scale secrets serviceaccounts "
    "services "
    "services/proxy events";
constexpr std::string_view kAppsWritable =
    "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale "
    "statefulsets "
    "statefulsets/scale";

JsonArray view_rules() {
  return {
      rule("core", kCoreObjects, kReadVerbs),
      rule("apps", kAppsObjects, kReadVerbs),
      rule("autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status", kReadVerbs),
      rule("batch", "cronjobs cronjobs/status jobs jobs/status", kReadVerbs),
      rule("discovery.k8s.io", "endpointslices", kReadVerbs),
      rule("networking.k8s.io", "ingresses ingresses/status networkpolicies", kReadVerbs),
      rule("policy", "poddisruptionbudgets poddisruptionbudgets/status", kReadVerbs)};
}
JsonArray edit_rules() {
  JsonArray rules = view_rules();
  rules.push_back(rule("core",
                       "secrets pods/attach pods/exec pods/portforward pods/proxy services/proxy",
                       kReadVerbs));
  rules.push_back(rule("core", kCoreWritable, kWriteVerbs));
  rules.push_back(rule("core", "serviceaccounts", "impersonate"));
  rules.push_back(rule("core", "serviceaccounts/token", "create"));
  rules.push_back(rule("apps", kAppsWritable, kWriteVerbs));
  rules.push_back(rule("autoscaling", "horizontalpodautoscalers", kWriteVerbs));
  rules.push_back(rule("batch", "cronjobs jobs", kWriteVerbs));
  rules.push_back(rule("networking.k8s.io", "ingresses networkpolicies", kWriteVerbs));
  rules.push_back(rule("policy", "poddisruptionbudgets", kWriteVerbs));
  rules.push_back(rule("coordination.k8s.io", "leases",
                       "create delete deletecollection get list patch update watch"));
  return rules;
}
JsonArray admin_rules() {
  JsonArray rules = edit_rules();
  rules.push_back(rule("authorization.k8s.io", "localsubjectaccessreviews", "create"));
  rules.push_back(rule("rbac.authorization.k8s.io", "rolebindings roles",
                       "create delete deletecollection get list patch update watch"));
  return rules;
}

}  // namespace

std::vector<Json> bootstrap_roles() {
  return {
      role("cluster-admin", {rule("*", "*", "*"), JsonObject{{"nonResourceURLs", JsonArray{"*"}},
                                                             {"verbs", JsonArray{"*"}}}}),
      aggregated(role("admin", admin_rules()), "admin"),
      aggregated(role("edit", edit_rules(), "admin"), "edit"),
      aggregated(role("view", view_rules(), "edit"), "view"),
      role("system:basic-user", {rule("authorization.k8s.io",
                                      "selfsubjectaccessreviews selfsubjectrulesreviews", "create"),
                                 rule("authentication.k8s.io", "selfsubjectreviews", "create")}),
      role("system:discovery", {path_rule("/api /api/* /apis /apis/* /healthz /livez /openapi "
                                          "/openapi/* /readyz /version /version/")}),
      role("system:public-info-viewer", {path_rule("/healthz /livez /readyz /version /version/")}),
      role("system:service-account-issuer-discovery",
           {path_rule("/.well-known/openid-configuration /.well-known/openid-configuration/ "
                      "/openid/v1/jwks /openid/v1/jwks/")}),
      role("system:auth-delegator",
           {rule("authentication.k8s.io", "tokenreviews", "create"),
            rule("authorization.k8s.io", "subjectaccessreviews", "create")}),
      binding("cluster-admin", "cluster-admin", {group("system:masters")}),
      binding("system:basic-user", "system:basic-user", {group("system:authenticated")}),
      binding("system:discovery", "system:discovery", {group("system:authenticated")}),
      binding("system:public-info-viewer", "system:public-info-viewer",
              {group("system:authenticated"), group("system:unauthenticated")}),
      binding("system:service-account-issuer-discovery", "system:service-account-issuer-discovery",
              {group("system:serviceaccounts")}),
  };
}

}  // namespace lateen::cluster::apiserver
