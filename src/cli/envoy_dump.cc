// Reading config dumps.
#include "cli/envoy_dump.h"

#include <algorithm>
#include <cctype>

#include "base/strings.h"

namespace lateen::cli {
namespace {

std::string camel(std::string_view snake) {
  std::string out;
  bool is_next_upper = false;
  for (const char c : snake) {
    if (c == '_') {
      is_next_upper = true;
      continue;
    }
    out += is_next_upper ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
    is_next_upper = false;
  }
  return out;
}

// Below these, keys are the user's. A resource's own "metadata" holds filter_metadata, a node's
// holds anything.
bool is_map_of_users(std::string_view key, const Json& value) {
  if (key == "metadata") return member(value, "filter_metadata") == nullptr;
  return key == "filter_metadata" || key == "filterMetadata" || key == "fields";
}

Json recased(const Json& value, bool is_kept) {
  if (const auto* array = value.if_array()) {
    data::JsonArray out;
    for (const Json& each : *array) out.push_back(recased(each, is_kept));
    return out;
  }
  const auto* object = value.if_object();
  if (object == nullptr) return value;
  data::JsonObject out;
  for (const auto& entry : *object) {
    const std::string key = is_kept ? std::string(entry.key()) : camel(entry.key());
    out[key] = recased(entry.value(), is_kept || is_map_of_users(entry.key(), entry.value()));
  }
  return out;
}

void add_all(std::vector<Json>& out, const Json* section, std::string_view list,
             std::initializer_list<std::string_view> path) {
  if (section == nullptr) return;
  for (const Json& each : list_at(*section, {list})) {
    if (const Json* found = walk(each, path)) out.push_back(*found);
  }
}

}  // namespace

const Json* member(const Json& object, std::string_view snake_name) {
  const auto* map = object.if_object();
  if (map == nullptr) return nullptr;
  if (const Json* found = map->if_contains(snake_name)) return found;
  return map->if_contains(camel(snake_name));
}

const Json* walk(const Json& object, std::initializer_list<std::string_view> snake_path) {
  const Json* at = &object;
  for (const auto name : snake_path) {
    at = member(*at, name);
    if (at == nullptr) return nullptr;
  }
  return at;
}

std::string_view text_at(const Json& object, std::initializer_list<std::string_view> snake_path,
                         std::string_view fallback) {
  const Json* found = walk(object, snake_path);
  return found != nullptr ? data::as_string(*found, fallback) : fallback;
}

std::int64_t number_at(const Json& object, std::initializer_list<std::string_view> snake_path,
                       std::int64_t fallback) {
  const Json* found = walk(object, snake_path);
  return found != nullptr ? data::as_int(*found).value_or(fallback) : fallback;
}

const data::JsonArray& list_at(const Json& object,
                               std::initializer_list<std::string_view> snake_path) {
  static const data::JsonArray kNone;
  const Json* found = walk(object, snake_path);
  return found != nullptr && found->is_array() ? *found->if_array() : kNone;
}

Json camel_cased(const Json& value) { return recased(value, false); }

const Json* section(const Json& dump, std::string_view type) {
  for (const Json& each : list_at(dump, {"configs"})) {
    if (data::get_string(each, {"@type"}).ends_with(type)) return &each;
  }
  return nullptr;
}

std::vector<Json> clusters_in(const Json& dump) {
  std::vector<Json> out;
  const Json* found = section(dump, "ClustersConfigDump");
  add_all(out, found, "dynamic_active_clusters", {"cluster"});
  add_all(out, found, "static_clusters", {"cluster"});
  return out;
}

std::vector<Json> listeners_in(const Json& dump) {
  std::vector<Json> out;
  const Json* found = section(dump, "ListenersConfigDump");
  add_all(out, found, "dynamic_listeners", {"active_state", "listener"});
  add_all(out, found, "static_listeners", {"listener"});
  return out;
}

std::vector<Json> routes_in(const Json& dump) {
  std::vector<Json> out;
  const Json* found = section(dump, "RoutesConfigDump");
  add_all(out, found, "dynamic_route_configs", {"route_config"});
  add_all(out, found, "static_route_configs", {"route_config"});
  return out;
}

bool parse_subset_key(std::string_view name, SubsetKey& out) {
  const auto parts = split(name, '|');
  if (parts.size() < 4) return false;
  out = {std::string(parts[0]), std::string(parts[1]), std::string(parts[2]),
         std::string(parts[3])};
  return true;
}

}  // namespace lateen::cli
