// See policies.h.
#include "cluster/apiserver/policies.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "cluster/apiserver/defaults.h"
#include "cluster/cel/program.h"
#include "kube/selector.h"

namespace lateen::cluster::apiserver {
namespace {

constexpr std::int64_t kMostSteps = 10'000'000;  // for all policies of one write
constexpr std::string_view kPolicies = "admissionregistration.k8s.io/validatingadmissionpolicies";
constexpr std::string_view kBindings =
    "admissionregistration.k8s.io/validatingadmissionpolicybindings";

bool has_word(const JsonArray& words, std::string_view wanted) {
  return std::any_of(words.begin(), words.end(), [&](const Json& one) {
    return data::as_string(one) == "*" || data::as_string(one) == wanted;
  });
}

bool matches_rule(const Json& rule, const AdmissionAttributes& attributes) {
  const auto& info = attributes.call.info;
  const auto& type = *attributes.call.type;
  if (!has_word(data::get_array(rule, {"operations"}), to_string(attributes.operation)))
    return false;
  if (!has_word(data::get_array(rule, {"apiGroups"}), type.group)) return false;
  const auto& versions = data::get_array(rule, {"apiVersions"});
  if (std::none_of(type.versions.begin(), type.versions.end(),
                   [&](const ServedVersion& one) { return has_word(versions, one.name); }))
    return false;
  const auto scope = data::get_string(rule, {"scope"}, "*");
  if (scope != "*" && (scope == "Namespaced") != type.is_namespaced) return false;
  const auto& names = data::get_array(rule, {"resourceNames"});
  if (!names.empty() && !has_word(names, attributes.name)) return false;
  const std::string full =
      info.subresource.empty() ? info.resource : info.resource + "/" + info.subresource;
  for (const Json& one : data::get_array(rule, {"resources"})) {
    const auto word = data::as_string(one);
    if (word == "*/*" || word == full) return true;
    if (word == "*" && info.subresource.empty()) return true;
    if (!info.subresource.empty() &&
        (word == info.resource + "/*" || word == "*/" + info.subresource))
      return true;
  }
  return false;
}

bool matches_labels(const Json* selector, const JsonObject& labels) {
  if (selector == nullptr || !selector->is_object()) return true;
  auto parsed = kube::LabelSelector::from_object(*selector);
  return parsed.ok() && parsed->matches(labels);
}

// matchConstraints of a policy, matchResources of a binding.
bool matches(const Store& store, const Json* constraints, const AdmissionAttributes& attributes,
             const Json& object) {
  if (constraints == nullptr) return true;
  const auto& rules = data::get_array(*constraints, {"resourceRules"});
  const auto is_meant = [&](const Json& rule) { return matches_rule(rule, attributes); };
  if (!rules.empty() && std::none_of(rules.begin(), rules.end(), is_meant)) return false;
  const auto& excluded = data::get_array(*constraints, {"excludeResourceRules"});
  if (std::any_of(excluded.begin(), excluded.end(), is_meant)) return false;
  const Json& labelled =
      object.is_object() || attributes.old_object == nullptr ? object : *attributes.old_object;
  if (!matches_labels(data::find(*constraints, {"objectSelector"}), kube::labels_of(labelled)))
    return false;
  if (!attributes.call.type->is_namespaced) return true;
  const auto ns = store.get("/namespaces", {"", attributes.ns});
  return matches_labels(data::find(*constraints, {"namespaceSelector"}),
                        ns != nullptr ? kube::labels_of(ns->value) : JsonObject());
}

std::vector<cel::Program::Variable> known_names() {
  return {{"object", nullptr},
          {"oldObject", nullptr},
          {"request", nullptr},
          {"namespaceObject", nullptr},
          {"variables", nullptr}};
}

Json request_of(const AdmissionAttributes& attributes) {
  const auto& call = attributes.call;
  JsonArray groups;
  for (const auto& group : call.request.user.groups) groups.emplace_back(group);
  return JsonObject{{"operation", to_string(attributes.operation)},
                    {"name", attributes.name},
                    {"namespace", attributes.ns},
                    {"subResource", call.info.subresource},
                    {"dryRun", call.is_dry_run},
                    {"kind", JsonObject{{"group", call.type->group},
                                        {"version", call.info.version},
                                        {"kind", call.type->kind}}},
                    {"resource", JsonObject{{"group", call.type->group},
                                            {"version", call.info.version},
                                            {"resource", call.type->plural}}},
                    {"userInfo", JsonObject{{"username", call.request.user.name},
                                            {"uid", call.request.user.uid},
                                            {"groups", std::move(groups)}}}};
}

// One policy's view of one write.
class Judgement {
 public:
  Judgement(const Store& store, const AdmissionAttributes& attributes, const Json& object,
            cel::Budget& budget)
      : request_(request_of(attributes)), budget_(budget) {
    if (attributes.call.type->is_namespaced) {
      if (const auto ns = store.get("/namespaces", {"", attributes.ns})) namespace_ = ns->value;
    }
    const auto seen = [](const Json* json) {
      return json == nullptr ? cel::Value() : cel::Value::of(*json, nullptr);
    };
    bindings_ = {{"object", seen(&object)},
                 {"oldObject", seen(attributes.old_object)},
                 {"request", seen(&request_)},
                 {"namespaceObject", seen(&namespace_)},
                 {"variables", cel::Value::map({})}};
  }

  Result<cel::Value> value(std::string_view expression) {
    const auto program =
        TRY(cel::Program::compile(expression, known_names(), cel::Shape::Kind::kAny));
    return program.evaluate(bindings_, budget_);
  }
  Result<bool> holds(std::string_view expression) {
    const auto program =
        TRY(cel::Program::compile(expression, known_names(), cel::Shape::Kind::kBool));
    const auto verdict = TRY(program.evaluate(bindings_, budget_));
    if (const bool* flag = verdict.get<bool>()) return *flag;
    return invalid("the expression gives no bool");
  }
  // In order; one that fails is simply not there for the others.
  void add_variables(const Json& policy) {
    cel::Map known;
    for (const Json& variable : data::get_array(policy, {"spec", "variables"})) {
      const auto made = value(data::get_string(variable, {"expression"}));
      if (made.ok())
        known.push_back({cel::Value(std::string(data::get_string(variable, {"name"}))), *made});
      bindings_.back().second = cel::Value::map(known);
    }
  }
  // nullopt: it holds. Else why not.
  std::optional<std::string> fault(const Json& validation) {
    const auto expression = data::get_string(validation, {"expression"});
    const auto verdict = holds(expression);
    if (verdict.ok() && *verdict) return std::nullopt;
    if (!verdict.ok())
      return fmt::format("expression '{}' resulted in error: {}", expression,
                         verdict.error().message());
    if (const auto text = data::get_string(validation, {"messageExpression"}); !text.empty()) {
      const auto made = value(text);
      const auto* message = made.ok() ? made->get<std::string>() : nullptr;
      if (message != nullptr && !trim(*message).empty()) return *message;
    }
    return std::string(data::get_string(validation, {"message"},
                                        fmt::format("failed expression: {}", trim(expression))));
  }

 private:
  Json request_;
  Json namespace_;
  cel::Budget& budget_;
  cel::Program::Bindings bindings_;
};

int code_of(std::string_view reason) {
  if (reason == "Unauthorized") return 401;
  if (reason == "Forbidden") return 403;
  return reason == "RequestEntityTooLarge" ? 413 : 422;
}

// The first validation that does not hold, with its reason.
std::optional<std::pair<std::string, std::string>> denial(const Json& policy, Judgement& judge) {
  const bool is_strict = data::get_string(policy, {"spec", "failurePolicy"}, "Fail") == "Fail";
  for (const Json& condition : data::get_array(policy, {"spec", "matchConditions"})) {
    const auto holds = judge.holds(data::get_string(condition, {"expression"}));
    if (holds.ok() && *holds) continue;
    if (holds.ok() || !is_strict) return std::nullopt;
    return std::pair(holds.error().message(), std::string("Invalid"));
  }
  judge.add_variables(policy);
  for (const Json& validation : data::get_array(policy, {"spec", "validations"})) {
    auto why = judge.fault(validation);
    if (!why) continue;
    if (!is_strict && why->find("resulted in error") != std::string::npos) continue;
    return std::pair(*why, std::string(data::get_string(validation, {"reason"}, "Invalid")));
  }
  return std::nullopt;
}

}  // namespace

Outcome<> check_policies(const Store& store, AdmissionAttributes& attributes, const Json& object) {
  auto& call = attributes.call;
  // Policies never judge the configuration of admission: a broken one could not be removed.
  if (call.type->group == "admissionregistration.k8s.io" || call.type->is_virtual) return {};
  cel::Budget budget(kMostSteps);
  for (const auto& binding : store.list(kBindings).items) {
    const std::string name(data::get_string(binding->value, {"spec", "policyName"}));
    const auto policy = store.get(kPolicies, {"", name});
    if (policy == nullptr) continue;
    if (!matches(store, data::find(policy->value, {"spec", "matchConstraints"}), attributes,
                 object) ||
        !matches(store, data::find(binding->value, {"spec", "matchResources"}), attributes, object))
      continue;
    Judgement judge(store, attributes, object, budget);
    const auto denied = denial(policy->value, judge);
    if (!denied) continue;
    const auto& actions = data::get_array(binding->value, {"spec", "validationActions"});
    if (has_word(actions, "Warn")) {
      call.warnings.push_back(
          fmt::format("Validation failed for ValidatingAdmissionPolicy '{}' with binding '{}': {}",
                      name, binding->key.name, denied->first));
    }
    if (!has_word(actions, "Deny")) continue;
    const std::string why =
        fmt::format("ValidatingAdmissionPolicy '{}' with binding '{}' denied request: {}", name,
                    binding->key.name, denied->first);
    Status status = Status::forbidden(call.type->group, call.type->plural, attributes.name, why);
    // What kubectl shows of one that is called invalid.
    data::set(status.details, {"causes"}, JsonArray{JsonObject{{"message", why}}});
    status.reason = denied->second;
    status.code = code_of(status.reason);
    return status;
  }
  return {};
}

namespace {

void default_policy(Json& object) {
  fill(object, {"spec", "failurePolicy"}, "Fail");
  fill(object, {"spec", "matchConstraints", "matchPolicy"}, "Equivalent");
  fill(object, {"spec", "matchConstraints", "namespaceSelector"}, JsonObject{});
  fill(object, {"spec", "matchConstraints", "objectSelector"}, JsonObject{});
}

void check_expression(const Json& from, std::string_view field, const std::string& path,
                      bool is_bool, FieldErrors& errors) {
  const std::string expression(data::get_string(from, {field}));
  if (expression.empty()) {
    if (is_bool) errors.required(fmt::format("{}.{}", path, field));
    return;
  }
  const auto program = cel::Program::compile(
      expression, known_names(), is_bool ? cel::Shape::Kind::kBool : cel::Shape::Kind::kAny);
  if (program.ok()) return;
  errors.invalid(fmt::format("{}.{}", path, field), Json(expression),
                 fmt::format("compilation failed: {}", program.error().message()));
}

void validate_policy(const Json& object, const Json*, FieldErrors& errors) {
  if (data::find(object, {"spec", "paramKind"}) != nullptr)
    errors.forbidden("spec.paramKind",
                     "policies with parameters are not supported by this cluster");
  const auto& validations = data::get_array(object, {"spec", "validations"});
  if (validations.empty() && data::get_array(object, {"spec", "auditAnnotations"}).empty())
    errors.required("spec.validations", "validations or auditAnnotations must be non-empty");
  const auto each = [&](std::string_view list, auto visit) {
    int index = 0;
    for (const Json& one : data::get_array(object, {"spec", list}))
      visit(one, fmt::format("spec.{}[{}]", list, index++));
  };
  each("validations", [&](const Json& one, const std::string& path) {
    check_expression(one, "expression", path, true, errors);
    check_expression(one, "messageExpression", path, false, errors);
  });
  each("matchConditions", [&](const Json& one, const std::string& path) {
    check_expression(one, "expression", path, true, errors);
  });
  each("variables", [&](const Json& one, const std::string& path) {
    check_expression(one, "expression", path, false, errors);
  });
}

void validate_binding(const Json& object, const Json*, FieldErrors& errors) {
  if (data::get_string(object, {"spec", "policyName"}).empty()) errors.required("spec.policyName");
  const auto& actions = data::get_array(object, {"spec", "validationActions"});
  if (actions.empty()) errors.required("spec.validationActions");
  for (const Json& action : actions) {
    const auto word = data::as_string(action);
    if (word != "Deny" && word != "Warn" && word != "Audit")
      errors.unsupported("spec.validationActions", action, {"Audit", "Deny", "Warn"});
  }
}

}  // namespace

const Strategy kAdmissionPolicyStrategy{default_policy, nullptr, nullptr, validate_policy};
const Strategy kAdmissionPolicyBindingStrategy{nullptr, nullptr, nullptr, validate_binding};

}  // namespace lateen::cluster::apiserver
