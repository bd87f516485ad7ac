// The cluster's managed objects as they are now: one informer a kind, and what of them we applied
// last.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "kube/informer.h"

namespace lateen::op {

using data::Json;

// Thread-safe.
class LiveObjects {
 public:
  // `on_drift` runs on informer threads with the object's labels' owner: something else than we
  // changed it.
  LiveObjects(kube::Client& client, std::function<void(const kube::Key& owner)> on_drift);
  ~LiveObjects();

  void start();
  // Unavailable, naming the kind, when `limit` passed.
  Result<> wait_synced(milliseconds limit);

  kube::ObjectPtr find(const Json& like) const;
  // All whose labels name this IstioOperator.
  std::vector<Json> owned_by(const kube::Key& owner) const;

  // True when `wanted` was applied before and the cluster's object has not changed since (status
  // aside).
  bool is_settled(const Json& wanted) const;
  void remember(const Json& wanted, const Json& applied);
  void forget(const Json& object);

 private:
  struct Applied {
    std::uint64_t wanted_hash;
    std::uint64_t live_hash;
  };
  void changed(const kube::Change& change);

  std::function<void(const kube::Key&)> on_drift_;
  std::map<std::string, std::unique_ptr<kube::Informer>> informers_;  // by kind
  mutable std::mutex mutex_;
  std::map<std::string, Applied> applied_;  // by identity; bounded by what is rendered
};

}  // namespace lateen::op
