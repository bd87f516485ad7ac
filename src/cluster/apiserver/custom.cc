// See custom.h.
#include "cluster/apiserver/custom.h"

#include <fmt/format.h>

#include "cluster/apiserver/builtin_schemas.h"

namespace lateen::cluster::apiserver {
namespace {

const kube::Schema* rules_of(const Call& call) {
  if (!call.type->is_custom) return nullptr;
  const ServedVersion* served = call.type->version(call.info.version);
  return served != nullptr ? served->rules.get() : nullptr;
}

std::vector<std::string> unknown_fields(const Call& call, Json& object) {
  if (!call.type->is_custom)
    return unknown_builtin_fields(call.type->kind, call.type->group, call.info.version, object);
  const kube::Schema* rules = rules_of(call);
  if (rules == nullptr || call.type->preserves_unknown) return {};
  return rules->prune(object);
}

}  // namespace

Outcome<> check_fields(Call& call, Json& object) {
  if (!call.type->is_custom) {
    if (const auto fault =
            builtin_type_fault(call.type->kind, call.type->group, call.info.version, object);
        !fault.empty()) {
      return Status::bad_request(fmt::format("{} in version \"{}\" cannot be handled as a {}: {}",
                                             call.type->kind, call.info.version, call.type->kind,
                                             fault));
    }
  }
  const auto unknown = unknown_fields(call, object);
  if (unknown.empty() || call.field_validation == FieldValidation::kIgnore) return {};
  if (call.field_validation == FieldValidation::kWarn) {
    constexpr std::size_t kMostWarnings = 10;
    for (const auto& field : unknown) {
      if (call.warnings.size() >= kMostWarnings) break;
      call.warnings.push_back(fmt::format("unknown field \"{}\"", field));
    }
    return {};
  }
  std::string list;
  for (const auto& field : unknown)
    list += fmt::format("{}unknown field \"{}\"", list.empty() ? "" : ", ", field);
  return Status::bad_request(
      fmt::format("{} in version \"{}\" cannot be handled as a {}: strict decoding error: {}",
                  call.type->kind, call.info.version, call.type->kind, list));
}

void default_custom(const Call& call, Json& object) {
  if (const kube::Schema* rules = rules_of(call)) rules->apply_defaults(object);
}

void validate_custom(const Call& call, const Json& object, const Json* old, FieldErrors& errors) {
  const kube::Schema* rules = rules_of(call);
  if (rules == nullptr) return;
  const auto problems = rules->validate(object);
  for (const auto& problem : problems) errors.add({problem.reason, problem.field, problem.detail});
  // Rules count on what the schema promises: they run on objects that keep to it.
  const auto& validations = call.type->version(call.info.version)->validations;
  if (!problems.empty() || validations == nullptr) return;
  for (const auto& problem : validations->validate(object, old))
    errors.add({problem.reason, problem.field, problem.detail});
}

}  // namespace lateen::cluster::apiserver
