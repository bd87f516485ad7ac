// Reading expressions: from text (by precedence climbing), and from the API's syntax trees.

#include "proxy/match/cel.h"

#include "base/strings.h"
#include "cel/expr/syntax.pb.h"
#include "google/api/expr/v1alpha1/syntax.pb.h"
#include "proxy/match/attributes.h"
#include "proxy/match/cel_node.h"

namespace lateen::proxy {
namespace {

using data::Json;

Error wrong(const std::string& what) { return invalid("CEL: " + what, Blame::kConfig); }

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<CelNodeRef> parse() {
    auto made = TRY(ternary(0));
    skip_space();
    if (at_ != text_.size()) return unexpected();
    return made;
  }

 private:
  using Ref = CelNodeRef;

  Error unexpected() {
    return wrong("unexpected '" + std::string(text_.substr(at_, 10)) + "' at offset " +
                 std::to_string(at_));
  }
  void skip_space() {
    while (at_ < text_.size()) {
      if (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r')
        ++at_;
      else if (text_.substr(at_).starts_with("//"))
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
      else break;
    }
  }
  bool take(std::string_view token) {
    skip_space();
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  Result<> expect(std::string_view token) {
    if (!take(token))
      return wrong("'" + std::string(token) + "' expected at offset " + std::to_string(at_));
    return {};
  }
  Result<> grow(int depth) {
    if (depth > kMostCelDepth || ++nodes_ > kMostCelNodes)
      return wrong("the expression is too big");
    return {};
  }

  Result<Ref> ternary(int depth) {
    TRY(grow(depth));
    auto test = TRY(binary(0, depth + 1));
    if (!take("?")) return test;
    auto yes = TRY(binary(0, depth + 1));
    TRY(expect(":"));
    auto no = TRY(ternary(depth + 1));
    return cel_call("_?_:_", {test, yes, no});
  }

  // The operator here that binds at least as `level`; empty: none.
  std::string_view operator_at(int level) {
    static constexpr std::pair<std::string_view, int> kOperators[] = {
        {"||", 0}, {"&&", 1}, {"==", 2}, {"!=", 2}, {"<=", 2}, {">=", 2}, {"<", 2},
        {">", 2},  {"+", 3},  {"-", 3},  {"*", 4},  {"/", 4},  {"%", 4}};
    skip_space();
    const std::string_view rest = text_.substr(at_);
    if (level == 2 && rest.starts_with("in") && (rest.size() == 2 || !is_word(rest[2])))
      return rest.substr(0, 2);
    for (const auto& [name, own] : kOperators)
      if (own == level && rest.starts_with(name)) return name;
    return {};
  }

  Result<Ref> binary(int level, int depth) {
    if (level == 5) return unary(depth);
    TRY(grow(depth));
    auto left = TRY(binary(level + 1, depth + 1));
    for (;;) {
      const std::string_view name = operator_at(level);
      if (name.empty()) return left;
      at_ += name.size();
      TRY(grow(depth));
      auto right = TRY(binary(level + 1, depth + 1));
      left = TRY(cel_call(name == "in" ? "@in" : "_" + std::string(name) + "_", {left, right}));
    }
  }

  Result<Ref> unary(int depth) {
    TRY(grow(depth));
    if (take("!")) return cel_call("!_", {TRY(unary(depth + 1))});
    if (take("-")) return cel_call("-_", {TRY(unary(depth + 1))});
    return member(depth + 1);
  }

  Result<Ref> member(int depth) {
    auto made = TRY(primary(depth));
    for (;;) {
      TRY(grow(depth));
      if (take("[")) {
        auto key = TRY(ternary(depth + 1));
        TRY(expect("]"));
        made = TRY(cel_call("_[_]", {made, key}));
      } else if (take(".")) {
        const std::string name = word();
        if (name.empty()) return unexpected();
        skip_space();
        if (!take("(")) {
          made = cel_select(made, name);
          continue;
        }
        made = is_macro(name) ? TRY(macro(made, name, depth)) : TRY(method(made, name, depth));
      } else {
        return made;
      }
    }
  }
  static bool is_macro(std::string_view name) {
    return name == "all" || name == "exists" || name == "exists_one" || name == "filter" ||
           name == "map";
  }
  Result<Ref> method(const Ref& receiver, const std::string& name, int depth) {
    auto args = TRY(arguments(depth));
    args.insert(args.begin(), receiver);
    return cel_call(name, std::move(args));
  }
  Result<Ref> macro(const Ref& range, const std::string& name, int depth) {
    auto made = std::make_shared<CelNode>();
    made->kind = CelNode::Kind::kMacro;
    made->name = name;
    skip_space();
    made->variable = word();
    if (made->variable.empty()) return unexpected();
    TRY(expect(","));
    variables_.push_back(made->variable);
    auto body = ternary(depth + 1);
    variables_.pop_back();
    if (!body.ok()) return std::move(body).error();
    TRY(expect(")"));
    made->args = {range, *body};
    return Ref(std::move(made));
  }
  Result<std::vector<Ref>> arguments(int depth) {
    std::vector<Ref> args;
    if (take(")")) return args;
    for (;;) {
      args.push_back(TRY(ternary(depth + 1)));
      if (take(")")) return args;
      TRY(expect(","));
    }
  }

  Result<Ref> primary(int depth) {
    TRY(grow(depth));
    skip_space();
    if (at_ >= text_.size()) return wrong("the expression ends early");
    const char c = text_[at_];
    if (take("(")) {
      auto made = TRY(ternary(depth + 1));
      TRY(expect(")"));
      return made;
    }
    if (take("[")) return list(depth);
    if (take("{")) return map(depth);
    if (c == '"' || c == '\'' ||
        ((c == 'r' || c == 'R') && at_ + 1 < text_.size() &&
         (text_[at_ + 1] == '"' || text_[at_ + 1] == '\'')))
      return string();
    if (c >= '0' && c <= '9') return number();
    if (c == '.') ++at_;
    const std::string name = word();
    if (name.empty()) return unexpected();
    if (name == "true" || name == "false") return cel_literal(name == "true");
    if (name == "null") return cel_literal(nullptr);
    skip_space();
    if (!take("(")) {
      const auto made = cel_name(name, variables_);
      if (made->kind == CelNode::Kind::kAttribute && !is_attribute_root(name))
        return wrong("'" + name + "' names no attribute");
      return made;
    }
    auto args = TRY(arguments(depth));
    if (name == "has" && args.size() == 1) return cel_has(args[0]);
    return cel_call(name, std::move(args));
  }

  Result<Ref> list(int depth) {
    auto made = std::make_shared<CelNode>();
    made->kind = CelNode::Kind::kList;
    if (take("]")) return Ref(std::move(made));
    for (;;) {
      made->args.push_back(TRY(ternary(depth + 1)));
      if (take(",") && !take("]")) continue;
      if (text_[at_ - 1] != ']') TRY(expect("]"));
      return Ref(std::move(made));
    }
  }
  Result<Ref> map(int depth) {
    auto made = std::make_shared<CelNode>();
    made->kind = CelNode::Kind::kMap;
    if (take("}")) return Ref(std::move(made));
    for (;;) {
      made->args.push_back(TRY(ternary(depth + 1)));
      TRY(expect(":"));
      made->args.push_back(TRY(ternary(depth + 1)));
      if (take("}")) return Ref(std::move(made));
      TRY(expect(","));
    }
  }

  Result<Ref> number() {
    const std::size_t start = at_;
    bool is_real = false;
    while (at_ < text_.size() && (is_word(text_[at_]) || text_[at_] == '.')) {
      is_real |= text_[at_] == '.' || ((text_[at_] == 'e' || text_[at_] == 'E') &&
                                       !text_.substr(start).starts_with("0x"));
      ++at_;
    }
    std::string_view digits = text_.substr(start, at_ - start);
    if (digits.ends_with('u') || digits.ends_with('U')) digits.remove_suffix(1);
    if (is_real) {
      const auto value = parse_double(digits);
      if (!value) return wrong("bad number '" + std::string(digits) + "'");
      return cel_literal(*value);
    }
    if (digits.starts_with("0x")) {
      std::int64_t value = 0;
      for (const char c : digits.substr(2)) {
        const char lower = static_cast<char>(c | 0x20);
        const int digit = c >= '0' && c <= '9'           ? c - '0'
                          : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10
                                                         : -1;
        if (digit < 0 || value > INT64_MAX / 16 - 1)
          return wrong("bad number '" + std::string(digits) + "'");
        value = value * 16 + digit;
      }
      return cel_literal(value);
    }
    const auto value = parse_int(digits);
    if (!value) return wrong("bad number '" + std::string(digits) + "'");
    return cel_literal(*value);
  }

  Result<Ref> string() {
    const bool is_raw = text_[at_] == 'r' || text_[at_] == 'R';
    if (is_raw) ++at_;
    const char quote = text_[at_++];
    std::string made;
    while (at_ < text_.size() && text_[at_] != quote) {
      char c = text_[at_++];
      if (c == '\\' && !is_raw) {
        if (at_ >= text_.size()) break;
        c = text_[at_++];
        switch (c) {
          case 'n': c = '\n'; break;
          case 't': c = '\t'; break;
          case 'r': c = '\r'; break;
          case '\\':
          case '"':
          case '\'':
          case '`':
          case '?': break;
          default: return wrong(std::string("escape '\\") + c + "' is not supported");
        }
      }
      made += c;
    }
    if (at_ >= text_.size()) return wrong("a text without end");
    ++at_;
    return cel_literal(Json(made));
  }

  static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  }
  std::string word() {
    skip_space();
    const std::size_t start = at_;
    while (at_ < text_.size() && is_word(text_[at_])) ++at_;
    if (start < at_ && text_[start] >= '0' && text_[start] <= '9') at_ = start;
    return std::string(text_.substr(start, at_ - start));
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int nodes_ = 0;
  std::vector<std::string> variables_;
};

template <typename Constant>
Result<CelNodeRef> constant(const Constant& from) {
  switch (from.constant_kind_case()) {
    case Constant::kBoolValue: return cel_literal(from.bool_value());
    case Constant::kInt64Value: return cel_literal(from.int64_value());
    case Constant::kUint64Value: return cel_literal(from.uint64_value());
    case Constant::kDoubleValue: return cel_literal(from.double_value());
    case Constant::kStringValue: return cel_literal(Json(from.string_value()));
    case Constant::kNullValue: return cel_literal(nullptr);
    default: return wrong("a constant of a kind that is not supported");
  }
}

// Both packages of the API have the same tree.
template <typename Expr>
Result<CelNodeRef> convert(const Expr& from, int depth, int& nodes) {
  if (depth > kMostCelDepth || ++nodes > kMostCelNodes) return wrong("the expression is too big");
  switch (from.expr_kind_case()) {
    case Expr::kConstExpr: return constant(from.const_expr());
    case Expr::kIdentExpr:
      if (!is_attribute_root(from.ident_expr().name()))
        return wrong("'" + from.ident_expr().name() + "' names no attribute");
      return cel_name(from.ident_expr().name(), {});
    case Expr::kSelectExpr: {
      auto made = cel_select(TRY(convert(from.select_expr().operand(), depth + 1, nodes)),
                             from.select_expr().field());
      return from.select_expr().test_only() ? cel_has(made) : Result<CelNodeRef>(std::move(made));
    }
    case Expr::kCallExpr: {
      std::vector<CelNodeRef> args;
      if (from.call_expr().has_target())
        args.push_back(TRY(convert(from.call_expr().target(), depth + 1, nodes)));
      for (const auto& arg : from.call_expr().args())
        args.push_back(TRY(convert(arg, depth + 1, nodes)));
      return cel_call(from.call_expr().function(), std::move(args));
    }
    case Expr::kListExpr: {
      auto made = std::make_shared<CelNode>();
      made->kind = CelNode::Kind::kList;
      for (const auto& one : from.list_expr().elements())
        made->args.push_back(TRY(convert(one, depth + 1, nodes)));
      return CelNodeRef(std::move(made));
    }
    default: return wrong("expressions with structs or comprehensions are not supported");
  }
}

}  // namespace

Result<CelExpression> CelExpression::parse(std::string_view text) {
  return CelExpression(TRY(Parser(text).parse()));
}
Result<CelExpression> CelExpression::compile(const google::api::expr::v1alpha1::Expr& config) {
  int nodes = 0;
  return CelExpression(TRY(convert(config, 0, nodes)));
}
Result<CelExpression> CelExpression::compile(const cel::expr::Expr& config) {
  int nodes = 0;
  return CelExpression(TRY(convert(config, 0, nodes)));
}

std::optional<Json> CelExpression::evaluate(const StreamInfo& info,
                                            const http::Request* request) const {
  CelScope scope{info, request, {}};
  return root_->evaluate(scope);
}

bool CelExpression::matches(const StreamInfo& info, const http::Request* request) const {
  const auto value = evaluate(info, request);
  const bool* flag = value ? value->if_bool() : nullptr;
  return flag != nullptr && *flag;
}

}  // namespace lateen::proxy
