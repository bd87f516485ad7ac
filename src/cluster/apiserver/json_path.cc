// See json_path.h. A path is a chain of steps, each mapping a set of values to a set of values.
#include "cluster/apiserver/json_path.h"

#include <string>

#include "base/strings.h"

namespace lateen::cluster::apiserver {
namespace {

using data::Json;
using Values = std::vector<const Json*>;

Values step_key(const Values& from, std::string_view key) {
  Values to;
  for (const Json* value : from) {
    if (key == "*") {
      if (const auto* object = value->if_object()) {
        for (const auto& [name, child] : *object) to.push_back(&child);
      } else if (const auto* array = value->if_array()) {
        for (const auto& child : *array) to.push_back(&child);
      }
    } else if (const auto* object = value->if_object()) {
      if (const Json* child = object->if_contains(key)) to.push_back(child);
    }
  }
  return to;
}

Values step_index(const Values& from, std::string_view text) {
  Values to;
  const auto index = parse_int(text);
  for (const Json* value : from) {
    const auto* array = value->if_array();
    if (array == nullptr || !index) continue;
    const auto size = static_cast<std::int64_t>(array->size());
    const std::int64_t at = *index < 0 ? size + *index : *index;
    if (at >= 0 && at < size) to.push_back(&(*array)[static_cast<std::size_t>(at)]);
  }
  return to;
}

std::string_view unquote(std::string_view text) {
  text = trim(text);
  if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'') &&
      text.back() == text.front()) {
    return text.substr(1, text.size() - 2);
  }
  return text;
}

// ?(@.type=="Ready")
Values step_filter(const Values& from, std::string_view expression) {
  bool is_equal = true;
  auto sides = split_once(expression, "==");
  if (!sides) {
    sides = split_once(expression, "!=");
    is_equal = false;
  }
  std::string_view left = trim(sides ? sides->first : expression);
  if (!left.starts_with('@')) return {};
  left.remove_prefix(1);
  Values to;
  for (const Json* value : from) {
    const auto* array = value->if_array();
    if (array == nullptr) continue;
    for (const auto& child : *array) {
      const auto found = evaluate_json_path(left, child);
      if (!sides) {
        if (!found.empty()) to.push_back(&child);
        continue;
      }
      const auto wanted = unquote(sides->second);
      bool is_match = false;
      for (const Json* one : found) {
        const std::string text =
            one->is_string() ? std::string(data::as_string(*one)) : data::dump_json(*one);
        is_match = is_match || text == wanted;
      }
      if (is_match == is_equal) to.push_back(&child);
    }
  }
  return to;
}

// The end of a bracket that starts at `open`, minding quotes and nesting.
std::size_t closing(std::string_view path, std::size_t open) {
  int depth = 0;
  char quote = 0;
  for (std::size_t i = open; i < path.size(); ++i) {
    const char c = path[i];
    if (quote != 0) {
      if (c == '\\') ++i;
      else if (c == quote) quote = 0;
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else if (c == '[' || c == '(') {
      ++depth;
    } else if ((c == ']' || c == ')') && --depth == 0) {
      return i;
    }
  }
  return std::string_view::npos;
}

Values step_bracket(const Values& from, std::string_view inside) {
  inside = trim(inside);
  if (inside == "*" || inside == ":") return step_key(from, "*");
  if (inside.starts_with("?(") && inside.ends_with(")")) {
    return step_filter(from, inside.substr(2, inside.size() - 3));
  }
  if (inside.starts_with('\'') || inside.starts_with('"')) return step_key(from, unquote(inside));
  return step_index(from, inside);
}

}  // namespace

Values evaluate_json_path(std::string_view path, const Json& object) {
  path = trim(path);
  if (path.starts_with('{') && path.ends_with('}')) path = path.substr(1, path.size() - 2);
  if (path.starts_with('$')) path.remove_prefix(1);
  Values values{&object};
  while (!path.empty() && !values.empty()) {
    if (path.front() == '.') {
      path.remove_prefix(1);
      continue;
    }
    if (path.front() == '[') {
      const auto end = closing(path, 0);
      if (end == std::string_view::npos) return {};
      values = step_bracket(values, path.substr(1, end - 1));
      path.remove_prefix(end + 1);
      continue;
    }
    std::string key;
    std::size_t i = 0;
    for (; i < path.size() && path[i] != '.' && path[i] != '['; ++i) {
      if (path[i] == '\\' && i + 1 < path.size()) ++i;  // "\." is a dot inside a key
      key += path[i];
    }
    values = step_key(values, key);
    path.remove_prefix(i);
  }
  return values;
}

}  // namespace lateen::cluster::apiserver
