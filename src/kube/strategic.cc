// Strategic merge patch with its directives: $patch, $retainKeys, $setElementOrder/x,
// $deleteFromPrimitiveList/x.
#include <algorithm>

#include "kube/patch.h"

namespace lateen::kube {
namespace {

using data::JsonArray;
using data::JsonObject;

constexpr std::string_view kDirective = "$patch";
constexpr std::string_view kRetainKeys = "$retainKeys";
constexpr std::string_view kSetElementOrder = "$setElementOrder/";
constexpr std::string_view kDeletePrimitive = "$deleteFromPrimitiveList/";

std::string_view directive_of(const Json& value) { return data::get_string(value, {kDirective}); }

bool is_in(const JsonArray& list, const Json& value) {
  return std::any_of(list.begin(), list.end(),
                     [&](const Json& item) { return data::equal(item, value); });
}

// Merges one patch into one object of a kind.
class StrategicMerge {
 public:
  explicit StrategicMerge(std::string_view kind) : kind_(kind) {}

  Result<Json> merge_object(Json target, const JsonObject& patch, const std::string& path) {
    if (const Json* directive = patch.if_contains(kDirective)) {
      const auto word = data::as_string(*directive);
      if (word == "delete") return Json(boost::json::object_kind);
      if (word == "replace") {
        JsonObject out = patch;
        out.stable_erase(kDirective);
        return Json(std::move(out));
      }
      if (word != "merge") {
        return invalid("unknown patch type \"" + std::string(word) + "\" at " + where(path));
      }
    }
    if (!target.is_object()) target.emplace_object();
    auto& object = *target.if_object();
    if (const Json* retained = patch.if_contains(kRetainKeys))
      TRY(retain(object, *retained, patch, path));

    for (const auto& [key_view, value] : patch) {
      const std::string_view key = key_view;
      if (key == kDirective || key == kRetainKeys || key.starts_with(kSetElementOrder)) continue;
      if (key.starts_with(kDeletePrimitive)) {
        TRY(delete_primitives(object, key.substr(kDeletePrimitive.size()), value));
        continue;
      }
      if (value.is_null()) {
        object.stable_erase(key);
        continue;
      }
      const std::string field_path =
          path.empty() ? std::string(key) : path + "." + std::string(key);
      Json& field = object[key];
      if (const auto* changes = value.if_object()) {
        field = TRY(merge_object(std::move(field), *changes, field_path));
      } else if (const auto* items = value.if_array()) {
        const Json* order = patch.if_contains(std::string(kSetElementOrder) + std::string(key));
        field = TRY(merge_list(field, *items, order, field_path));
      } else {
        field = value;
      }
    }
    return reorder_untouched(std::move(target), patch, path);
  }

 private:
  static std::string where(const std::string& path) { return path.empty() ? "the top" : path; }

  // Keys outside $retainKeys go; the patch's own keys must all be listed.
  static Result<> retain(JsonObject& object, const Json& retained, const JsonObject& patch,
                         const std::string& path) {
    const auto* keys = retained.if_array();
    if (keys == nullptr) return invalid("$retainKeys must be a list at " + where(path));
    for (const auto& [key, value] : patch) {
      if (key.starts_with("$") || value.is_null() || is_in(*keys, Json(key))) continue;
      return invalid("the keys of the patch must all be in $retainKeys: \"" + std::string(key) +
                     "\" at " + where(path) + " is not");
    }
    std::vector<std::string> dropped;
    for (const auto& [key, value] : object) {
      if (!is_in(*keys, Json(key))) dropped.emplace_back(key);
    }
    for (const auto& key : dropped) object.stable_erase(key);
    return {};
  }

  static Result<> delete_primitives(JsonObject& object, std::string_view key, const Json& victims) {
    const auto* list = victims.if_array();
    if (list == nullptr) {
      return invalid(std::string(kDeletePrimitive) + std::string(key) + " must be a list");
    }
    Json* field = object.if_contains(key);
    auto* items = field != nullptr ? field->if_array() : nullptr;
    if (items == nullptr || items->empty()) return {};
    items->erase(std::remove_if(items->begin(), items->end(),
                                [&](const Json& item) { return is_in(*list, item); }),
                 items->end());
    return {};
  }

  Result<Json> merge_list(const Json& current, const JsonArray& patch, const Json* order,
                          const std::string& path) {
    static const JsonArray kEmpty;
    const JsonArray& original = current.is_array() ? *current.if_array() : kEmpty;
    const ListKind kind = strategic_list(kind_, path);
    JsonArray merged;
    if (kind.type == ListKind::Type::kAtomic) return Json(patch);
    if (kind.type == ListKind::Type::kSet) {
      merged = original;
      for (const Json& item : patch) {
        if (!is_in(merged, item)) merged.push_back(item);
      }
    } else {
      merged = TRY(merge_keyed(original, patch, kind.keys[0], path));
    }
    const std::string key = kind.keys.empty() ? std::string() : kind.keys[0];
    if (order != nullptr && order->is_array()) {
      merged = ordered(merged, *order->if_array(), original, key);
    }
    return Json(std::move(merged));
  }

  Result<JsonArray> merge_keyed(const JsonArray& original, const JsonArray& patch,
                                const std::string& key, const std::string& path) {
    const bool is_replaced = std::any_of(patch.begin(), patch.end(), [](const Json& item) {
      return directive_of(item) == "replace";
    });
    if (is_replaced) {
      JsonArray out;
      for (const Json& item : patch) {
        if (directive_of(item).empty()) out.push_back(item);
      }
      return out;
    }
    JsonArray merged = original;
    for (const Json& item : patch) {
      const Json* id = data::find(item, {key});
      if (id == nullptr) {
        return invalid("map: " + data::dump_json(item) +
                       " does not contain declared merge key: " + key + " (at " + path + ")");
      }
      const auto twin = std::find_if(merged.begin(), merged.end(), [&](const Json& other) {
        const Json* other_id = data::find(other, {key});
        return other_id != nullptr && data::equal(*other_id, *id);
      });
      if (directive_of(item) == "delete") {
        // Boost writes to a shared place when an empty array is erased from.
        if (merged.empty()) continue;
        merged.erase(std::remove_if(merged.begin(), merged.end(),
                                    [&](const Json& other) {
                                      const Json* other_id = data::find(other, {key});
                                      return other_id != nullptr && data::equal(*other_id, *id);
                                    }),
                     merged.end());
      } else if (twin != merged.end()) {
        *twin = TRY(merge_object(std::move(*twin), *item.if_object(), path));
      } else {
        merged.push_back(TRY(merge_object(Json(), *item.if_object(), path)));
      }
    }
    return merged;
  }

  static std::ptrdiff_t position(const JsonArray& list, const Json& item, const std::string& key) {
    for (std::size_t i = 0; i < list.size(); ++i) {
      const Json* mine = key.empty() ? &list[i] : data::find(list[i], {key});
      const Json* wanted = key.empty() ? &item : data::find(item, {key});
      if (mine != nullptr && wanted != nullptr && data::equal(*mine, *wanted)) {
        return static_cast<std::ptrdiff_t>(i);
      }
    }
    return -1;
  }

  // Items named by `order` in that order; those only the server has keep their places before the
  // items they preceded.
  static JsonArray ordered(const JsonArray& merged, const JsonArray& order,
                           const JsonArray& original, const std::string& key) {
    std::vector<const Json*> listed, others;
    for (const Json& item : merged) {
      (position(order, item, key) >= 0 ? listed : others).push_back(&item);
    }
    std::stable_sort(listed.begin(), listed.end(), [&](const Json* a, const Json* b) {
      return position(order, *a, key) < position(order, *b, key);
    });
    JsonArray out;
    std::size_t i = 0, j = 0;
    while (i < others.size() || j < listed.size()) {
      bool takes_other = j == listed.size();
      if (!takes_other && i < others.size()) {
        const auto a = position(original, *others[i], key), b = position(original, *listed[j], key);
        takes_other = a >= 0 && b >= 0 && a < b;
      }
      out.push_back(takes_other ? *others[i++] : *listed[j++]);
    }
    return out;
  }

  // $setElementOrder may come without the list itself: a pure re-ordering.
  Result<Json> reorder_untouched(Json target, const JsonObject& patch, const std::string& path) {
    for (const auto& [key_view, value] : patch) {
      const std::string_view key = key_view;
      if (!key.starts_with(kSetElementOrder)) continue;
      const auto name = key.substr(kSetElementOrder.size());
      if (patch.contains(name)) continue;
      Json* field = data::find(target, {name});
      if (field == nullptr || !field->is_array() || !value.is_array()) continue;
      const ListKind kind =
          strategic_list(kind_, path.empty() ? std::string(name) : path + "." + std::string(name));
      const std::string id = kind.keys.empty() ? std::string() : kind.keys[0];
      const JsonArray original = *field->if_array();
      *field = ordered(original, *value.if_array(), original, id);
    }
    return target;
  }

  std::string_view kind_;
};

}  // namespace

Result<Json> strategic_merge(const Json& target, const Json& patch, std::string_view kind) {
  const auto* changes = patch.if_object();
  if (changes == nullptr) return invalid("a strategic merge patch must be an object");
  return StrategicMerge(kind).merge_object(target, *changes, "");
}

}  // namespace lateen::kube
