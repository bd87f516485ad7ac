// text/template's own functions: printing, indexing, comparing; sprig's defaults and type tests;
// Helm's include, tpl, required, fail and lookup.
#include "base/strings.h"
#include "chart/functions.h"

namespace lateen::chart {
namespace {

using Out = Result<Value>;

// fmt.Sprint: spaces between operands when neither is a string.
std::string sprint(const Arguments& arguments) {
  std::string out;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (i > 0 && !arguments[i].if_string() && !arguments[i - 1].if_string()) out += ' ';
    out += format_plain(arguments[i]);
  }
  return out;
}

std::string sprintln(const Arguments& arguments) {
  std::string out;
  for (std::size_t i = 0; i < arguments.size(); ++i)
    out += (i > 0 ? " " : "") + format_plain(arguments[i]);
  return out + "\n";
}

std::string html_escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&#34;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

Out index_one(Call& call, const Value& from, const Value& key) {
  if (const auto* list = from.if_list()) {
    const auto at = to_integer(key);
    if (!at) return invalid("cannot index slice/array with type " + std::string(key.kind()));
    if (*at < 0 || static_cast<std::size_t>(*at) >= list->size()) {
      return invalid("index out of range: " + std::to_string(*at) + " of " +
                     std::to_string(list->size()));
    }
    return (*list)[static_cast<std::size_t>(*at)];
  }
  if (const auto* map = from.if_map()) {
    const auto found = map->find(to_text(key));
    if (found != map->end()) return found->second;
    return call.is_struct_like() && (map->empty() || map->begin()->second.if_string()) ? Value("")
                                                                                       : Value();
  }
  if (const auto* text = from.if_string()) {
    const auto at = to_integer(key).value_or(-1);
    if (at < 0 || static_cast<std::size_t>(at) >= text->size())
      return invalid("index out of range: " + std::to_string(at));
    return std::int64_t{static_cast<unsigned char>((*text)[static_cast<std::size_t>(at)])};
  }
  if (from.is_nil() && call.is_struct_like()) return Value("");
  return invalid(from.is_nil() ? "index of untyped nil"
                               : "can't index item of type " + std::string(from.kind()));
}

Out index(Call& call, Arguments& a) {
  Value value = a[0];
  for (std::size_t i = 1; i < a.size(); ++i) value = TRY(index_one(call, value, a[i]));
  return value;
}

Out slice(Call&, Arguments& a) {
  const auto size = a[0].if_string() ? a[0].if_string()->size() : TRY(list_argument(a, 0))->size();
  const auto begin = a.size() > 1 ? integer_or_zero(a[1]) : 0;
  const auto end = a.size() > 2 ? integer_or_zero(a[2]) : static_cast<std::int64_t>(size);
  if (begin < 0 || end < begin || static_cast<std::size_t>(end) > size) {
    return invalid("slice bounds out of range: [" + std::to_string(begin) + ":" +
                   std::to_string(end) + "] of " + std::to_string(size));
  }
  const auto from = static_cast<std::size_t>(begin), to = static_cast<std::size_t>(end);
  if (const auto* text = a[0].if_string()) return text->substr(from, to - from);
  const List& list = *a[0].if_list();
  return List(list.begin() + begin, list.begin() + end);
}

Out len(Call& call, Arguments& a) {
  if (const auto* text = a[0].if_string()) return static_cast<std::int64_t>(text->size());
  if (const auto* list = a[0].if_list()) return static_cast<std::int64_t>(list->size());
  if (const auto* map = a[0].if_map()) return static_cast<std::int64_t>(map->size());
  if (a[0].is_nil() && call.is_struct_like()) return 0;
  return invalid("len of type " + std::string(a[0].kind()) +
                 (a[0].is_nil() ? ": the value is not set" : ""));
}

bool is_zero(const Value& value) {
  return !value.is_true() && value.if_list() == nullptr && value.if_map() == nullptr;
}

// Go refuses to compare different basic kinds; numbers of values files may be int or float, so
// those may mix.
Result<bool> basic_equal(Call& call, const Value& a, const Value& b) {
  if (call.is_struct_like() && (a.is_nil() || b.is_nil())) return is_zero(a) && is_zero(b);
  if (a.is_nil() || b.is_nil()) return a.is_nil() && b.is_nil();
  if (a.is_number() != b.is_number() || (!a.is_number() && a.kind() != b.kind())) {
    if (call.is_struct_like()) return to_text(a) == to_text(b);
    return invalid("incompatible types for comparison: " + std::string(a.kind()) + " and " +
                   std::string(b.kind()));
  }
  return equal(a, b);
}

Out eq(Call& call, Arguments& a) {
  for (std::size_t i = 1; i < a.size(); ++i) {
    if (TRY(basic_equal(call, a[0], a[i]))) return true;
  }
  return false;
}

Out ne(Call& call, Arguments& a) { return !TRY(basic_equal(call, a[0], a[1])); }

Result<int> order(Call& call, const Value& a, const Value& b) {
  if (a.if_string() && b.if_string()) {
    const int sign = a.if_string()->compare(*b.if_string());
    return sign < 0 ? -1 : sign > 0;
  }
  const auto numeric = [&](const Value& v) {
    return v.is_number() || (v.is_nil() && call.is_struct_like());
  };
  if (!numeric(a) || !numeric(b)) {
    return invalid("incompatible types for comparison: " + std::string(a.kind()) + " and " +
                   std::string(b.kind()));
  }
  if (a.if_int() && b.if_int()) return *a.if_int() < *b.if_int() ? -1 : *a.if_int() > *b.if_int();
  const double x = real_or_zero(a), y = real_or_zero(b);
  return x < y ? -1 : x > y;
}

Out lt(Call& call, Arguments& a) { return TRY(order(call, a[0], a[1])) < 0; }
Out le(Call& call, Arguments& a) { return TRY(order(call, a[0], a[1])) <= 0; }
Out gt(Call& call, Arguments& a) { return TRY(order(call, a[0], a[1])) > 0; }
Out ge(Call& call, Arguments& a) { return TRY(order(call, a[0], a[1])) >= 0; }

Out default_value(Call&, Arguments& a) {
  if (a.size() < 2) return a[0];
  return a[1].is_true() ? a[1] : a[0];
}

Out coalesce(Call&, Arguments& a) {
  for (const Value& each : a) {
    if (each.is_true()) return each;
  }
  return Value();
}

Out all(Call&, Arguments& a) {
  return std::all_of(a.begin(), a.end(), [](const Value& v) { return v.is_true(); });
}
Out any(Call&, Arguments& a) {
  return std::any_of(a.begin(), a.end(), [](const Value& v) { return v.is_true(); });
}

Out required(Call&, Arguments& a) {
  const auto* text = a[1].if_string();
  if (a[1].is_nil() || (text != nullptr && text->empty()))
    return invalid(to_text(a[0]), Blame::kConfig);
  return a[1];
}

Out fail(Call&, Arguments& a) { return invalid(to_text(a[0]), Blame::kConfig); }

std::string_view go_type(const Value& value) {
  if (value.if_list()) return "[]interface {}";
  if (value.if_map()) return "map[string]interface {}";
  return value.is_nil() ? "<nil>" : value.kind();
}

std::string_view go_kind(const Value& value) { return value.is_nil() ? "invalid" : value.kind(); }

bool is_number_name(std::string_view name) {
  return name == "int" || name == "int64" || name == "float64" || name == "uint64";
}

// Values files hold one number type; a chart that asks for any of Go's is answered yes.
bool kind_matches(std::string_view wanted, const Value& value) {
  return wanted == go_kind(value) ||
         (value.is_number() && is_number_name(wanted) && (value.if_int() || wanted == "float64"));
}

Out kind_is(Call&, Arguments& a) { return kind_matches(TRY(text_argument(a, 0)), a[1]); }
Out type_is(Call&, Arguments& a) {
  const std::string wanted = TRY(text_argument(a, 0));
  return wanted == go_type(a[1]) || (a[1].is_number() && kind_matches(wanted, a[1]));
}

// For a string literal of JavaScript inside of HTML.
std::string js_escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '\'' || c == '"') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == '<' || c == '>' || c == '&' ||
               c == '=') {
      constexpr std::string_view kDigits = "0123456789ABCDEF";
      out += "\\u00";
      out += kDigits[static_cast<unsigned char>(c) >> 4];
      out += kDigits[static_cast<unsigned char>(c) & 15];
    } else {
      out += c;
    }
  }
  return out;
}

// Go's form encoding: a blank is a plus.
Out url_query(Call&, Arguments& a) { return replace_all(percent_encode(sprint(a)), "%20", "+"); }

Out include(Call& call, Arguments& a) {
  return Value(TRY(call.include(TRY(text_argument(a, 0)), a.size() > 1 ? a[1] : Value())));
}
Out tpl(Call& call, Arguments& a) {
  return Value(TRY(call.render_text(TRY(text_argument(a, 0)), a[1])));
}

constexpr Builtin kFunctions[] = {
    {"and", 1, -1, nullptr},  // evaluated by the interpreter, which stops at the first that decides
    {"or", 1, -1, nullptr},
    {"not", 1, 1, [](Call&, Arguments& a) -> Out { return !a[0].is_true(); }},
    {"print", 0, -1, [](Call&, Arguments& a) -> Out { return sprint(a); }},
    {"println", 0, -1, [](Call&, Arguments& a) -> Out { return sprintln(a); }},
    {"printf", 1, -1,
     [](Call&, Arguments& a) -> Out {
       return format_printf(TRY(text_argument(a, 0)), Arguments(a.begin() + 1, a.end()));
     }},
    {"html", 0, -1, [](Call&, Arguments& a) -> Out { return html_escape(sprint(a)); }},
    {"js", 0, -1, [](Call&, Arguments& a) -> Out { return js_escape(sprint(a)); }},
    {"urlquery", 0, -1, url_query},
    {"index", 1, -1, index},
    {"slice", 1, 4, slice},
    {"len", 1, 1, len},
    {"eq", 2, -1, eq},
    {"ne", 2, 2, ne},
    {"lt", 2, 2, lt},
    {"le", 2, 2, le},
    {"gt", 2, 2, gt},
    {"ge", 2, 2, ge},
    {"default", 1, 2, default_value},
    {"empty", 1, 1, [](Call&, Arguments& a) -> Out { return !a[0].is_true(); }},
    {"coalesce", 0, -1, coalesce},
    {"all", 0, -1, all},
    {"any", 0, -1, any},
    {"ternary", 3, 3, [](Call&, Arguments& a) -> Out { return a[2].is_true() ? a[0] : a[1]; }},
    {"required", 2, 2, required},
    {"fail", 1, 1, fail},
    {"typeOf", 1, 1, [](Call&, Arguments& a) -> Out { return go_type(a[0]); }},
    {"kindOf", 1, 1, [](Call&, Arguments& a) -> Out { return go_kind(a[0]); }},
    {"kindIs", 2, 2, kind_is},
    {"typeIs", 2, 2, type_is},
    {"typeIsLike", 2, 2, type_is},
    {"deepEqual", 2, 2, [](Call&, Arguments& a) -> Out { return equal(a[0], a[1]); }},
    {"include", 1, 2, include},
    {"tpl", 2, 2, tpl},
    // Rendering happens away from any cluster, as in `helm template`: nothing is ever found.
    {"lookup", 4, 4, [](Call&, Arguments&) -> Out { return Map(); }},
};

}  // namespace

std::span<const Builtin> core_functions() { return kFunctions; }

}  // namespace lateen::chart
