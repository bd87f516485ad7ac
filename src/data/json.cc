// Boost.JSON behind Results, and walks that cannot throw.
#include "data/json.h"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/stream_parser.hpp>
#include <cmath>

#include "data/number.h"

namespace lateen::data {

// A number out of a double's range: Boost reads it as infinity, which cannot be written.
static bool is_finite(const Json& value) {
  if (const auto* number = value.if_double()) return std::isfinite(*number);
  if (const auto* object = value.if_object()) {
    return std::all_of(object->begin(), object->end(),
                       [](const auto& member) { return is_finite(member.value()); });
  }
  const auto* array = value.if_array();
  return array == nullptr || std::all_of(array->begin(), array->end(),
                                         [](const Json& item) { return is_finite(item); });
}

Result<Json> parse_json(std::string_view text) {
  boost::json::parse_options options;
  options.max_depth = kMaxJsonDepth;
  boost::json::stream_parser parser({}, options);
  boost::json::error_code error;
  const std::size_t used = parser.write_some(text.data(), text.size(), error);
  if (!error && used < text.size() &&
      text.find_first_not_of(" \t\r\n", used) != std::string_view::npos) {
    return invalid("JSON: unexpected text after the value at byte " + std::to_string(used));
  }
  if (!error) parser.finish(error);
  if (error) return invalid("JSON: " + error.message() + " at byte " + std::to_string(used));
  Json value = parser.release();
  if (!is_finite(value)) return invalid("JSON: a number is too large");
  return value;
}

static bool has_double(const Json& value) {
  if (const auto* object = value.if_object()) {
    return std::any_of(object->begin(), object->end(),
                       [](const auto& member) { return has_double(member.value()); });
  }
  const auto* array = value.if_array();
  return array == nullptr ? value.is_double()
                          : std::any_of(array->begin(), array->end(), has_double);
}

// `indent` -1: all on one line.
static void pretty(const Json& value, int indent, int depth, std::string& out) {
  const auto newline = [&](int level) {
    if (indent < 0) return;
    out += '\n';
    out.append(static_cast<std::size_t>(level * indent), ' ');
  };
  if (const auto* object = value.if_object(); object != nullptr && !object->empty()) {
    out += '{';
    bool is_first = true;
    for (const auto& member : *object) {
      if (!is_first) out += ',';
      is_first = false;
      newline(depth + 1);
      out += boost::json::serialize(boost::json::string(member.key()));
      out += indent < 0 ? ":" : ": ";
      pretty(member.value(), indent, depth + 1, out);
    }
    newline(depth);
    out += '}';
  } else if (const auto* array = value.if_array(); array != nullptr && !array->empty()) {
    out += '[';
    for (std::size_t i = 0; i < array->size(); ++i) {
      if (i > 0) out += ',';
      newline(depth + 1);
      pretty((*array)[i], indent, depth + 1, out);
    }
    newline(depth);
    out += ']';
  } else if (const auto* number = value.if_double()) {
    out += json_number(*number);
  } else {
    out += boost::json::serialize(value);
  }
}

std::string dump_json(const Json& value) {
  if (!has_double(value)) return boost::json::serialize(value);
  std::string out;
  pretty(value, -1, 0, out);
  return out;
}

std::string dump_json_pretty(const Json& value, int indent) {
  std::string out;
  pretty(value, indent, 0, out);
  return out;
}

const Json* find(const Json& value, std::initializer_list<std::string_view> path) {
  const Json* at = &value;
  for (const auto key : path) {
    const auto* object = at->if_object();
    if (object == nullptr) return nullptr;
    at = object->if_contains(key);
    if (at == nullptr) return nullptr;
  }
  return at;
}

Json* find(Json& value, std::initializer_list<std::string_view> path) {
  return const_cast<Json*>(find(static_cast<const Json&>(value), path));
}

const Json* find_dotted(const Json& value, std::string_view path) {
  const Json* at = &value;
  while (!path.empty()) {
    const auto dot = path.find('.');
    const auto* object = at->if_object();
    if (object == nullptr) return nullptr;
    at = object->if_contains(path.substr(0, dot));
    if (at == nullptr || dot == std::string_view::npos) return at;
    path.remove_prefix(dot + 1);
  }
  return at;
}

std::string_view as_string(const Json& value, std::string_view fallback) {
  const auto* text = value.if_string();
  return text != nullptr ? std::string_view(*text) : fallback;
}

std::optional<std::int64_t> as_int(const Json& value) {
  if (const auto* i = value.if_int64()) return *i;
  if (const auto* u = value.if_uint64(); u != nullptr && *u <= INT64_MAX)
    return static_cast<std::int64_t>(*u);
  if (const auto* d = value.if_double();
      d != nullptr && *d == std::floor(*d) && std::abs(*d) < 9.2e18) {
    return static_cast<std::int64_t>(*d);
  }
  return std::nullopt;
}

std::optional<double> as_number(const Json& value) {
  if (const auto* i = value.if_int64()) return static_cast<double>(*i);
  if (const auto* u = value.if_uint64()) return static_cast<double>(*u);
  if (const auto* d = value.if_double()) return *d;
  return std::nullopt;
}

std::string_view get_string(const Json& value, std::initializer_list<std::string_view> path,
                            std::string_view fallback) {
  const Json* at = find(value, path);
  return at != nullptr ? as_string(*at, fallback) : fallback;
}

std::int64_t get_int(const Json& value, std::initializer_list<std::string_view> path,
                     std::int64_t fallback) {
  const Json* at = find(value, path);
  return at != nullptr ? as_int(*at).value_or(fallback) : fallback;
}

bool get_bool(const Json& value, std::initializer_list<std::string_view> path, bool fallback) {
  const Json* at = find(value, path);
  const bool* flag = at != nullptr ? at->if_bool() : nullptr;
  return flag != nullptr ? *flag : fallback;
}

const JsonObject& get_object(const Json& value, std::initializer_list<std::string_view> path) {
  static const JsonObject kEmpty;
  const Json* at = find(value, path);
  const JsonObject* object = at != nullptr ? at->if_object() : nullptr;
  return object != nullptr ? *object : kEmpty;
}

const JsonArray& get_array(const Json& value, std::initializer_list<std::string_view> path) {
  static const JsonArray kEmpty;
  const Json* at = find(value, path);
  const JsonArray* array = at != nullptr ? at->if_array() : nullptr;
  return array != nullptr ? *array : kEmpty;
}

JsonObject& ensure_object(Json& value, std::initializer_list<std::string_view> path) {
  Json* at = &value;
  if (!at->is_object()) at->emplace_object();
  for (const auto key : path) {
    at = &(*at->if_object())[key];
    if (!at->is_object()) at->emplace_object();
  }
  return *at->if_object();
}

void set(Json& value, std::initializer_list<std::string_view> path, Json to) {
  CHECK(path.size() > 0);
  Json* at = &value;
  for (const auto key : path) {
    if (!at->is_object()) at->emplace_object();
    at = &(*at->if_object())[key];
  }
  *at = std::move(to);
}

bool erase(Json& value, std::initializer_list<std::string_view> path) {
  CHECK(path.size() > 0);
  Json* at = &value;
  for (auto key = path.begin(); key + 1 != path.end(); ++key) {
    auto* object = at->if_object();
    at = object != nullptr ? object->if_contains(*key) : nullptr;
    if (at == nullptr) return false;
  }
  auto* object = at->if_object();
  return object != nullptr && object->erase(*(path.end() - 1)) > 0;
}

bool equal(const Json& a, const Json& b) {
  if (const auto x = as_number(a), y = as_number(b); x && y) {
    if (a.is_int64() && b.is_int64()) return *a.if_int64() == *b.if_int64();
    return *x == *y;
  }
  if (a.kind() != b.kind()) return false;
  if (const auto* object = a.if_object()) {
    const auto& other = *b.if_object();
    if (object->size() != other.size()) return false;
    for (const auto& member : *object) {
      const Json* twin = other.if_contains(member.key());
      if (twin == nullptr || !equal(member.value(), *twin)) return false;
    }
    return true;
  }
  if (const auto* array = a.if_array()) {
    const auto& other = *b.if_array();
    if (array->size() != other.size()) return false;
    for (std::size_t i = 0; i < array->size(); ++i) {
      if (!equal((*array)[i], other[i])) return false;
    }
    return true;
  }
  return a == b;
}

}  // namespace lateen::data
