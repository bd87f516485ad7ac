// An Envoy config dump as JSON, whatever its field spelling: Envoy writes snake_case, istioctl
// camelCase.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/json.h"

namespace lateen::cli {

using data::Json;

// A member by its snake_case name, or under the camelCase of it; null when absent.
const Json* member(const Json& object, std::string_view snake_name);
// member() along a path; null when any step is missing.
const Json* walk(const Json& object, std::initializer_list<std::string_view> snake_path);
std::string_view text_at(const Json& object, std::initializer_list<std::string_view> snake_path,
                         std::string_view fallback = {});
std::int64_t number_at(const Json& object, std::initializer_list<std::string_view> snake_path,
                       std::int64_t fallback = 0);
const data::JsonArray& list_at(const Json& object,
                               std::initializer_list<std::string_view> snake_path);
// Keys in camelCase, as istioctl prints them; keys of maps (metadata, labels) stay.
Json camel_cased(const Json& value);

// The section of a config dump whose @type ends so ("ClustersConfigDump"); null when the proxy has
// none.
const Json* section(const Json& dump, std::string_view type);
// The active resources of each kind, dynamic ones first.
std::vector<Json> clusters_in(const Json& dump);
std::vector<Json> listeners_in(const Json& dump);
std::vector<Json> routes_in(const Json& dump);

// "outbound|9080|v1|reviews.default.svc.cluster.local" apart; false for other names.
struct SubsetKey {
  std::string direction, port, subset, fqdn;
};
bool parse_subset_key(std::string_view name, SubsetKey& out);

}  // namespace lateen::cli
