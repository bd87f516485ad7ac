// The current Registry: built-in types plus whatever CustomResourceDefinitions are stored right
// now. Follows the store as a watcher, so a definition is served the moment its write returns.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "cluster/apiserver/registry.h"
#include "cluster/apiserver/status.h"
#include "cluster/apiserver/store.h"

namespace lateen::cluster::apiserver {

inline constexpr std::string_view kCrdBucket = "apiextensions.k8s.io/customresourcedefinitions";

// A stored definition (v1 form) as a served type; null when it cannot be served.
TypePtr type_from_crd(const Json& crd);

class Catalog {
 public:
  // `store` outlives the catalog.
  explicit Catalog(Store& store);
  ~Catalog();
  RegistryPtr current() const;
  // Changes whenever current() does; documents derived from the registry are cached under it.
  std::uint64_t generation() const;

 private:
  class Follower;
  Store& store_;
  std::shared_ptr<Follower> follower_;
};

}  // namespace lateen::cluster::apiserver
