// Sizes, hashes and conditions of Deployments.
#include "cluster/controllers/rollout.h"

#include <algorithm>

#include "base/strings.h"
#include "cluster/controllers/pods.h"
#include "kube/object.h"

namespace lateen::cluster::controllers {
namespace {

constexpr std::string_view kHashLabel = "pod-template-hash";

Json without_hash(const Json& pod_template) {
  Json out = pod_template;
  data::erase(out, {"metadata", "labels", kHashLabel});
  data::erase(out, {"metadata", "creationTimestamp"});
  return out;
}

}  // namespace

RolloutLimits limits_of(const Json& deployment) {
  RolloutLimits out;
  out.replicas = data::get_int(deployment, {"spec", "replicas"}, 1);
  if (data::get_string(deployment, {"spec", "strategy", "type"}) == "Recreate") {
    return {out.replicas, 0, 0};
  }
  out.max_surge =
      int_or_percent(data::find(deployment, {"spec", "strategy", "rollingUpdate", "maxSurge"}),
                     out.replicas, true, (out.replicas + 3) / 4);
  out.max_unavailable = int_or_percent(
      data::find(deployment, {"spec", "strategy", "rollingUpdate", "maxUnavailable"}), out.replicas,
      false, out.replicas / 4);
  if (out.max_surge == 0 && out.max_unavailable == 0) out.max_unavailable = 1;
  out.max_unavailable = std::min(out.max_unavailable, out.replicas);
  return out;
}

std::int64_t next_new_size(const RolloutLimits& limits, std::int64_t new_wanted,
                           std::int64_t total) {
  if (new_wanted >= limits.replicas) return limits.replicas;
  const std::int64_t room = limits.replicas + limits.max_surge - total;
  return new_wanted + std::clamp<std::int64_t>(room, 0, limits.replicas - new_wanted);
}

std::vector<std::int64_t> next_old_sizes(const RolloutLimits& limits, const SetSize& new_set,
                                         const std::vector<SetSize>& old_sets) {
  std::vector<std::int64_t> sizes;
  std::int64_t total = new_set.wanted, available = new_set.available;
  for (const SetSize& old : old_sets) {
    sizes.push_back(old.wanted);
    total += old.wanted;
    available += old.available;
  }
  const std::int64_t least_available = limits.replicas - limits.max_unavailable;
  const std::int64_t new_unavailable = new_set.wanted - new_set.available;
  std::int64_t budget = total - least_available - new_unavailable;
  if (budget <= 0) return sizes;

  for (std::size_t i = 0; i < sizes.size() && budget > 0; ++i) {
    const std::int64_t broken =
        std::clamp<std::int64_t>(sizes[i] - old_sets[i].available, 0, budget);
    sizes[i] -= broken;
    budget -= broken;
  }
  std::int64_t spare = available - least_available;
  for (std::size_t i = 0; i < sizes.size() && spare > 0; ++i) {
    const std::int64_t taken = std::min(sizes[i], spare);
    sizes[i] -= taken;
    spare -= taken;
  }
  return sizes;
}

bool is_same_template(const Json& a, const Json& b) {
  return data::equal(without_hash(a), without_hash(b));
}

std::string template_hash(const Json& pod_template, std::int64_t collisions) {
  std::string text = canonical(without_hash(pod_template));
  if (collisions > 0) text += "#" + std::to_string(collisions);
  return safe_hash(text);
}

std::int64_t revision_of(const Json& object) {
  return parse_int(kube::annotation(object, "deployment.kubernetes.io/revision")).value_or(0);
}

void set_deployment_condition(Json& deployment, std::string_view type, std::string_view status,
                              std::string_view reason, std::string_view message,
                              std::string_view now, bool is_fresh) {
  const Json* old = kube::condition(deployment, type);
  const bool is_same_status = old != nullptr && data::get_string(*old, {"status"}) == status;
  if (is_same_status && data::get_string(*old, {"reason"}) == reason && !is_fresh) return;
  const std::string turned(is_same_status ? data::get_string(*old, {"lastTransitionTime"}) : now);
  Json entry = {{"type", type},          {"status", status},
                {"lastUpdateTime", now}, {"lastTransitionTime", turned},
                {"reason", reason},      {"message", message}};
  Json& list = data::ensure_object(deployment, {"status"})["conditions"];
  if (!list.is_array()) list.emplace_array();
  for (Json& existing : *list.if_array()) {
    if (data::get_string(existing, {"type"}) != type) continue;
    existing = std::move(entry);
    return;
  }
  list.if_array()->push_back(std::move(entry));
}

}  // namespace lateen::cluster::controllers
