// sprig's lists. All of them make new lists; a list never changes in place.
#include <algorithm>

#include "chart/functions.h"

namespace lateen::chart {
namespace {

using Out = Result<Value>;

constexpr std::size_t kMostItems = 1'000'000;

Out make_list(Call&, Arguments& a) { return List(a.begin(), a.end()); }
Out first(Call&, Arguments& a) {
  const List& l = *TRY(list_argument(a, 0));
  return l.empty() ? Value() : l.front();
}
Out last(Call&, Arguments& a) {
  const List& l = *TRY(list_argument(a, 0));
  return l.empty() ? Value() : l.back();
}
Out rest(Call&, Arguments& a) {
  const List& l = *TRY(list_argument(a, 0));
  return l.empty() ? Value(List()) : Value(List(l.begin() + 1, l.end()));
}
Out initial(Call&, Arguments& a) {
  const List& l = *TRY(list_argument(a, 0));
  return l.empty() ? Value(List()) : Value(List(l.begin(), l.end() - 1));
}

Out append(Call& call, Arguments& a) {
  List made = *TRY(list_argument(a, 0));
  TRY(call.charge(made.size() * sizeof(Value)));
  made.push_back(a[1]);
  return made;
}
Out prepend(Call& call, Arguments& a) {
  List made = *TRY(list_argument(a, 0));
  TRY(call.charge(made.size() * sizeof(Value)));
  made.insert(made.begin(), a[1]);
  return made;
}

Out concat(Call& call, Arguments& a) {
  List made;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const List& part = *TRY(list_argument(a, i));
    TRY(call.charge(part.size() * sizeof(Value)));
    made.insert(made.end(), part.begin(), part.end());
  }
  return made;
}

bool holds(const List& list, const Value& wanted) {
  return std::any_of(list.begin(), list.end(),
                     [&](const Value& each) { return equal(each, wanted); });
}

Out uniq(Call&, Arguments& a) {
  List made;
  for (const Value& each : *TRY(list_argument(a, 0))) {
    if (!holds(made, each)) made.push_back(each);
  }
  return made;
}

Out has(Call&, Arguments& a) { return holds(*TRY(list_argument(a, 1)), a[0]); }

Out without(Call&, Arguments& a) {
  const List unwanted(a.begin() + 1, a.end());
  List made;
  for (const Value& each : *TRY(list_argument(a, 0))) {
    if (!holds(unwanted, each)) made.push_back(each);
  }
  return made;
}

Out compact(Call&, Arguments& a) {
  List made;
  for (const Value& each : *TRY(list_argument(a, 0))) {
    if (each.is_true()) made.push_back(each);
  }
  return made;
}

Out reverse(Call&, Arguments& a) {
  List made = *TRY(list_argument(a, 0));
  std::reverse(made.begin(), made.end());
  return made;
}

Out sort_alpha(Call&, Arguments& a) {
  if (a[0].if_list() == nullptr) return List{Value(to_text(a[0]))};
  List made;
  for (const Value& each : *a[0].if_list()) made.emplace_back(to_text(each));
  std::sort(made.begin(), made.end(),
            [](const Value& x, const Value& y) { return *x.if_string() < *y.if_string(); });
  return made;
}

Out to_strings(Call&, Arguments& a) {
  List made;
  for (const Value& each : *TRY(list_argument(a, 0))) made.emplace_back(to_text(each));
  return made;
}

Out chunk(Call&, Arguments& a) {
  const auto size = integer_or_zero(a[0]);
  const List& list = *TRY(list_argument(a, 1));
  if (size <= 0) return invalid("chunk: the size must be at least 1");
  List made;
  for (std::size_t i = 0; i < list.size(); i += static_cast<std::size_t>(size)) {
    const std::size_t end = std::min(list.size(), i + static_cast<std::size_t>(size));
    made.emplace_back(List(list.begin() + static_cast<std::ptrdiff_t>(i),
                           list.begin() + static_cast<std::ptrdiff_t>(end)));
  }
  return made;
}

constexpr Builtin kFunctions[] = {
    {"list", 0, -1, make_list},
    {"tuple", 0, -1, make_list},
    {"first", 1, 1, first},
    {"last", 1, 1, last},
    {"rest", 1, 1, rest},
    {"initial", 1, 1, initial},
    {"append", 2, 2, append},
    {"push", 2, 2, append},
    {"prepend", 2, 2, prepend},
    {"concat", 0, -1, concat},
    {"uniq", 1, 1, uniq},
    {"has", 2, 2, has},
    {"without", 1, -1, without},
    {"compact", 1, 1, compact},
    {"reverse", 1, 1, reverse},
    {"sortAlpha", 1, 1, sort_alpha},
    {"toStrings", 1, 1, to_strings},
    {"chunk", 2, 2, chunk},
};

}  // namespace

std::span<const Builtin> list_functions() { return kFunctions; }

}  // namespace lateen::chart
