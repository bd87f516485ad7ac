// One resource request with everything that is known about it; passed by reference through the
// pipeline.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "base/random.h"
#include "cluster/apiserver/request.h"

namespace lateen::cluster::apiserver {

enum class FieldValidation : unsigned char { kIgnore, kWarn, kStrict };

struct Call {
  const ApiRequest& request;
  RequestInfo info;
  TypePtr type;
  RegistryPtr registry;
  std::vector<std::string> warnings;  // become Warning headers
  bool is_dry_run = false;
  bool is_apply = false;  // server-side apply: managedFields are set already
  std::string field_manager;
  FieldValidation field_validation = FieldValidation::kWarn;

  kube::Key key() const { return {type->is_namespaced ? info.ns : std::string(), info.name}; }
  Status not_found(std::string_view name) const {
    return Status::not_found(type->group, type->plural, name);
  }
};

// Random from several threads.
class SharedRandom {
 public:
  SharedRandom() : random_(system_random()) {}
  std::string suffix(int length = 5) {
    std::lock_guard lock(mutex_);
    return random_->suffix(length);
  }
  std::string uuid() {
    std::lock_guard lock(mutex_);
    return random_->uuid();
  }
  std::uint64_t below(std::uint64_t bound) {
    std::lock_guard lock(mutex_);
    return random_->below(bound);
  }

 private:
  std::mutex mutex_;
  std::unique_ptr<Random> random_;
};

}  // namespace lateen::cluster::apiserver
