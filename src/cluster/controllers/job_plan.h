// What a Job needs next. Pure functions.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "kube/informer.h"

namespace lateen::cluster::controllers {

using data::Json;
using kube::ObjectPtr;

struct JobCounts {
  std::int64_t active = 0, ready = 0, succeeded = 0, failed = 0, terminating = 0;
  std::set<std::int64_t> done_indexes;  // Indexed Jobs: completion indexes that succeeded
  std::set<std::int64_t> active_indexes;
};
JobCounts count_pods(const Json& job, const std::vector<ObjectPtr>& pods);

struct JobPlan {
  enum class End : unsigned char { kNone, kComplete, kBackoffLimit, kDeadline } end = End::kNone;
  std::int64_t create = 0;                   // pods to make now
  std::vector<std::int64_t> create_indexes;  // of Indexed Jobs, as many as `create`
  std::int64_t remove = 0;                   // active pods too many
  std::optional<nanoseconds> look_again;     // back-off or deadline
};
// `failed_since_success` pods failed in a row, the last at `last_failure`.
JobPlan plan_job(const Json& job, const JobCounts& counts, std::optional<WallTime> last_failure,
                 WallTime now);

// "0-2,5" of Indexed Jobs' status.completedIndexes.
std::string format_indexes(const std::set<std::int64_t>& indexes);

}  // namespace lateen::cluster::controllers
