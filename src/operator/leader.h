// Leader election over a Lease (coordination.k8s.io/v1), in client-go's format: of several
// operators one works.
#pragma once

#include <functional>
#include <string>

#include "base/clock.h"
#include "kube/client.h"

namespace lateen::op {

struct LeaderOptions {
  kube::Key lease;       // "istio-operator/istio-operator-lock"
  std::string identity;  // of this process: the pod's name
  seconds duration{15};  // a leader that is silent longer has lost
  milliseconds renew_every{3'000};
  milliseconds retry_every{1'000};
};

// Blocking; each call is made by one thread.
class Leader {
 public:
  // `client` and `clock` outlive it.
  Leader(kube::Client& client, const Clock& clock, LeaderOptions options);
  // Waits until the lease is ours; false when `should_stop` became true first.
  bool acquire(const std::function<bool()>& should_stop);
  // Renews until the lease is lost (false) or `should_stop` (true; then the lease is given back).
  bool keep(const std::function<bool()>& should_stop);

 private:
  // Takes or renews the lease once. False: somebody else holds it.
  Result<bool> claim();
  void release();
  bool pause(milliseconds span, const std::function<bool()>& should_stop) const;

  kube::Client& client_;
  const Clock& clock_;
  LeaderOptions options_;
  // A foreign lease counts as held until it has not changed for its duration by our own clock.
  std::string seen_;
  SteadyTime seen_at_{};
};

}  // namespace lateen::op
