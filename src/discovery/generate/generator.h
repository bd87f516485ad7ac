// Generator: all discovery types for one proxy from one snapshot, from nothing. Pure. What is sent
// comes from the Catalog, which remembers; debug pages and tests ask here.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "discovery/scope.h"
#include "xds/server.h"

namespace google::protobuf {
class Message;
}

namespace lateen::discovery {

class Generator {
 public:
  explicit Generator(SnapshotPtr snapshot) : snapshot_(std::move(snapshot)) {}

  // Resources of `type_url` for `proxy`: all of them (CDS, LDS, NDS), or those named.
  std::vector<xds::Served> make(const Proxy& proxy, std::string_view type_url,
                                const std::set<std::string>& names) const;
  const MeshSnapshot& snapshot() const { return *snapshot_; }
  const SnapshotPtr& snapshot_ptr() const { return snapshot_; }

 private:
  SnapshotPtr snapshot_;
};

// The same for a view. `names` may be any range of strings.
xds::Served make_served(std::string name, std::string body);
xds::Served make_served(std::string name, const google::protobuf::Message& message);
std::vector<xds::Served> make_all_clusters(const View& view);
std::vector<xds::Served> make_all_listeners(const View& view);
xds::Served make_name_table(const View& view);
// What a gRPC application without a proxy gets, where that differs from what proxies get.
std::optional<std::vector<xds::Served>> make_for_proxyless(const View& view,
                                                           std::string_view type_url,
                                                           const std::set<std::string>& names);
// nullopt: there is nothing of that name.
std::optional<xds::Served> make_named(const View& view, std::string_view type_url,
                                      const std::string& name);

}  // namespace lateen::discovery
