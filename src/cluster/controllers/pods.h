// What controllers ask of pods, and how they make them from templates. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "kube/informer.h"
#include "kube/object.h"

namespace lateen::cluster::controllers {

using data::Json;
using kube::ObjectPtr;

std::string_view phase_of(const Json& pod);
bool is_finished(const Json& pod);  // Succeeded or Failed
bool is_active(const Json& pod);    // neither finished nor being deleted
bool is_ready(const Json& pod);     // condition Ready is True
// Ready for at least `min_ready`.
bool is_available(const Json& pod, seconds min_ready, WallTime now);
// When an unavailable but ready pod becomes available; nullopt when it is not ready or already
// available.
std::optional<nanoseconds> until_available(const Json& pod, seconds min_ready, WallTime now);

// A pod of a template: its metadata and spec, owned by `owner`. Exactly one of the names is set.
Json pod_from_template(const Json& pod_template, const Json& owner, std::string_view generate_name,
                       std::string_view name = {});

// Those to delete first, first: not assigned, pending, not ready, low deletion cost, ready or made
// most recently.
std::vector<ObjectPtr> by_deletion_order(std::vector<ObjectPtr> pods);

// An int or a percentage of `total` ("25%"), rounded up or down; `fallback` when missing.
std::int64_t int_or_percent(const Json* value, std::int64_t total, bool rounds_up,
                            std::int64_t fallback);

// The same text for equal values: keys sorted, numbers alike.
std::string canonical(const Json& value);
// Hash labels: FNV-1a of `text`, spelled in Kubernetes' safe alphabet.
std::string safe_hash(std::string_view text);

}  // namespace lateen::cluster::controllers
