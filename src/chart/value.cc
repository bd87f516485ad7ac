// Conversions between template values and JSON, truth, equality and copies.
#include "chart/value.h"

#include <cmath>

namespace lateen::chart {

using data::Json;

Value Value::from_json(const Json& json) {
  if (const auto* flag = json.if_bool()) return *flag;
  if (const auto* number = json.if_int64()) return *number;
  if (const auto* number = json.if_uint64()) {
    if (*number <= static_cast<std::uint64_t>(INT64_MAX)) return static_cast<std::int64_t>(*number);
    return static_cast<double>(*number);
  }
  if (const auto* number = json.if_double()) return *number;
  if (const auto* text = json.if_string()) return std::string(*text);
  if (const auto* array = json.if_array()) {
    List list;
    list.reserve(array->size());
    for (const Json& item : *array) list.push_back(from_json(item));
    return list;
  }
  if (const auto* object = json.if_object()) {
    Map map;
    for (const auto& member : *object) map.emplace(member.key(), from_json(member.value()));
    return map;
  }
  return {};
}

namespace {

Result<Json> json_of(const Value& value, int depth) {
  if (depth > data::kMaxJsonDepth) {
    return invalid("the value is nested more than " + std::to_string(data::kMaxJsonDepth) +
                   " deep: is a map put into itself?");
  }
  if (const auto* flag = value.if_bool()) return Json(*flag);
  if (const auto* number = value.if_int()) return Json(*number);
  if (const auto* number = value.if_double()) {
    if (*number == std::floor(*number) && std::abs(*number) < 9e15) {
      return Json(static_cast<std::int64_t>(*number));
    }
    return Json(*number);
  }
  if (const auto* text = value.if_string()) return Json(*text);
  if (const auto* list = value.if_list()) {
    data::JsonArray array;
    for (const Value& item : *list) array.push_back(TRY(json_of(item, depth + 1)));
    return Json(std::move(array));
  }
  if (const auto* map = value.if_map()) {
    data::JsonObject object;
    for (const auto& [key, item] : *map) object[key] = TRY(json_of(item, depth + 1));
    return Json(std::move(object));
  }
  return Json(nullptr);
}

}  // namespace

Result<Json> Value::to_json() const { return json_of(*this, 0); }

const List* Value::if_list() const {
  const auto* list = std::get_if<std::shared_ptr<const List>>(&held_);
  return list != nullptr ? list->get() : nullptr;
}

const Map* Value::if_map() const { return shared_map(); }

Map* Value::shared_map() const {
  const auto* map = std::get_if<std::shared_ptr<Map>>(&held_);
  return map != nullptr ? map->get() : nullptr;
}

const Object* Value::if_object() const {
  const auto* object = std::get_if<std::shared_ptr<const Object>>(&held_);
  return object != nullptr ? object->get() : nullptr;
}

bool Value::is_true() const {
  if (const auto* flag = if_bool()) return *flag;
  if (const auto* number = if_int()) return *number != 0;
  if (const auto* number = if_double()) return *number != 0;
  if (const auto* text = if_string()) return !text->empty();
  if (const auto* list = if_list()) return !list->empty();
  if (const auto* map = if_map()) return !map->empty();
  return if_object() != nullptr;
}

std::string_view Value::kind() const {
  static constexpr std::string_view kNames[] = {"nil",    "bool",  "int64", "float64",
                                                "string", "slice", "map",   "object"};
  return kNames[held_.index()];
}

Value Value::deep_copy(int depth) const {
  if (depth > data::kMaxJsonDepth) return {};
  if (const auto* list = if_list()) {
    List copy;
    copy.reserve(list->size());
    for (const Value& item : *list) copy.push_back(item.deep_copy(depth + 1));
    return copy;
  }
  if (const auto* map = if_map()) {
    Map copy;
    for (const auto& [key, item] : *map) copy.emplace(key, item.deep_copy(depth + 1));
    return copy;
  }
  return *this;
}

bool equal(const Value& a, const Value& b, int depth) {
  if (depth > data::kMaxJsonDepth) return false;
  if (a.if_int() != nullptr && b.if_int() != nullptr) return *a.if_int() == *b.if_int();
  if (a.is_number() && b.is_number()) {
    const double x = a.if_int() != nullptr ? static_cast<double>(*a.if_int()) : *a.if_double();
    const double y = b.if_int() != nullptr ? static_cast<double>(*b.if_int()) : *b.if_double();
    return x == y;
  }
  if (const auto* x = a.if_bool(), *y = b.if_bool(); x != nullptr && y != nullptr) return *x == *y;
  if (const auto* x = a.if_string(), *y = b.if_string(); x && y) return *x == *y;
  if (const auto* x = a.if_list(), *y = b.if_list(); x && y) {
    if (x->size() != y->size()) return false;
    for (std::size_t i = 0; i < x->size(); ++i) {
      if (!equal((*x)[i], (*y)[i], depth + 1)) return false;
    }
    return true;
  }
  if (const auto* x = a.if_map(), *y = b.if_map(); x && y) {
    if (x->size() != y->size()) return false;
    for (auto i = x->begin(), j = y->begin(); i != x->end(); ++i, ++j) {
      if (i->first != j->first || !equal(i->second, j->second, depth + 1)) return false;
    }
    return true;
  }
  return a.is_nil() && b.is_nil();
}

}  // namespace lateen::chart
