// Patches of every kind, selectors, quantities and schemas from any JSON: errors, never a crash;
// and what the API promises of them holds.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "kube/patch.h"
#include "kube/quantity.h"
#include "kube/schema.h"
#include "kube/selector.h"

namespace lateen {
namespace {
void run(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto selector = kube::LabelSelector::parse(text); selector.ok()) {
    const auto again = kube::LabelSelector::parse(selector->to_string());
    CHECK(again.ok());
    const data::JsonObject labels{{"app", "web"}, {"tier", "db"}};
    CHECK(again->matches(labels) == selector->matches(labels));
  }
  (void)kube::FieldSelector::parse(text);
  if (const auto quantity = kube::Quantity::parse(text); quantity.ok()) {
    const auto again = kube::Quantity::parse(quantity->to_string());
    CHECK(again.ok());
    CHECK(*again == *quantity);
  }
  // {"target": …, "patch": …, "schema": …}
  const auto json = data::parse_json(text);
  if (!json.ok() || json->if_object() == nullptr) return;
  const auto part = [&](const char* name) {
    const auto* found = json->if_object()->if_contains(name);
    return found != nullptr ? *found : data::Json();
  };
  const auto target = part("target"), patch = part("patch");
  (void)kube::json_patch(target, patch);
  const auto merged = kube::merge_patch(target, patch);
  CHECK(kube::merge_patch(target, kube::make_merge_patch(target, target)) == target);
  (void)merged;
  for (const auto kind : {"Pod", "Deployment", "Service", "Unknown"})
    (void)kube::strategic_merge(target, patch, kind);
  (void)kube::LabelSelector::from_object(patch);
  if (const auto schema = kube::Schema::parse(part("schema")); schema.ok()) {
    auto object = target;
    schema->apply_defaults(object);
    (void)schema->prune(object);
    CHECK(schema->prune(object).empty());
    CHECK(schema->validate(object).size() <= kube::Schema::kMaxProblems);
  }
}

}  // namespace
}  // namespace lateen

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lateen::run(data, size);
  return 0;
}
