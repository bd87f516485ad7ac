// Generator: all discovery types for all proxies of one snapshot. Pure but for what it remembers to
// share work: scopes by namespace and Sidecar. One thread's.
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
  explicit Generator(SnapshotPtr snapshot) : snapshot_(std::move(snapshot)) {}

  // Resources of `type_url` for `proxy`: all of them (CDS, LDS, NDS), or those named.
  std::vector<xds::Served> make(const Proxy& proxy, std::string_view type_url,
                                const std::set<std::string>& names);
  const MeshSnapshot& snapshot() const { return *snapshot_; }
  const SnapshotPtr& snapshot_ptr() const { return snapshot_; }
  View view_of(const Proxy& proxy);

 private:
  SnapshotPtr snapshot_;
  ByName<std::shared_ptr<const Scope>> scopes_;
};

}  // namespace lateen::discovery
