// JSON values and the small vocabulary all of us use on them. The value type is Boost.JSON's:
// ordered objects, int64/uint64/double apart. Its throwing accessors (at, as_*, get_*) are banned
// by ./dev tidy: use the functions below, if_*() or find().
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/string.hpp>
#include <boost/json/value.hpp>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace lateen::data {

using Json = boost::json::value;
using JsonObject = boost::json::object;
using JsonArray = boost::json::array;
using JsonString = boost::json::string;

// At most kMaxJsonDepth deep; the error tells the byte offset. Duplicate keys: the last wins.
inline constexpr int kMaxJsonDepth = 128;
Result<Json> parse_json(std::string_view text);
std::string dump_json(const Json& value);
std::string dump_json_pretty(const Json& value,
                             int indent = 2);  // Go's MarshalIndent layout, no newline at the end

// Walks object keys; a null pointer when any step is missing or not an object.
//   find(pod, {"metadata", "labels", "app"})
const Json* find(const Json& value, std::initializer_list<std::string_view> path);
Json* find(Json& value, std::initializer_list<std::string_view> path);
// find() with "metadata.labels" split at dots; for keys that hold no dots.
const Json* find_dotted(const Json& value, std::string_view path);

// Typed reads with a default for "missing or of another type".
std::string_view get_string(const Json& value, std::initializer_list<std::string_view> path,
                            std::string_view fallback = {});
std::int64_t get_int(const Json& value, std::initializer_list<std::string_view> path,
                     std::int64_t fallback = 0);
bool get_bool(const Json& value, std::initializer_list<std::string_view> path,
              bool fallback = false);
const JsonObject& get_object(const Json& value,
                             std::initializer_list<std::string_view> path);  // empty when missing
const JsonArray& get_array(const Json& value,
                           std::initializer_list<std::string_view> path);  // empty when missing

// Of this very value.
std::string_view as_string(const Json& value, std::string_view fallback = {});
std::optional<std::int64_t> as_int(const Json& value);
std::optional<double> as_number(const Json& value);

// The object at `path`, created (with its parents) when missing or not an object.
JsonObject& ensure_object(Json& value, std::initializer_list<std::string_view> path);
// Sets the value at `path`, creating parents. `path` is not empty.
void set(Json& value, std::initializer_list<std::string_view> path, Json to);
// Removes the key at `path`; false when it was not there.
bool erase(Json& value, std::initializer_list<std::string_view> path);

// Deep equality in which 1, 1u and 1.0 are equal (JSON has one number type) and key order does not
// count.
bool equal(const Json& a, const Json& b);

}  // namespace lateen::data
