// Catalog: what every proxy is to have now, kept from snapshot to snapshot. Proxies that differ in
// nothing that generation looks at are of one Kind and share their resources; kinds share clusters,
// endpoints and routes with other kinds that see and obey the same. After a change only what was
// made of changed parts is made again, and what comes out as it was stays the same object, so that
// streams see by its address that there is nothing to send. One thread's.
//
// Whatever it gives is, byte for byte, what Generator makes of the same snapshot
// (catalog_test.cc holds them against each other).
#pragma once

#include <deque>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "discovery/generate/endpoint_memo.h"
#include "discovery/generate/generator.h"
#include "discovery/generate/route_memo.h"

namespace lateen::discovery {

class Catalog {
 public:
  class Kind;
  using KindPtr = std::shared_ptr<Kind>;

  Catalog();
  ~Catalog();

  // `hosts`: the services whose endpoints changed since the last one; null: any may have.
  void update(SnapshotPtr snapshot, const std::set<std::string>* hosts);
  const SnapshotPtr& snapshot() const { return snapshot_; }

  // The kind that `proxy` is of. `known`: what the last call for it gave (may be null); cheap when
  // nothing about the proxy changed since.
  struct Member {
    KindPtr kind;
    std::uint64_t stamp = 0;
    mesh::WorkloadPtr workload;
  };
  void classify(const Proxy& proxy, Member& member);

  // All resources of the type (`names` is ignored), or those named. The same object as before when
  // nothing of it changed. What is asked for once (`is_kept` false) is not remembered.
  xds::ResourcesPtr resources(Kind& kind, std::string_view type_url, const xds::NamesPtr& names,
                              bool is_kept = true);
  std::size_t kind_count() const { return kinds_.size(); }

 private:
  struct Sight;
  struct Cached;
  struct Facet;

  struct Change {
    std::uint64_t stamp, before;
    std::optional<std::set<std::string>> hosts;
  };
  static constexpr std::size_t kMostChanges = 64;

  std::string key_of(const Proxy& proxy, const std::vector<Target>& targets) const;
  Sight& sight_of(Kind& kind);
  Sight& make_sight(const Proxy& proxy);
  Facet& facet_of(const std::string& key, const std::string& family);
  void choose_facets(Kind& kind);
  const std::set<std::string>* changes_since(std::uint64_t since, std::set<std::string>& all) const;
  xds::ResourcesPtr clusters(Kind& kind, const View& view, std::uint64_t sight);
  xds::ResourcesPtr endpoints(Kind& kind, const View& view, const xds::NamesPtr& names,
                              bool is_kept);
  xds::ResourcesPtr routes(Kind& kind, const View& view, std::uint64_t sight,
                           const xds::NamesPtr& names, bool is_kept);
  xds::ResourcesPtr others(Kind& kind, const View& view, std::uint64_t sight,
                           std::string_view type_url, const xds::NamesPtr& names, bool is_kept);
  xds::ResourcesPtr proxyless(Kind& kind, const View& view, std::string_view type_url,
                              const xds::NamesPtr& names, bool is_kept);
  xds::ServedPtr share(xds::Served served);
  void sweep();

  SnapshotPtr snapshot_;
  bool has_cluster_patches_ = false, has_route_patches_ = false;
  bool is_named_somewhere_ = false;  // some config looks at a proxy's own name or metadata
  std::uint64_t next_sight_ = 1;
  std::uint64_t turn_ = 0;      // of update()
  std::deque<Change> changes_;  // of endpoints, oldest first
  ByName<std::weak_ptr<Kind>> kinds_;
  ByName<std::unique_ptr<Sight>> sights_;
  ByName<std::unique_ptr<Facet>> facets_;
  ByName<std::string> newest_;  // facet of each family
  GroupNumbers groups_;
  EndpointMemo endpoint_memo_;
  ClusterMemo cluster_memo_;
  // Equal bodies of different kinds are one.
  std::unordered_multimap<std::uint64_t, std::weak_ptr<const xds::Served>> shared_;
};

}  // namespace lateen::discovery
