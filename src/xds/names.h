// Sets of resource names, immutable and shared: the replicas of a workload subscribe to the same
// thousand names, so equal subscriptions are one object and are compared by address. One loop's
// thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace lateen::xds {

// Of any bytes, at the speed of memory: to see whether a long list of names is the one it was.
std::uint64_t quick_hash(std::string_view bytes);

class Names {
 public:
  Names() = default;
  explicit Names(std::vector<std::string> sorted) : sorted_(std::move(sorted)) {}
  bool contains(std::string_view name) const;
  bool empty() const { return sorted_.empty(); }
  std::size_t size() const { return sorted_.size(); }
  auto begin() const { return sorted_.begin(); }
  auto end() const { return sorted_.end(); }

 private:
  std::vector<std::string> sorted_;  // no duplicates
};
using NamesPtr = std::shared_ptr<const Names>;
NamesPtr no_names();  // always the same

// Gives the same object for the same names, as long as someone holds it.
class NamePool {
 public:
  NamesPtr take(const std::vector<std::string_view>& names);

 private:
  // Clients send their names in any order, and each the same again and again.
  struct Order {
    std::string given;
    std::weak_ptr<const Names> names;
  };
  void sweep();

  std::unordered_multimap<std::uint64_t, Order> orders_;
  std::unordered_multimap<std::uint64_t, std::weak_ptr<const Names>> known_;
};

}  // namespace lateen::xds
