// What every IstioOperator asks for, and who gets an object that several ask for.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "install/applier.h"
#include "install/charts.h"
#include "install/manifest.h"
#include "kube/object.h"

namespace lateen::op {

using data::Json;

// One IstioOperator, rendered. Const once made.
struct Wish {
  kube::Key key;
  std::string uid;
  std::int64_t generation = 0;
  std::string created;  // RFC 3339
  install::Plan plan;
  std::vector<install::ComponentManifest> manifests;  // objects stamped
  std::map<std::string, install::Part> objects;       // by identity
};
using WishPtr = std::shared_ptr<const Wish>;

// Thread-safe. Holds at most kMostOperators wishes.
class Claims {
 public:
  static constexpr std::size_t kMostOperators = 256;

  // The rendered form of `iop`, rendered anew only when its generation changed. The error is the
  // user's mistake.
  Result<WishPtr> refresh(install::Charts& charts, const Json& iop);
  void forget(const kube::Key& key);
  // The newest of those who want the object; null when nobody does.
  WishPtr owner_of(const std::string& identity) const;
  // All who share an object with `wish`, without itself.
  std::vector<kube::Key> sharing_with(const Wish& wish) const;
  std::size_t size() const;

 private:
  mutable std::mutex mutex_;
  std::map<kube::Key, WishPtr> wishes_;
};

}  // namespace lateen::op
