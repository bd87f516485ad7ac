// Checking: names and functions are resolved, fields looked up in the shapes, before anything runs.
#include "cluster/cel/program.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include "cluster/cel/evaluate.h"
#include "cluster/cel/expr.h"
#include "cluster/cel/functions.h"

namespace lateen::cluster::cel {
namespace {

using Kind = Expr::Kind;
constexpr int kMostDepth = 300;

const Shape* shape_of(Shape::Kind kind) {
  static const Shape kBool{.kind = Shape::Kind::kBool};
  static const Shape kInt{.kind = Shape::Kind::kInt};
  static const Shape kString{.kind = Shape::Kind::kString};
  switch (kind) {
    case Shape::Kind::kBool: return &kBool;
    case Shape::Kind::kInt: return &kInt;
    case Shape::Kind::kString: return &kString;
    default: return nullptr;
  }
}

class Checker {
 public:
  explicit Checker(const std::vector<Program::Variable>& variables) : scope_(variables) {}

  // The shape of what `expr` gives; null: not known.
  Result<const Shape*> check(Expr& expr, int depth = 0) {
    if (depth > kMostDepth) return invalid("ERROR: the expression is nested too deep");
    switch (expr.kind) {
      case Kind::kLiteral: return literal(expr);
      case Kind::kIdent: return ident(expr);
      case Kind::kSelect:
      case Kind::kHas: return select(expr, depth);
      case Kind::kIndex: return index(expr, depth);
      case Kind::kCall: return call(expr, depth);
      case Kind::kList:
      case Kind::kMap: TRY(check_args(expr, depth)); return nullptr;
      case Kind::kNot:
      case Kind::kAnd:
      case Kind::kOr:
        for (auto& arg : expr.args) TRY(check_bool(*arg, depth));
        return shape_of(Shape::Kind::kBool);
      case Kind::kNegate: return check(*expr.args[0], depth + 1);
      case Kind::kConditional: {
        TRY(check_bool(*expr.args[0], depth));
        const Shape* then = TRY(check(*expr.args[1], depth + 1));
        const Shape* otherwise = TRY(check(*expr.args[2], depth + 1));
        return then == otherwise ? then : nullptr;
      }
      case Kind::kBinary: return binary(expr, depth);
      default: return comprehension(expr, depth);
    }
  }

  Result<> check_bool(Expr& expr, int depth) {
    const Shape* shape = TRY(check(expr, depth + 1));
    if (shape == nullptr || shape->kind == Shape::Kind::kAny || shape->kind == Shape::Kind::kBool)
      return {};
    return fault(expr, "found no matching overload: a bool is wanted here");
  }

 private:
  static Error fault(const Expr& expr, std::string_view what) {
    return invalid(fmt::format("ERROR: <input>:1:{}: {}", expr.offset + 1, what));
  }

  static Result<const Shape*> literal(const Expr& expr) {
    if (expr.literal.get<bool>() != nullptr) return shape_of(Shape::Kind::kBool);
    if (expr.literal.get<std::int64_t>() != nullptr) return shape_of(Shape::Kind::kInt);
    if (expr.literal.get<std::string>() != nullptr) return shape_of(Shape::Kind::kString);
    return nullptr;
  }

  const Program::Variable* variable(std::string_view name) const {
    for (auto at = scope_.rbegin(); at != scope_.rend(); ++at) {
      if (at->name == name) return &*at;
    }
    return nullptr;
  }

  Result<const Shape*> ident(Expr& expr) {
    if (const auto* known = variable(expr.name)) return known->shape;
    for (std::string_view type :
         {"bool", "int", "uint", "double", "string", "bytes", "list", "map", "type", "null_type"}) {
      if (type != expr.name) continue;
      expr.kind = Kind::kLiteral;
      expr.literal = TypeName{expr.name};
      return nullptr;
    }
    return fault(expr, fmt::format("undeclared reference to '{}' (in container '')", expr.name));
  }

  Result<const Shape*> select(Expr& expr, int depth) {
    const Shape* from = TRY(check(*expr.target, depth + 1));
    if (from == nullptr || from->kind == Shape::Kind::kAny) return bool_if_has(expr, nullptr);
    if (from->kind == Shape::Kind::kMap) return bool_if_has(expr, from->element.get());
    if (from->kind == Shape::Kind::kObject) {
      const auto field = from->fields.find(unescape_field(expr.name));
      if (field == from->fields.end())
        return fault(expr, fmt::format("undefined field '{}'", expr.name));
      return bool_if_has(expr, field->second.get());
    }
    return fault(expr, "type does not support field selection");
  }
  static Result<const Shape*> bool_if_has(const Expr& expr, const Shape* field) {
    if (expr.kind == Kind::kHas) return shape_of(Shape::Kind::kBool);
    return expr.is_optional ? nullptr : field;
  }

  Result<const Shape*> index(Expr& expr, int depth) {
    const Shape* from = TRY(check(*expr.target, depth + 1));
    TRY(check_args(expr, depth));
    const bool is_known =
        from != nullptr && (from->kind == Shape::Kind::kList || from->kind == Shape::Kind::kMap);
    return is_known && !expr.is_optional ? from->element.get() : nullptr;
  }

  Result<> check_args(Expr& expr, int depth) {
    for (auto& arg : expr.args) TRY(check(*arg, depth + 1));
    return {};
  }

  Result<const Shape*> binary(Expr& expr, int depth) {
    TRY(check_args(expr, depth));
    const bool is_arithmetic = std::string_view("+-*/%").find(expr.name) != std::string_view::npos;
    return is_arithmetic ? nullptr : shape_of(Shape::Kind::kBool);
  }

  Result<const Shape*> call(Expr& expr, int depth) {
    if (expr.target != nullptr && expr.target->kind == Kind::kIdent &&
        variable(expr.target->name) == nullptr) {
      const std::string full = expr.target->name + "." + expr.name;
      if (is_function_name(full, false)) {
        expr.name = full;
        expr.target = nullptr;
      }
    }
    const bool is_method = expr.target != nullptr;
    if (is_method) TRY(check(*expr.target, depth + 1));
    TRY(check_args(expr, depth));
    expr.function = find_function(expr.name, is_method, expr.args.size());
    if (expr.function == nullptr) {
      if (!is_function_name(expr.name, is_method))
        return fault(expr,
                     fmt::format("undeclared reference to '{}' (in container '')", expr.name));
      return fault(expr, fmt::format("found no matching overload for '{}'", expr.name));
    }
    const std::string_view name = expr.function->name;
    if (name == "matches" || name == "find" || name == "findAll") {
      const auto& last = expr.args[is_method ? 0 : 1];
      const auto* text = last->literal.get<std::string>();
      if (last->kind == Kind::kLiteral && text != nullptr) {
        auto pattern = std::make_shared<re2::RE2>(*text, re2::RE2::Quiet);
        if (!pattern->ok()) return fault(expr, fmt::format("invalid regex: {}", pattern->error()));
        expr.pattern = std::move(pattern);
      }
    }
    return shape_of(expr.function->result);
  }

  Result<const Shape*> comprehension(Expr& expr, int depth) {
    const Shape* over = TRY(check(*expr.target, depth + 1));
    const bool is_list = over != nullptr && over->kind == Shape::Kind::kList;
    const bool is_map =
        over != nullptr && (over->kind == Shape::Kind::kMap || over->kind == Shape::Kind::kObject);
    const bool is_optional = expr.kind == Kind::kOptionalMap || expr.kind == Kind::kOptionalFlatMap;
    if (over != nullptr && !is_list && !is_map && over->kind != Shape::Kind::kAny && !is_optional)
      return fault(expr,
                   "expression cannot be range of a comprehension (must be list, map, or dynamic)");
    const Shape* element = is_list ? over->element.get() : nullptr;
    const Shape* key = is_map ? shape_of(Shape::Kind::kString) : nullptr;
    const std::size_t before = scope_.size();
    if (expr.second_variable.empty()) {
      scope_.push_back({expr.variable, is_map ? key : element});
    } else {
      scope_.push_back({expr.variable, is_list ? shape_of(Shape::Kind::kInt) : key});
      scope_.push_back({expr.second_variable, is_map ? over->element.get() : element});
    }
    const bool is_quantifier =
        expr.kind == Kind::kAll || expr.kind == Kind::kExists || expr.kind == Kind::kExistsOne;
    for (auto& arg : expr.args) {
      if (is_quantifier || expr.kind == Kind::kFilter) TRY(check_bool(*arg, depth));
      else TRY(check(*arg, depth + 1));
    }
    scope_.resize(before);
    if (is_quantifier) return shape_of(Shape::Kind::kBool);
    return expr.kind == Kind::kFilter && is_list ? over : nullptr;
  }

  std::vector<Program::Variable> scope_;
};

bool mentions_name(const Expr& expr, std::string_view name) {
  if (expr.kind == Kind::kIdent && expr.name == name) return true;
  if (expr.target != nullptr && mentions_name(*expr.target, name)) return true;
  for (const auto& arg : expr.args) {
    if (mentions_name(*arg, name)) return true;
  }
  return false;
}

}  // namespace

Error Budget::exceeded() {
  return {Code::kResourceExhausted, "operation cancelled: actual cost limit exceeded"};
}

Program::Program(std::unique_ptr<Expr> root) : root_(std::move(root)) {}
Program::Program(Program&&) noexcept = default;
Program& Program::operator=(Program&&) noexcept = default;
Program::~Program() = default;

Result<Program> Program::compile(std::string_view source, const std::vector<Variable>& variables,
                                 Shape::Kind result) {
  ExprPtr root = TRY(parse(source));
  const Shape* shape = TRY(Checker(variables).check(*root));
  const bool is_known = shape != nullptr && shape->kind != Shape::Kind::kAny;
  if (result != Shape::Kind::kAny && is_known && shape->kind != result) {
    return invalid(
        fmt::format("must evaluate to a {}", result == Shape::Kind::kBool ? "bool" : "string"));
  }
  return Program(std::move(root));
}

Result<Value> Program::evaluate(const Bindings& bindings, Budget& budget) const {
  return Evaluation(bindings, budget).of(*root_);
}

bool Program::mentions(std::string_view name) const { return mentions_name(*root_, name); }

}  // namespace lateen::cluster::cel
