// Hosts that exist: services of the cluster and hosts of ServiceEntries, with their ports.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "cli/analysis/world.h"

namespace lateen::cli {

class Hosts {
 public:
  explicit Hosts(const World& world);
  // Whether `host` as written in namespace `ns` exists there or anywhere.
  bool knows(std::string_view host, std::string_view ns) const;
  // The ports of the host; empty when it is unknown.
  std::set<std::int64_t> ports(std::string_view host, std::string_view ns) const;
  std::string full_name(std::string_view host, std::string_view ns) const;

 private:
  const World& world_;
  std::map<std::string, std::set<std::int64_t>, std::less<>>
      ports_;  // by full name, wildcards included
};

}  // namespace lateen::cli
