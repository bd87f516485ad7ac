// Generator: all discovery types for all proxies of one snapshot. Pure but for what it remembers to
// share work: scopes by namespace and Sidecar, resources by kind of proxy (the replicas of a
// workload get the same). One thread's.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "discovery/scope.h"
#include "xds/server.h"

namespace lateen::discovery {

class Generator {
 public:
  using Resources = std::vector<xds::Served>;
  explicit Generator(SnapshotPtr snapshot);

  // Resources of `type_url` for `proxy`: all of them (CDS, LDS, NDS), or those named.
  std::vector<xds::Served> make(const Proxy& proxy, std::string_view type_url,
                                const std::set<std::string>& names);
  // The same, made once for all proxies that differ in nothing that is looked at.
  std::shared_ptr<const Resources> share(const Proxy& proxy, std::string_view type_url,
                                         const std::set<std::string>& names);
  const MeshSnapshot& snapshot() const { return *snapshot_; }
  const SnapshotPtr& snapshot_ptr() const { return snapshot_; }
  View view_of(const Proxy& proxy);

 private:
  struct Shared {
    std::set<std::string> names;
    std::shared_ptr<const Resources> resources;
  };
  std::string kind_of(const Proxy& proxy, std::string_view type_url);

  SnapshotPtr snapshot_;
  bool is_named_somewhere_ = false;  // some config looks at a proxy's own name or metadata
  bool has_headless_ = false;
  ByName<std::vector<Shared>> shared_;  // by kind of proxy and type
  ByName<std::shared_ptr<const Scope>> scopes_;
};

}  // namespace lateen::discovery
