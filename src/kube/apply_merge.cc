// Walks over objects guided by FieldTypes.
#include "kube/apply_merge.h"

#include <algorithm>
#include <set>

namespace lateen::kube {
namespace {

using data::JsonArray;
using data::JsonObject;
using Type = ListKind::Type;

std::string join_path(const std::string& path, std::string_view key) {
  return path.empty() ? std::string(key) : path + "." + std::string(key);
}

// The path element of a list's item; empty when it lacks a key.
std::string item_element(const Json& item, const ListKind& kind, const std::string& path,
                         const FieldTypes& types) {
  if (kind.type == Type::kSet) return "v:" + data::dump_json(item);
  std::map<std::string, Json> keys;
  bool has_any = false;
  for (const auto& key : kind.keys) {
    const Json* value = data::find(item, {key});
    if (value != nullptr) {
      keys[key] = *value;
      has_any = true;
    } else if (Json fallback = types.key_default(path, key); !fallback.is_null()) {
      keys[key] = std::move(fallback);
      has_any = true;
    }
  }
  if (!has_any) return {};
  JsonObject out;
  for (auto& [key, value] : keys) out[key] = std::move(value);
  return "k:" + data::dump_json(Json(std::move(out)));
}

std::vector<std::string> elements_of(const JsonArray& list, const ListKind& kind,
                                     const std::string& path, const FieldTypes& types) {
  std::vector<std::string> out;
  out.reserve(list.size());
  for (const Json& item : list) out.push_back(item_element(item, kind, path, types));
  return out;
}

// Where a list does not keep to its keys it is taken as one value.
bool has_clean_keys(const std::vector<std::string>& elements) {
  const std::set<std::string> distinct(elements.begin(), elements.end());
  return distinct.size() == elements.size() && !distinct.contains("");
}

class Walk {
 public:
  explicit Walk(const FieldTypes& types) : types_(types) {}

  Result<> collect(const Json& value, const std::string& path, FieldSet& into) {
    if (const auto* object = value.if_object();
        object != nullptr && !object->empty() && !(path.size() && types_.is_atomic(path))) {
      for (const auto& [key, child] : *object) {
        TRY(collect(child, join_path(path, key), into.children["f:" + std::string(key)]));
      }
      return {};
    }
    const auto* list = value.if_array();
    const ListKind kind = list != nullptr ? types_.list(path) : ListKind{};
    if (kind.type == Type::kAtomic || list->empty()) {
      into.is_member = true;
      return {};
    }
    for (const Json& item : *list) {
      const std::string element = item_element(item, kind, path, types_);
      if (element.empty()) {
        return invalid(
            "." + path +
            ": element 0: associative list with keys has an element that omits key field \"" +
            kind.keys[0] + "\" (and doesn't have default value)");
      }
      FieldSet& child = into.children[element];
      if (child.is_member)
        return invalid("." + path + ": duplicate entries for key " + element.substr(2));
      if (kind.type == Type::kMap) TRY(collect(item, path, child));
      child.is_member = true;
    }
    return {};
  }

  // Everything in `value` is new (or gone).
  void add_all(const Json& value, const std::string& path, FieldSet& into, bool is_struct) {
    if (!is_struct) into.is_member = true;
    if (const auto* object = value.if_object();
        object != nullptr && !object->empty() && !(path.size() && types_.is_atomic(path))) {
      for (const auto& [key, child] : *object) {
        add_all(child, join_path(path, key), into.children["f:" + std::string(key)],
                is_plain_struct(key));
      }
      return;
    }
    const auto* list = value.if_array();
    const ListKind kind = list != nullptr ? types_.list(path) : ListKind{};
    const auto elements = kind.type == Type::kAtomic ? std::vector<std::string>()
                                                     : elements_of(*list, kind, path, types_);
    if (elements.empty() || !has_clean_keys(elements)) {
      into.is_member = true;
      return;
    }
    for (std::size_t i = 0; i < elements.size(); ++i) {
      FieldSet& child = into.children[elements[i]];
      if (kind.type == Type::kMap) add_all((*list)[i], path, child, false);
      child.is_member = true;
    }
  }

  void compare(const Json& before, const Json& after, const std::string& path, FieldSet& changed,
               FieldSet& removed) {
    const auto* old_object = before.if_object();
    const auto* new_object = after.if_object();
    if (old_object != nullptr && new_object != nullptr &&
        !(path.size() && types_.is_atomic(path)) && !(old_object->empty() && new_object->empty())) {
      return compare_objects(*old_object, *new_object, path, changed, removed);
    }
    const auto* old_list = before.if_array();
    const auto* new_list = after.if_array();
    if (old_list != nullptr && new_list != nullptr) {
      const ListKind kind = types_.list(path);
      if (kind.type != Type::kAtomic) {
        const auto old_elements = elements_of(*old_list, kind, path, types_);
        const auto new_elements = elements_of(*new_list, kind, path, types_);
        if (has_clean_keys(old_elements) && has_clean_keys(new_elements)) {
          return compare_lists(*old_list, old_elements, *new_list, new_elements, kind, path,
                               changed, removed);
        }
      }
    }
    if (!data::equal(before, after)) add_all(after, path, changed, false);
  }

  Json merge(const Json& live, const Json& applied, const std::string& path) {
    const auto* live_object = live.if_object();
    const auto* object = applied.if_object();
    if (live_object != nullptr && object != nullptr && !(path.size() && types_.is_atomic(path))) {
      JsonObject out = *live_object;
      for (const auto& [key, value] : *object) {
        Json* mine = out.if_contains(key);
        if (mine == nullptr) {
          out[key] = value;
        } else {
          Json merged = merge(*mine, value, join_path(path, key));
          out[key] = std::move(merged);
        }
      }
      return Json(std::move(out));
    }
    const auto* live_list = live.if_array();
    const auto* list = applied.if_array();
    if (live_list == nullptr || list == nullptr) return applied;
    const ListKind kind = types_.list(path);
    if (kind.type == Type::kAtomic) return applied;
    return merge_lists(*live_list, *list, kind, path);
  }

  void prune(Json& value, const FieldSet& last, const FieldSet& kept, const std::string& path) {
    for (const auto& [element, child] : last.children) {
      const FieldSet* keeper = kept.find(element);
      if (auto* object = value.if_object(); object != nullptr && element.starts_with("f:")) {
        const std::string key = element.substr(2);
        Json* field = object->if_contains(key);
        if (field == nullptr) continue;
        if (keeper == nullptr) object->stable_erase(key);
        else prune(*field, child, *keeper, join_path(path, key));
      } else if (auto* list = value.if_array()) {
        const ListKind kind = types_.list(path);
        if (kind.type == Type::kAtomic) continue;
        const auto elements = elements_of(*list, kind, path, types_);
        const auto at = std::find(elements.begin(), elements.end(), element);
        if (at == elements.end()) continue;
        const auto item = list->begin() + (at - elements.begin());
        if (keeper == nullptr) list->erase(item);
        else prune(*item, child, *keeper, path);
      }
    }
  }

 private:
  // Fields whose Go type is a struct exist always: nobody owns them as such.
  static bool is_plain_struct(std::string_view key) {
    static constexpr std::string_view kStructs[] = {"metadata",       "spec",       "status",
                                                    "template",       "strategy",   "containers",
                                                    "updateStrategy", "jobTemplate"};
    return std::find(std::begin(kStructs), std::end(kStructs), key) != std::end(kStructs);
  }

  void compare_objects(const JsonObject& before, const JsonObject& after, const std::string& path,
                       FieldSet& changed, FieldSet& removed) {
    for (const auto& [key, value] : after) {
      const std::string element = "f:" + std::string(key);
      const Json* old = before.if_contains(key);
      FieldSet child_changed, child_removed;
      if (old == nullptr) add_all(value, join_path(path, key), child_changed, is_plain_struct(key));
      else compare(*old, value, join_path(path, key), child_changed, child_removed);
      if (!child_changed.empty()) changed.children[element] = std::move(child_changed);
      if (!child_removed.empty()) removed.children[element] = std::move(child_removed);
    }
    for (const auto& [key, value] : before) {
      if (after.contains(key)) continue;
      add_all(value, join_path(path, key), removed.children["f:" + std::string(key)], false);
    }
  }

  void compare_lists(const JsonArray& before, const std::vector<std::string>& old_elements,
                     const JsonArray& after, const std::vector<std::string>& new_elements,
                     const ListKind& kind, const std::string& path, FieldSet& changed,
                     FieldSet& removed) {
    for (std::size_t i = 0; i < after.size(); ++i) {
      const auto at = std::find(old_elements.begin(), old_elements.end(), new_elements[i]);
      FieldSet child_changed, child_removed;
      if (at == old_elements.end()) {
        child_changed.is_member = true;
        if (kind.type == Type::kMap) add_all(after[i], path, child_changed, false);
      } else if (kind.type == Type::kMap) {
        compare(before[static_cast<std::size_t>(at - old_elements.begin())], after[i], path,
                child_changed, child_removed);
      }
      if (!child_changed.empty()) changed.children[new_elements[i]] = std::move(child_changed);
      if (!child_removed.empty()) removed.children[new_elements[i]] = std::move(child_removed);
    }
    for (std::size_t i = 0; i < before.size(); ++i) {
      if (std::find(new_elements.begin(), new_elements.end(), old_elements[i]) !=
          new_elements.end())
        continue;
      FieldSet& gone = removed.children[old_elements[i]];
      gone.is_member = true;
      if (kind.type == Type::kMap) add_all(before[i], path, gone, false);
    }
  }

  // The applied order wins; items only the live list has keep their place between their neighbours.
  Json merge_lists(const JsonArray& live, const JsonArray& applied, const ListKind& kind,
                   const std::string& path) {
    const auto live_elements = elements_of(live, kind, path, types_);
    const auto elements = elements_of(applied, kind, path, types_);
    const auto index_of = [](const std::vector<std::string>& in, const std::string& element) {
      const auto at = std::find(in.begin(), in.end(), element);
      return at != in.end() ? static_cast<std::ptrdiff_t>(at - in.begin()) : -1;
    };
    JsonArray out;
    std::size_t next_live = 0;
    const auto take_live_only = [&](std::size_t until) {
      for (; next_live < until; ++next_live) {
        if (index_of(elements, live_elements[next_live]) < 0) out.push_back(live[next_live]);
      }
    };
    for (std::size_t i = 0; i < applied.size(); ++i) {
      const auto at = index_of(live_elements, elements[i]);
      if (at < 0) {
        // What only the live list has goes before what is new, up to what both have.
        std::size_t end = next_live;
        while (end < live.size() && index_of(elements, live_elements[end]) < 0) ++end;
        take_live_only(end);
        out.push_back(applied[i]);
        continue;
      }
      take_live_only(static_cast<std::size_t>(at));
      out.push_back(kind.type == Type::kMap
                        ? merge(live[static_cast<std::size_t>(at)], applied[i], path)
                        : applied[i]);
    }
    take_live_only(live.size());
    return Json(std::move(out));
  }

  const FieldTypes& types_;
};

}  // namespace

Result<FieldSet> fields_of(const Json& object, const FieldTypes& types) {
  FieldSet out;
  TRY(Walk(types).collect(object, "", out));
  out.is_member = false;
  return out;
}

Difference compare(const Json& before, const Json& after, const FieldTypes& types) {
  Difference out;
  Walk(types).compare(before, after, "", out.changed, out.removed);
  out.changed.is_member = false;
  return out;
}

Json typed_merge(const Json& live, const Json& applied, const FieldTypes& types) {
  return Walk(types).merge(live, applied, "");
}

void prune(Json& object, const FieldSet& last, const FieldSet& kept, const FieldTypes& types) {
  Walk(types).prune(object, last, kept, "");
}

}  // namespace lateen::kube
