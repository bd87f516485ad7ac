// Readiness arithmetic, pod making and ordering.
#include "cluster/controllers/pods.h"

#include <algorithm>
#include <tuple>

#include "base/strings.h"
#include "data/json.h"

namespace lateen::cluster::controllers {
namespace {

std::optional<WallTime> ready_since(const Json& pod) {
  const Json* ready = kube::condition(pod, "Ready");
  if (ready == nullptr || data::get_string(*ready, {"status"}) != "True") return std::nullopt;
  auto since = parse_rfc3339(data::get_string(*ready, {"lastTransitionTime"}));
  return since ? *since : WallTime{};
}

std::int64_t restarts_of(const Json& pod) {
  std::int64_t most = 0;
  for (const Json& status : data::get_array(pod, {"status", "containerStatuses"})) {
    most = std::max(most, data::get_int(status, {"restartCount"}));
  }
  return most;
}

// Smaller is deleted first.
auto deletion_rank(const Json& pod) {
  const auto phase = phase_of(pod);
  const int phase_rank = phase == "Pending" ? 0 : phase == "Unknown" ? 1 : 2;
  const auto cost = parse_int(kube::annotation(pod, "controller.kubernetes.io/pod-deletion-cost"));
  const auto since = ready_since(pod);
  return std::make_tuple(!data::get_string(pod, {"spec", "nodeName"}).empty(), phase_rank,
                         since.has_value(), cost.value_or(0),
                         since ? -since->time_since_epoch().count() : 0, -restarts_of(pod));
}

}  // namespace

std::string_view phase_of(const Json& pod) { return data::get_string(pod, {"status", "phase"}); }

bool is_finished(const Json& pod) {
  const auto phase = phase_of(pod);
  return phase == "Succeeded" || phase == "Failed";
}

bool is_active(const Json& pod) { return !is_finished(pod) && !kube::is_deleting(pod); }

bool is_ready(const Json& pod) { return ready_since(pod).has_value(); }

bool is_available(const Json& pod, seconds min_ready, WallTime now) {
  const auto since = ready_since(pod);
  return since && (min_ready.count() == 0 || *since + min_ready <= now);
}

std::optional<nanoseconds> until_available(const Json& pod, seconds min_ready, WallTime now) {
  const auto since = ready_since(pod);
  if (!since || *since + min_ready <= now) return std::nullopt;
  return *since + min_ready - now;
}

Json pod_from_template(const Json& pod_template, const Json& owner, std::string_view generate_name,
                       std::string_view name) {
  data::JsonObject metadata;
  if (!name.empty()) metadata["name"] = name;
  else metadata["generateName"] = generate_name;
  metadata["namespace"] = kube::namespace_of(owner);
  for (const std::string_view field : {"labels", "annotations", "finalizers"}) {
    if (const Json* value = data::find(pod_template, {"metadata", field})) metadata[field] = *value;
  }
  metadata["ownerReferences"] = data::JsonArray{kube::owner_reference(owner)};
  const Json* spec = data::find(pod_template, {"spec"});
  return {{"apiVersion", "v1"},
          {"kind", "Pod"},
          {"metadata", std::move(metadata)},
          {"spec", spec != nullptr ? *spec : Json(boost::json::object_kind)}};
}

std::vector<ObjectPtr> by_deletion_order(std::vector<ObjectPtr> pods) {
  std::stable_sort(pods.begin(), pods.end(), [](const ObjectPtr& a, const ObjectPtr& b) {
    const auto x = deletion_rank(*a), y = deletion_rank(*b);
    if (x != y) return x < y;
    const auto made_a = data::get_string(*a, {"metadata", "creationTimestamp"});
    const auto made_b = data::get_string(*b, {"metadata", "creationTimestamp"});
    if (made_a != made_b) return made_a > made_b;
    return kube::name_of(*a) > kube::name_of(*b);
  });
  return pods;
}

std::int64_t int_or_percent(const Json* value, std::int64_t total, bool rounds_up,
                            std::int64_t fallback) {
  if (value == nullptr) return fallback;
  if (const auto number = data::as_int(*value)) return *number;
  auto text = data::as_string(*value);
  if (!text.ends_with('%')) return parse_int(text).value_or(fallback);
  text.remove_suffix(1);
  const auto percent = parse_int(text);
  if (!percent) return fallback;
  return (total * *percent + (rounds_up ? 99 : 0)) / 100;
}

std::string canonical(const Json& value) {
  if (const auto* object = value.if_object()) {
    std::vector<std::string_view> keys;
    for (const auto& member : *object) keys.push_back(member.key());
    std::sort(keys.begin(), keys.end());
    std::string out = "{";
    for (const auto key : keys)
      out += data::dump_json(Json(key)) + ":" + canonical(*object->if_contains(key)) + ",";
    return out + "}";
  }
  if (const auto* list = value.if_array()) {
    std::string out = "[";
    for (const Json& item : *list) out += canonical(item) + ",";
    return out + "]";
  }
  if (const auto number = data::as_int(value)) return std::to_string(*number);
  return data::dump_json(value);
}

std::string safe_hash(std::string_view text) {
  // No vowels and no look-alikes, as apimachinery's rand.SafeEncodeString.
  static constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  std::string out = std::to_string(fnv1a32(text));
  for (char& digit : out) digit = kAlphabet[static_cast<unsigned char>(digit) % kAlphabet.size()];
  return out;
}

}  // namespace lateen::cluster::controllers
