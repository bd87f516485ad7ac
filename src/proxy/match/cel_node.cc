// Values follow CEL where JSON can: errors are absorbed by && and || when the other side decides.

#include "proxy/match/cel_node.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "proxy/match/attributes.h"

namespace lateen::proxy {
namespace {

using data::Json;

std::string_view text_of(const Json& value) { return data::as_string(value); }

CelValue boolean(bool value) { return Json(value); }

bool is_integer(const Json& value) { return value.is_int64() || value.is_uint64(); }

CelValue add(const Json& a, const Json& b) {
  if (a.is_string() && b.is_string())
    return Json(std::string(text_of(a)) + std::string(text_of(b)));
  if (const auto* left = a.if_array())
    if (const auto* right = b.if_array()) {
      data::JsonArray made = *left;
      made.insert(made.end(), right->begin(), right->end());
      return Json(std::move(made));
    }
  return std::nullopt;
}

CelValue arithmetic(std::string_view name, const Json& a, const Json& b) {
  const char op = name[1];
  if (is_integer(a) && is_integer(b)) {
    const auto x = data::as_int(a), y = data::as_int(b);
    std::int64_t out = 0;
    if (!x || !y) return std::nullopt;
    switch (op) {
      case '+': return __builtin_add_overflow(*x, *y, &out) ? CelValue() : Json(out);
      case '-': return __builtin_sub_overflow(*x, *y, &out) ? CelValue() : Json(out);
      case '*': return __builtin_mul_overflow(*x, *y, &out) ? CelValue() : Json(out);
      default: break;
    }
    if (*y == 0 || (*y == -1 && *x == INT64_MIN)) return std::nullopt;
    return Json(op == '/' ? *x / *y : *x % *y);
  }
  if (op == '+')
    if (auto made = add(a, b)) return made;
  const auto x = data::as_number(a), y = data::as_number(b);
  if (!x || !y || op == '%') return std::nullopt;
  return Json(op == '+' ? *x + *y : op == '-' ? *x - *y : op == '*' ? *x * *y : *x / *y);
}

// -1, 0, 1; nullopt: not comparable.
std::optional<int> order(const Json& a, const Json& b) {
  if (a.is_string() && b.is_string()) return text_of(a).compare(text_of(b));
  if (a.is_bool() && b.is_bool()) return int{*a.if_bool()} - int{*b.if_bool()};
  const auto x = data::as_number(a), y = data::as_number(b);
  if (!x || !y) return std::nullopt;
  return *x < *y ? -1 : *x > *y ? 1 : 0;
}

CelValue compare(std::string_view name, const Json& a, const Json& b) {
  const auto found = order(a, b);
  if (!found) return std::nullopt;
  if (name == "_<_") return boolean(*found < 0);
  if (name == "_<=_") return boolean(*found <= 0);
  if (name == "_>_") return boolean(*found > 0);
  return boolean(*found >= 0);
}

CelValue index(const Json& from, const Json& key) {
  if (const auto* object = from.if_object()) {
    if (!key.is_string()) return std::nullopt;
    const auto* found = object->if_contains(text_of(key));
    return found == nullptr ? CelValue() : CelValue(*found);
  }
  const auto* array = from.if_array();
  const auto at = data::as_int(key);
  if (array == nullptr || !at || *at < 0 || static_cast<std::size_t>(*at) >= array->size())
    return std::nullopt;
  return (*array)[static_cast<std::size_t>(*at)];
}

CelValue contains(const Json& key, const Json& in) {
  if (const auto* object = in.if_object())
    return boolean(key.is_string() && object->contains(text_of(key)));
  if (const auto* array = in.if_array())
    return boolean(std::any_of(array->begin(), array->end(),
                               [&](const Json& one) { return data::equal(one, key); }));
  return std::nullopt;
}

CelValue size_of(const Json& value) {
  if (const auto* text = value.if_string()) {
    // Code points, not bytes.
    std::int64_t count = 0;
    for (const char c : *text) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80 ? 1 : 0;
    return Json(count);
  }
  if (const auto* array = value.if_array()) return Json(array->size());
  if (const auto* object = value.if_object()) return Json(object->size());
  return std::nullopt;
}

CelValue convert(std::string_view to, const Json& value) {
  if (to == "string") {
    if (value.is_string()) return value;
    if (value.is_object() || value.is_array() || value.is_null()) return std::nullopt;
    return Json(data::dump_json(value));
  }
  if (to == "bool") {
    if (value.is_bool()) return value;
    if (value.is_string() && (text_of(value) == "true" || text_of(value) == "false"))
      return boolean(text_of(value) == "true");
    return std::nullopt;
  }
  if (to == "timestamp" || to == "duration")
    return value.is_string() ? CelValue(value) : CelValue();
  if (value.is_string()) {
    if (to == "double") {
      const auto number = parse_double(text_of(value));
      return number ? CelValue(*number) : CelValue();
    }
    const auto number = parse_int(text_of(value));
    return number && (to == "int" || *number >= 0) ? CelValue(*number) : CelValue();
  }
  const auto number = data::as_number(value);
  if (!number) return std::nullopt;
  if (to == "double") return Json(*number);
  if (is_integer(value)) {
    const auto whole = data::as_int(value);
    return whole && (to == "int" || *whole >= 0) ? CelValue(*whole) : CelValue();
  }
  if (std::abs(*number) > 9e18 || (to == "uint" && *number < 0)) return std::nullopt;
  return Json(static_cast<std::int64_t>(*number));
}

CelValue text_function(std::string_view name, const Json& a, const Json& b) {
  if (!a.is_string() || !b.is_string()) return std::nullopt;
  const std::string_view text = text_of(a), other = text_of(b);
  if (name == "startsWith") return boolean(text.starts_with(other));
  if (name == "endsWith") return boolean(text.ends_with(other));
  if (name == "contains") return boolean(text.find(other) != std::string_view::npos);
  return std::nullopt;
}

// Functions by name, with how many arguments they take.
constexpr std::pair<std::string_view, int> kFunctions[] = {
    {"_&&_", 2},       {"_||_", 2},       {"!_", 1},   {"-_", 1},         {"_?_:_", 3},
    {"_==_", 2},       {"_!=_", 2},       {"_<_", 2},  {"_<=_", 2},       {"_>_", 2},
    {"_>=_", 2},       {"_+_", 2},        {"_-_", 2},  {"_*_", 2},        {"_/_", 2},
    {"_%_", 2},        {"_[_]", 2},       {"@in", 2},  {"startsWith", 2}, {"endsWith", 2},
    {"contains", 2},   {"matches", 2},    {"size", 1}, {"string", 1},     {"int", 1},
    {"uint", 1},       {"double", 1},     {"bool", 1}, {"timestamp", 1},  {"duration", 1},
    {"lowerAscii", 1}, {"upperAscii", 1}, {"trim", 1}, {"type", 1}};

}  // namespace

CelNodeRef cel_literal(Json value) {
  auto made = std::make_shared<CelNode>();
  made->value = std::move(value);
  return made;
}

CelNodeRef cel_name(std::string name, const std::vector<std::string>& variables) {
  auto made = std::make_shared<CelNode>();
  const bool is_variable = std::find(variables.begin(), variables.end(), name) != variables.end();
  made->kind = is_variable ? CelNode::Kind::kVariable : CelNode::Kind::kAttribute;
  if (!is_variable) made->path.push_back(name);
  made->name = std::move(name);
  return made;
}

// A chain of fields on an attribute is one look-up.
CelNodeRef cel_select(CelNodeRef from, std::string field) {
  auto made = std::make_shared<CelNode>();
  if (from->kind == CelNode::Kind::kAttribute) {
    made->kind = CelNode::Kind::kAttribute;
    made->path = from->path;
    made->path.push_back(std::move(field));
    return made;
  }
  made->kind = CelNode::Kind::kSelect;
  made->name = std::move(field);
  made->args.push_back(std::move(from));
  return made;
}

Result<CelNodeRef> cel_has(const CelNodeRef& selected) {
  auto made = std::make_shared<CelNode>(*selected);
  if (selected->kind != CelNode::Kind::kSelect &&
      (selected->kind != CelNode::Kind::kAttribute || selected->path.size() < 2))
    return invalid("CEL: has() wants a field, as in has(request.path)", Blame::kConfig);
  made->kind = CelNode::Kind::kHas;
  return CelNodeRef(std::move(made));
}

Result<CelNodeRef> cel_call(std::string name, std::vector<CelNodeRef> args) {
  int wanted = -1;
  for (const auto& [known, count] : kFunctions)
    if (known == name) wanted = count;
  if (wanted < 0) return invalid("CEL: no function '" + name + "' is known", Blame::kConfig);
  if (static_cast<std::size_t>(wanted) != args.size())
    return invalid("CEL: " + name + " takes " + std::to_string(wanted) + " operands",
                   Blame::kConfig);
  // request.headers['x'] is the attribute at that path.
  if (name == "_[_]" && args[0]->kind == CelNode::Kind::kAttribute &&
      args[1]->kind == CelNode::Kind::kLiteral && args[1]->value.is_string())
    return cel_select(args[0], std::string(text_of(args[1]->value)));
  auto made = std::make_shared<CelNode>();
  made->kind = CelNode::Kind::kCall;
  if (name == "matches" && args[1]->kind == CelNode::Kind::kLiteral)
    made->regex = TRY(Regex::compile("(?s).*(?:" + std::string(text_of(args[1]->value)) + ").*"));
  made->name = std::move(name);
  made->args = std::move(args);
  return CelNodeRef(std::move(made));
}

CelValue CelNode::evaluate(CelScope& scope) const {
  if (--scope.steps_left < 0) return std::nullopt;
  switch (kind) {
    case Kind::kLiteral: return value;
    case Kind::kAttribute: return find_attribute(path, scope.info, scope.request);
    case Kind::kVariable:
      for (auto at = scope.variables.rbegin(); at != scope.variables.rend(); ++at)
        if (at->first == name) return at->second;
      return std::nullopt;
    case Kind::kSelect: {
      const auto from = args[0]->evaluate(scope);
      return from ? index(*from, Json(name)) : std::nullopt;
    }
    case Kind::kHas: {
      if (!path.empty())
        return boolean(find_attribute(path, scope.info, scope.request).has_value());
      const auto from = args[0]->evaluate(scope);
      if (!from) return std::nullopt;
      return boolean(index(*from, Json(name)).has_value());
    }
    case Kind::kCall: return call(scope);
    case Kind::kList: {
      data::JsonArray made;
      for (const auto& arg : args) {
        auto one = arg->evaluate(scope);
        if (!one) return std::nullopt;
        made.push_back(*std::move(one));
      }
      return Json(std::move(made));
    }
    case Kind::kMap: {
      data::JsonObject made;
      for (std::size_t i = 0; i + 1 < args.size(); i += 2) {
        const auto key = args[i]->evaluate(scope);
        auto one = args[i + 1]->evaluate(scope);
        if (!key || !one || !key->is_string()) return std::nullopt;
        made[text_of(*key)] = *std::move(one);
      }
      return Json(std::move(made));
    }
    case Kind::kMacro: return macro(scope);
  }
  return std::nullopt;
}

// A side that decides wins over an error of the other.
CelValue CelNode::logic(CelScope& scope, bool is_and) const {
  bool has_error = false;
  for (const auto& arg : args) {
    const auto one = arg->evaluate(scope);
    const bool* flag = one ? one->if_bool() : nullptr;
    if (flag == nullptr) has_error = true;
    else if (*flag != is_and) return boolean(!is_and);
  }
  return has_error ? CelValue() : boolean(is_and);
}

CelValue CelNode::call(CelScope& scope) const {
  if (name == "_&&_" || name == "_||_") return logic(scope, name == "_&&_");
  const auto a = args[0]->evaluate(scope);
  if (!a) return std::nullopt;
  if (name == "_?_:_") {
    const bool* flag = a->if_bool();
    return flag == nullptr ? CelValue() : args[*flag ? 1 : 2]->evaluate(scope);
  }
  if (args.size() == 1) {
    if (name == "!_") return a->is_bool() ? boolean(!*a->if_bool()) : std::nullopt;
    if (name == "-_") return arithmetic("_-_", Json(0), *a);
    if (name == "size") return size_of(*a);
    if (name == "type") return std::nullopt;
    if (name == "lowerAscii") return a->is_string() ? CelValue(to_lower(text_of(*a))) : CelValue();
    if (name == "trim") return a->is_string() ? CelValue(Json(trim(text_of(*a)))) : CelValue();
    if (name == "upperAscii") {
      if (!a->is_string()) return std::nullopt;
      std::string text(text_of(*a));
      for (char& c : text)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
      return Json(text);
    }
    return convert(name, *a);
  }
  if (regex) return a->is_string() ? boolean(regex->matches_all(text_of(*a))) : std::nullopt;
  const auto b = args[1]->evaluate(scope);
  if (!b) return std::nullopt;
  if (name == "_==_") return boolean(data::equal(*a, *b));
  if (name == "_!=_") return boolean(!data::equal(*a, *b));
  if (name == "_[_]") return index(*a, *b);
  if (name == "@in") return contains(*a, *b);
  if (name[0] == '_' && (name[1] == '<' || name[1] == '>')) return compare(name, *a, *b);
  if (name[0] == '_') return arithmetic(name, *a, *b);
  if (name == "matches") {
    if (!a->is_string() || !b->is_string() || text_of(*b).size() > 1000) return std::nullopt;
    const auto made = Regex::compile("(?s).*(?:" + std::string(text_of(*b)) + ").*");
    return made.ok() ? boolean(made->matches_all(text_of(*a))) : std::nullopt;
  }
  return text_function(name, *a, *b);
}

CelValue CelNode::macro(CelScope& scope) const {
  const auto range = args[0]->evaluate(scope);
  if (!range) return std::nullopt;
  std::vector<Json> items;
  if (const auto* array = range->if_array()) items.assign(array->begin(), array->end());
  else if (const auto* object = range->if_object())
    for (const auto& [key, one] : *object) items.emplace_back(key);
  else return std::nullopt;
  data::JsonArray kept;
  int matches = 0;
  bool has_error = false;
  for (auto& item : items) {
    scope.variables.emplace_back(variable, item);
    auto one = args[1]->evaluate(scope);
    scope.variables.pop_back();
    if (name == "map") {
      if (!one) return std::nullopt;
      kept.push_back(*std::move(one));
      continue;
    }
    const bool* flag = one ? one->if_bool() : nullptr;
    if (flag == nullptr) has_error = true;
    else if (*flag) {
      if (name == "exists") return boolean(true);
      ++matches;
      kept.push_back(std::move(item));
    } else if (name == "all") return boolean(false);
  }
  if (has_error) return std::nullopt;
  if (name == "exists") return boolean(false);
  if (name == "all") return boolean(true);
  if (name == "exists_one") return boolean(matches == 1);
  return Json(std::move(kept));
}

}  // namespace lateen::proxy
