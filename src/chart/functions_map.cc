// sprig's dictionaries. set, unset and the merges change their first map in place, as charts
// expect.
#include <algorithm>

#include "chart/functions.h"

namespace lateen::chart {
namespace {

using Out = Result<Value>;

constexpr int kMostMergeDepth = data::kMaxJsonDepth;

Out dict(Call&, Arguments& a) {
  Map made;
  for (std::size_t i = 0; i < a.size(); i += 2)
    made[to_text(a[i])] = i + 1 < a.size() ? a[i + 1] : Value("");
  return made;
}

Result<Map*> own_map(const Arguments& a, std::size_t index) {
  if (Map* map = a[index].shared_map()) return map;
  return wrong_type("map[string]interface {}", a[index]);
}

Out set(Call& call, Arguments& a) {
  TRY(call.charge(sizeof(Value)));
  (*TRY(own_map(a, 0)))[TRY(text_argument(a, 1))] = a[2];
  return a[0];
}

Out unset(Call&, Arguments& a) {
  TRY(own_map(a, 0))->erase(TRY(text_argument(a, 1)));
  return a[0];
}

Out get(Call&, Arguments& a) {
  const Map& map = *TRY(map_argument(a, 0));
  const auto found = map.find(TRY(text_argument(a, 1)));
  return found != map.end() ? found->second : Value("");
}

Out has_key(Call&, Arguments& a) {
  return TRY(map_argument(a, 0))->contains(TRY(text_argument(a, 1)));
}
// Istio's spelling of the same question.
Out is_set(Call&, Arguments& a) { return TRY(map_argument(a, 0))->contains(to_text(a[1])); }

Out pluck(Call&, Arguments& a) {
  const std::string key = TRY(text_argument(a, 0));
  List made;
  for (std::size_t i = 1; i < a.size(); ++i) {
    const Map& map = *TRY(map_argument(a, i));
    if (const auto found = map.find(key); found != map.end()) made.push_back(found->second);
  }
  return made;
}

Out keys(Call&, Arguments& a) {
  List made;
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (const auto& [key, item] : *TRY(map_argument(a, i))) made.emplace_back(key);
  }
  return made;
}

Out values(Call&, Arguments& a) {
  List made;
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (const auto& [key, item] : *TRY(map_argument(a, i))) made.push_back(item);
  }
  return made;
}

// Names may come as arguments or as lists of them.
std::vector<std::string> names_from(const Arguments& a) {
  std::vector<std::string> names;
  for (std::size_t i = 1; i < a.size(); ++i) {
    if (const auto* list = a[i].if_list()) {
      for (const Value& each : *list) names.push_back(to_text(each));
    } else {
      names.push_back(to_text(a[i]));
    }
  }
  return names;
}

Out pick(Call&, Arguments& a) {
  const Map& map = *TRY(map_argument(a, 0));
  Map made;
  for (const auto& name : names_from(a)) {
    if (const auto found = map.find(name); found != map.end()) made.insert(*found);
  }
  return made;
}

Out omit(Call&, Arguments& a) {
  Map made = *TRY(map_argument(a, 0));
  for (const auto& name : names_from(a)) made.erase(name);
  return made;
}

// mergo: without overwriting, a destination that is "empty" in Go's sense takes the source's value;
// a nil overwrites, but fills nothing.
void merge_into(Map& into, const Map& from, bool is_overwriting, int depth) {
  if (depth > kMostMergeDepth || &into == &from) return;
  for (const auto& [key, item] : from) {
    if (item.is_nil()) {
      if (is_overwriting) into.insert_or_assign(key, item);
      continue;
    }
    const auto there = into.find(key);
    if (there == into.end()) {
      into.emplace(key, item.deep_copy());
      continue;
    }
    if (there->second.if_map() && item.if_map()) {
      merge_into(*there->second.shared_map(), *item.if_map(), is_overwriting, depth + 1);
    } else if (is_overwriting || !there->second.is_true()) {
      there->second = item.deep_copy();
    }
  }
}

template <bool IsOverwriting>
Out merge(Call&, Arguments& a) {
  Map* into = TRY(own_map(a, 0));
  for (std::size_t i = 1; i < a.size(); ++i)
    merge_into(*into, *TRY(map_argument(a, i)), IsOverwriting, 0);
  return a[0];
}

// dig "a" "b" DEFAULT map
Out dig(Call&, Arguments& a) {
  Value at = a.back();
  for (std::size_t i = 0; i + 2 < a.size(); ++i) {
    const Map* map = at.if_map();
    const auto found = map != nullptr ? map->find(to_text(a[i])) : Map::const_iterator();
    if (map == nullptr || found == map->end()) return a[a.size() - 2];
    at = Value(found->second);
  }
  return at;
}

constexpr Builtin kFunctions[] = {
    {"dict", 0, -1, dict},
    {"set", 3, 3, set},
    {"unset", 2, 2, unset},
    {"get", 2, 2, get},
    {"hasKey", 2, 2, has_key},
    {"isset", 2, 2, is_set},
    {"pluck", 1, -1, pluck},
    {"keys", 0, -1, keys},
    {"values", 0, -1, values},
    {"pick", 1, -1, pick},
    {"omit", 1, -1, omit},
    {"merge", 1, -1, merge<false>},
    {"mergeOverwrite", 1, -1, merge<true>},
    {"deepCopy", 1, 1, [](Call&, Arguments& a) -> Out { return a[0].deep_copy(); }},
    {"dig", 3, -1, dig},
};

}  // namespace

std::span<const Builtin> map_functions() { return kFunctions; }

}  // namespace lateen::chart
