// Memos of the Catalog: clusters and endpoint assignments by the objects that they are made of. Who
// asks with the same objects gets the same resource, whatever the proxy. One thread's.
#pragma once

#include <deque>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "discovery/generate/clusters.h"
#include "xds/server.h"

namespace lateen::discovery {

// Numbers for texts, as long as the process lives: groups of proxies are few.
class GroupNumbers {
 public:
  std::uint32_t of(const std::string& text);

 private:
  ByName<std::uint32_t> numbers_;
};

class ClusterMemo {
 public:
  // Everything is made anew: something changed that all clusters depend on.
  void clear() { known_.clear(); }
  // Forgets what nobody uses.
  void sweep();
  xds::ServedPtr get(const View& view, const OutboundItem& item, std::uint32_t group);

 private:
  struct Key {
    const mesh::Service* service;
    const void* rule;
    const mesh::EndpointSet* endpoints;
    const mesh::ServicePort* port;
    const mesh::Subset* subset;
    std::uint32_t group;
    bool is_sni;
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    std::size_t operator()(const Key& key) const;
  };
  struct Entry {
    mesh::ServicePtr service;  // so that their addresses mean them
    mesh::ConfigPtr<mesh::DestinationRule> rule;
    mesh::EndpointSetPtr endpoints;
    xds::ServedPtr served;
  };
  std::unordered_map<Key, Entry, Hash> known_;
};

// Assignments for a list of names, and what each was made of.
struct Assignments {
  struct Item {
    mesh::ServicePtr service;  // null: nothing of that name is visible
    mesh::ConfigPtr<mesh::DestinationRule> rule;
    mesh::EndpointSetPtr endpoints;
  };
  xds::NamesPtr names;
  std::vector<Item> items;  // by position among the names
  std::shared_ptr<const ByName<std::vector<std::uint32_t>>> by_host;
  xds::ResourcesPtr made;
};

class EndpointMemo {
 public:
  void clear() { known_.clear(); }
  void sweep();
  // Finds out what the names mean, and makes all of them.
  void fill(const View& view, std::uint32_t group, Assignments& out);
  // Only endpoints changed since: those of `hosts`, or of any service when it is null.
  void refresh(const View& view, std::uint32_t group, const std::set<std::string>* hosts,
               Assignments& out);
  // An assignment by itself.
  xds::ServedPtr get(const View& view, std::uint32_t group, const std::string& name);

 private:
  struct Key {
    const mesh::Service* service;
    const void* rule;
    const mesh::EndpointSet* endpoints;
    std::uint32_t group;
    std::string name;
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    std::size_t operator()(const Key& key) const;
  };
  struct Entry {
    mesh::ServicePtr service;
    mesh::ConfigPtr<mesh::DestinationRule> rule;
    mesh::EndpointSetPtr endpoints;
    xds::ServedPtr served;
  };
  static Assignments::Item look_up(const View& view, const std::string& name);
  xds::ServedPtr make(const View& view, std::uint32_t group, const std::string& name,
                      const Assignments::Item& item);

  std::unordered_map<Key, Entry, Hash> known_;
};

// The list `made` with those of `before` that say the same; `before` itself when all do.
xds::ResourcesPtr keep_same(const xds::ResourcesPtr& before, xds::Resources made);

}  // namespace lateen::discovery
