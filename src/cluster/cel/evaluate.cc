// Evaluation. Errors are values, too: || and && pass over one that does not decide.
#include "cluster/cel/evaluate.h"

#include <fmt/format.h>

#include "cluster/cel/functions.h"

namespace lateen::cluster::cel {
namespace {

using Kind = Expr::Kind;

Error no_such_key(std::string_view key) { return not_found(fmt::format("no such key: {}", key)); }

Value optional_of(std::optional<Value> value) {
  if (!value) return Optional{};
  return Optional{std::make_shared<const Value>(std::move(*value))};
}

bool is_in(const Value& item, const Value& container) {
  if (container.is_map()) return container.find(item).has_value();
  for (std::size_t i = 0; i < container.size(); ++i) {
    if (equal(container.at(i), item)) return true;
  }
  return false;
}

// Takes macros' variables away again, whichever way they are left.
struct ScopeEnd {
  Program::Bindings& scope;
  std::size_t size;
  ~ScopeEnd() { scope.resize(size); }
};

std::optional<Value> element_of(const Value& from, const Value& key) {
  if (from.is_map()) return from.find(key);
  const auto* number = key.get<std::int64_t>();
  if (number == nullptr || *number < 0 || static_cast<std::size_t>(*number) >= from.size())
    return std::nullopt;
  return from.at(static_cast<std::size_t>(*number));
}

}  // namespace

Error no_overload(std::string_view what) {
  return invalid(fmt::format("no such overload: {}", what));
}

Result<Value> Evaluation::of(const Expr& expr) {
  if (!budget_.spend(1)) return Budget::exceeded();
  switch (expr.kind) {
    case Kind::kLiteral: return expr.literal;
    case Kind::kIdent:
      for (auto at = scope_.rbegin(); at != scope_.rend(); ++at) {
        if (at->first == expr.name) return at->second;
      }
      return not_found(fmt::format("no such attribute: {}", expr.name));
    case Kind::kSelect: return select(expr);
    case Kind::kHas: return has(expr);
    case Kind::kIndex: return index(expr);
    case Kind::kCall: return call(expr);
    case Kind::kNot: return Value(!TRY(condition(*expr.args[0])));
    case Kind::kNegate: {
      const Value value = TRY(of(*expr.args[0]));
      if (const auto* number = value.get<double>()) return Value(-*number);
      if (const auto* duration = value.get<nanoseconds>()) return Value(-*duration);
      return arithmetic("-", Value(std::int64_t{0}), value, budget_);
    }
    case Kind::kAnd:
    case Kind::kOr: return logic(expr);
    case Kind::kConditional:
      return of(TRY(condition(*expr.args[0])) ? *expr.args[1] : *expr.args[2]);
    case Kind::kBinary: return binary(expr);
    case Kind::kList: return make_list(expr);
    case Kind::kMap: return make_map(expr);
    case Kind::kAll:
    case Kind::kExists:
    case Kind::kExistsOne: return quantifier(expr);
    case Kind::kOptionalMap:
    case Kind::kOptionalFlatMap: return optional(expr);
    default: return transform(expr);
  }
}

Result<bool> Evaluation::condition(const Expr& expr) {
  const Value value = TRY(of(expr));
  if (const bool* flag = value.get<bool>()) return *flag;
  return no_overload(fmt::format("a bool is wanted, {} was found", value.type_name()));
}

Result<Value> Evaluation::select(const Expr& expr) {
  const Value from = TRY(of(*expr.target));
  if (const auto* optional = from.get<Optional>()) {
    if (optional->value == nullptr) return from;
    return optional_of(optional->value->field(expr.name));
  }
  if (!from.is_map()) return no_overload(fmt::format("{} has no fields", from.type_name()));
  auto found = from.field(expr.name);
  if (expr.is_optional) return optional_of(std::move(found));
  if (!found) return no_such_key(expr.name);
  return std::move(*found);
}

Result<Value> Evaluation::has(const Expr& expr) {
  Value from = TRY(of(*expr.target));
  if (const auto* optional = from.get<Optional>()) {
    if (optional->value == nullptr) return Value(false);
    from = Value(*optional->value);
  }
  if (!from.is_map()) return no_overload(fmt::format("{} has no fields", from.type_name()));
  return Value(from.field(expr.name).has_value());
}

Result<Value> Evaluation::index(const Expr& expr) {
  const Value from = TRY(of(*expr.target));
  const Value key = TRY(of(*expr.args[0]));
  if (!budget_.spend(from.get<std::shared_ptr<const Map>>() != nullptr ? from.size() : 1))
    return Budget::exceeded();
  if (const auto* optional = from.get<Optional>()) {
    if (optional->value == nullptr) return from;
    return optional_of(element_of(*optional->value, key));
  }
  if (!from.is_map() && !from.is_list())
    return no_overload(fmt::format("{} cannot be indexed", from.type_name()));
  auto found = element_of(from, key);
  if (expr.is_optional) return optional_of(std::move(found));
  if (found) return std::move(*found);
  if (from.is_list()) return invalid(fmt::format("index out of bounds: {}", key.to_text()));
  return no_such_key(key.to_text());
}

Result<Value> Evaluation::logic(const Expr& expr) {
  const bool decides = expr.kind == Kind::kOr;
  auto left = condition(*expr.args[0]);
  if (left.ok() && *left == decides) return Value(decides);
  if (budget_.is_used_up()) return Budget::exceeded();
  auto right = condition(*expr.args[1]);
  if (right.ok() && *right == decides) return Value(decides);
  if (!left.ok()) return left.error();
  if (!right.ok()) return right.error();
  return Value(!decides);
}

Result<Value> Evaluation::binary(const Expr& expr) {
  const Value a = TRY(of(*expr.args[0]));
  const Value b = TRY(of(*expr.args[1]));
  const std::string_view op = expr.name;
  if (!budget_.spend((a.weight() + b.weight()) / 10)) return Budget::exceeded();
  if (op == "==" || op == "!=") {
    if (!budget_.spend(a.is_list() ? a.size() * 2 : 0)) return Budget::exceeded();
    return Value(equal(a, b) == (op == "=="));
  }
  if (op == "in") {
    if (!b.is_list() && !b.is_map()) return no_overload(fmt::format("in {}", b.type_name()));
    if (!budget_.spend(b.size())) return Budget::exceeded();
    return Value(is_in(a, b));
  }
  if (op.find_first_of("<>") != std::string_view::npos) {
    const auto order = compare(a, b);
    if (!order) return no_overload(fmt::format("{} {} {}", a.type_name(), op, b.type_name()));
    if (op == "<") return Value(*order < 0);
    if (op == "<=") return Value(*order <= 0);
    if (op == ">") return Value(*order > 0);
    return Value(*order >= 0);
  }
  return arithmetic(op, a, b, budget_);
}

Result<Value> Evaluation::call(const Expr& expr) {
  std::vector<Value> args;
  args.reserve(expr.args.size() + 1);
  std::size_t weight = 0;
  if (expr.target != nullptr) args.push_back(TRY(of(*expr.target)));
  for (const auto& arg : expr.args) args.push_back(TRY(of(*arg)));
  for (const auto& arg : args) weight += arg.weight();
  if (!budget_.spend(1 + weight / 10)) return Budget::exceeded();
  return expr.function->function(args, expr, budget_);
}

Result<Value> Evaluation::make_list(const Expr& expr) {
  List made;
  for (std::size_t i = 0; i < expr.args.size(); ++i) {
    Value item = TRY(of(*expr.args[i]));
    if (!expr.optional_args[i]) {
      made.push_back(std::move(item));
    } else if (const auto* optional = item.get<Optional>()) {
      if (optional->value != nullptr) made.push_back(*optional->value);
    } else {
      return no_overload("an optional element that is no optional");
    }
  }
  return Value::list(std::move(made));
}

Result<Value> Evaluation::make_map(const Expr& expr) {
  Map made;
  for (std::size_t i = 0; i + 1 < expr.args.size(); i += 2) {
    Value key = TRY(of(*expr.args[i]));
    Value value = TRY(of(*expr.args[i + 1]));
    if (expr.optional_args[i / 2]) {
      const auto* optional = value.get<Optional>();
      if (optional == nullptr) return no_overload("an optional entry that is no optional");
      if (optional->value == nullptr) continue;
      Value inner = *optional->value;
      value = std::move(inner);
    }
    for (const auto& entry : made) {
      if (equal(entry.key, key)) return invalid("Failed with repeated key");
    }
    made.push_back({std::move(key), std::move(value)});
  }
  return Value::map(std::move(made));
}

template <typename Visit>
Result<> Evaluation::each(const Expr& expr, Visit visit) {
  const Value over = TRY(of(*expr.target));
  const bool is_map = over.is_map();
  if (!is_map && !over.is_list())
    return no_overload(fmt::format("{} cannot be walked over", over.type_name()));
  const bool has_two = !expr.second_variable.empty();
  const auto entries = is_map ? over.entries() : std::vector<std::pair<Value, Value>>();
  const std::size_t size = is_map ? entries.size() : over.size();
  for (std::size_t i = 0; i < size; ++i) {
    const ScopeEnd end{scope_, scope_.size()};
    if (!budget_.spend(1)) return Budget::exceeded();
    const Value first = is_map    ? entries[i].first
                        : has_two ? Value(static_cast<std::int64_t>(i))
                                  : over.at(i);
    scope_.emplace_back(expr.variable, first);
    if (has_two) scope_.emplace_back(expr.second_variable, is_map ? entries[i].second : over.at(i));
    if (!TRY(visit(first))) return {};
  }
  return {};
}

Result<Value> Evaluation::quantifier(const Expr& expr) {
  std::int64_t matches = 0;
  std::optional<Error> failure;
  bool is_decided = false;
  TRY(each(expr, [&](const Value&) -> Result<bool> {
    auto holds = condition(*expr.args[0]);
    if (budget_.is_used_up()) return Budget::exceeded();
    if (!holds.ok()) {
      if (expr.kind == Kind::kExistsOne) return holds.error();
      if (!failure) failure = holds.error();
      return true;
    }
    matches += *holds ? 1 : 0;
    is_decided = (expr.kind == Kind::kAll && !*holds) || (expr.kind == Kind::kExists && *holds);
    return !is_decided;
  }));
  if (is_decided) return Value(expr.kind == Kind::kExists);
  if (failure) return *failure;
  if (expr.kind == Kind::kExistsOne) return Value(matches == 1);
  return Value(expr.kind == Kind::kAll);
}

// map, filter, transformList, transformMap: with two arguments the first is a filter.
Result<Value> Evaluation::transform(const Expr& expr) {
  List items;
  Map entries;
  const bool is_filter = expr.kind == Kind::kFilter;
  TRY(each(expr, [&](const Value& first) -> Result<bool> {
    if ((is_filter || expr.args.size() == 2) && !TRY(condition(*expr.args[0]))) return true;
    Value made = is_filter ? first : TRY(of(*expr.args.back()));
    if (expr.kind == Kind::kTransformMap) entries.push_back({first, std::move(made)});
    else items.push_back(std::move(made));
    return true;
  }));
  if (expr.kind == Kind::kTransformMap) return Value::map(std::move(entries));
  return Value::list(std::move(items));
}

Result<Value> Evaluation::optional(const Expr& expr) {
  const Value from = TRY(of(*expr.target));
  const auto* optional = from.get<Optional>();
  if (optional == nullptr) return no_overload(fmt::format("{} is no optional", from.type_name()));
  if (optional->value == nullptr) return from;
  const ScopeEnd end{scope_, scope_.size()};
  scope_.emplace_back(expr.variable, *optional->value);
  Value made = TRY(of(*expr.args[0]));
  if (expr.kind == Kind::kOptionalFlatMap) return made;
  return optional_of(std::move(made));
}

}  // namespace lateen::cluster::cel
