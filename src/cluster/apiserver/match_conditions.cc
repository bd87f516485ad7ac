// See match_conditions.h.
#include "cluster/apiserver/match_conditions.h"

#include <fmt/format.h>

#include <set>

#include "cluster/cel/program.h"

namespace lateen::cluster::apiserver {
namespace {

// For all conditions of one webhook together.
constexpr std::int64_t kMostSteps = 1'000'000;
constexpr std::size_t kMostConditions = 64;

Result<cel::Program> compiled(const Json& condition) {
  return cel::Program::compile(data::get_string(condition, {"expression"}),
                               {{"object", nullptr}, {"oldObject", nullptr}, {"request", nullptr}},
                               cel::Shape::Kind::kBool);
}

}  // namespace

Result<bool> match_conditions_hold(const Json& webhook, const Json& request) {
  const auto& conditions = data::get_array(webhook, {"matchConditions"});
  if (conditions.empty()) return true;
  const Json none;
  const auto part = [&](std::string_view name) -> const Json& {
    const Json* found = data::find(request, {name});
    return found != nullptr ? *found : none;
  };
  const cel::Program::Bindings bindings{{"object", cel::Value::of(part("object"), nullptr)},
                                        {"oldObject", cel::Value::of(part("oldObject"), nullptr)},
                                        {"request", cel::Value::of(request, nullptr)}};
  cel::Budget budget(kMostSteps);
  std::optional<Error> failure;
  for (const Json& condition : conditions) {
    const auto program = compiled(condition);
    auto verdict =
        program.ok() ? program->evaluate(bindings, budget) : Result<cel::Value>(program.error());
    const bool* holds = verdict.ok() ? verdict->get<bool>() : nullptr;
    if (holds != nullptr && !*holds) return false;
    if (holds == nullptr && !failure) {
      failure =
          invalid(fmt::format("matchCondition \"{}\": {}", data::get_string(condition, {"name"}),
                              verdict.ok() ? "it gives no bool" : verdict.error().message()));
    }
  }
  if (failure) return *failure;
  return true;
}

void validate_match_conditions(const Json& webhook, const std::string& path, FieldErrors& errors) {
  const auto& conditions = data::get_array(webhook, {"matchConditions"});
  if (conditions.size() > kMostConditions) {
    errors.invalid(path + ".matchConditions", Json(static_cast<std::int64_t>(conditions.size())),
                   "must have at most 64 items");
    return;
  }
  std::set<std::string> names;
  int index = 0;
  for (const Json& condition : conditions) {
    const std::string at = fmt::format("{}.matchConditions[{}]", path, index++);
    const std::string name(data::get_string(condition, {"name"}));
    if (name.empty()) errors.required(at + ".name");
    else if (!names.insert(name).second) errors.duplicate(at + ".name", Json(name));
    const std::string expression(data::get_string(condition, {"expression"}));
    if (expression.empty()) {
      errors.required(at + ".expression");
    } else if (const auto program = compiled(condition); !program.ok()) {
      errors.invalid(at + ".expression", Json(expression),
                     fmt::format("compilation failed: {}", program.error().message()));
    }
  }
}

}  // namespace lateen::cluster::apiserver
