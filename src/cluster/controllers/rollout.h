// The arithmetic of a Deployment's rollout. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/json.h"
#include "kube/informer.h"

namespace lateen::cluster::controllers {

using data::Json;

struct SetSize {
  std::int64_t wanted = 0;     // spec.replicas
  std::int64_t available = 0;  // status.availableReplicas
};
struct RolloutLimits {
  std::int64_t replicas = 1;
  std::int64_t max_surge = 1;
  std::int64_t max_unavailable = 0;
};
// From spec.replicas and spec.strategy; percentages resolved, never both zero.
RolloutLimits limits_of(const Json& deployment);

// How large the new ReplicaSet shall be now. `total` counts all sets' wanted pods, the new one's
// included.
std::int64_t next_new_size(const RolloutLimits& limits, std::int64_t new_wanted,
                           std::int64_t total);
// How large the old ones shall be now, in the given order (oldest first): broken pods go first,
// then as many as keeps replicas - max_unavailable available.
std::vector<std::int64_t> next_old_sizes(const RolloutLimits& limits, const SetSize& new_set,
                                         const std::vector<SetSize>& old_sets);

// Equal pod templates, the pod-template-hash label aside.
bool is_same_template(const Json& a, const Json& b);
// "web-6d4cf56db6"'s second half.
std::string template_hash(const Json& pod_template, std::int64_t collisions);
std::int64_t revision_of(const Json& object);
// Sets status.conditions[type]; lastUpdateTime moves when reason or status change, or when
// `is_fresh`.
void set_deployment_condition(Json& deployment, std::string_view type, std::string_view status,
                              std::string_view reason, std::string_view message,
                              std::string_view now, bool is_fresh = false);

}  // namespace lateen::cluster::controllers
