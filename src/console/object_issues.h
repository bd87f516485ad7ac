// What is wrong with a mesh object: the mesh's own checks, and names that lead nowhere.
#pragma once

#include <set>
#include <string>

#include "data/json.h"

namespace lateen::console {

// The names that references may lead to.
class Neighbours {
 public:
  // Knows nothing, so no reference is called wrong.
  static Neighbours none();
  // A Service, ServiceEntry, Gateway or DestinationRule; other kinds are ignored.
  void add(const data::Json& object);
  bool is_empty() const { return is_empty_; }

  bool has_host(std::string_view host, std::string_view ns) const;
  bool has_gateway(std::string_view name, std::string_view ns) const;
  // A DestinationRule of the host names the subset.
  bool has_subset(std::string_view host, std::string_view subset, std::string_view ns) const;

 private:
  bool is_empty_ = true;
  std::set<std::string> hosts_;     // full names
  std::set<std::string> gateways_;  // namespace/name
  std::set<std::string> subsets_;   // full host name|subset
};

// [{severity: "error" | "warning", path, message}]
data::JsonArray issues_of(const data::Json& object, const Neighbours& neighbours);

}  // namespace lateen::console
