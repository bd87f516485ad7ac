// Claims by optimistic concurrency: a conflict means that another was faster.
#include "operator/leader.h"

#include <algorithm>
#include <thread>

#include "base/log.h"

namespace lateen::op {

using data::Json;

constexpr milliseconds kLook{200};  // at should_stop, while there is nothing else to do

Leader::Leader(kube::Client& client, const Clock& clock, LeaderOptions options)
    : client_(client), clock_(clock), options_(std::move(options)) {}

Result<bool> Leader::claim() {
  const auto& leases = kube::resources::leases();
  const std::string now = format_rfc3339(clock_.wall(), 6);
  auto found = client_.get(leases, options_.lease);
  if (!found && found.error().code() != Code::kNotFound) return std::move(found).error();
  Json lease = found ? *found : Json(data::JsonObject());
  const std::string holder(data::get_string(lease, {"spec", "holderIdentity"}));
  if (found && !holder.empty() && holder != options_.identity) {
    const std::string version(kube::resource_version_of(lease));
    if (version != seen_) {
      seen_ = version;
      seen_at_ = clock_.steady();
    }
    const seconds held(
        data::get_int(lease, {"spec", "leaseDurationSeconds"}, options_.duration.count()));
    if (clock_.steady() - seen_at_ < held) return false;
  }
  data::set(lease, {"apiVersion"}, "coordination.k8s.io/v1");
  data::set(lease, {"kind"}, "Lease");
  data::set(lease, {"metadata", "name"}, Json(options_.lease.name));
  data::set(lease, {"metadata", "namespace"}, Json(options_.lease.ns));
  if (holder != options_.identity) {
    data::set(lease, {"spec", "acquireTime"}, Json(now));
    data::set(lease, {"spec", "leaseTransitions"},
              data::get_int(lease, {"spec", "leaseTransitions"}) + (found ? 1 : 0));
  }
  data::set(lease, {"spec", "holderIdentity"}, Json(options_.identity));
  data::set(lease, {"spec", "leaseDurationSeconds"}, options_.duration.count());
  data::set(lease, {"spec", "renewTime"}, Json(now));
  auto written = found ? client_.update(leases, lease) : client_.create(leases, lease);
  if (written) return true;
  const Code code = written.error().code();
  if (code == Code::kAborted || code == Code::kAlreadyExists) return false;
  return std::move(written).error();
}

bool Leader::pause(milliseconds span, const std::function<bool()>& should_stop) const {
  const auto until = clock_.steady() + span;
  while (clock_.steady() < until) {
    if (should_stop()) return false;
    std::this_thread::sleep_for(std::min<nanoseconds>(kLook, until - clock_.steady()));
  }
  return true;
}

bool Leader::acquire(const std::function<bool()>& should_stop) {
  LOG(kInfo, "operator", "waiting for the lease {} as {}", options_.lease.to_string(),
      options_.identity);
  while (!should_stop()) {
    const auto claimed = claim();
    if (!claimed)
      LOG(kWarn, "operator", "lease {}: {}; trying again", options_.lease.to_string(),
          claimed.error().message());
    else if (claimed.value()) return true;
    if (!pause(options_.retry_every, should_stop)) return false;
  }
  return false;
}

bool Leader::keep(const std::function<bool()>& should_stop) {
  SteadyTime last = clock_.steady();
  while (pause(options_.renew_every, should_stop)) {
    const auto claimed = claim();
    if (claimed && claimed.value()) {
      last = clock_.steady();
    } else if (claimed && !seen_.empty()) {
      return false;
    } else if (clock_.steady() - last > options_.duration) {
      return false;
    }
  }
  release();
  return true;
}

void Leader::release() {
  Json patch = data::JsonObject();
  data::set(patch, {"spec", "holderIdentity"}, "");
  (void)client_.patch(kube::resources::leases(), options_.lease, kube::Patch::kMerge, patch);
}

}  // namespace lateen::op
