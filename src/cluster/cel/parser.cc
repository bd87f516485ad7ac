// Recursive descent over CEL's grammar (cel-spec, langdef.md).
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/strings.h"
#include "cluster/cel/expr.h"
#include "cluster/cel/lexer.h"

namespace lateen::cluster::cel {
namespace {

constexpr int kMostDepth = 100;
constexpr std::size_t kMostBytes = 100'000;

using Kind = Expr::Kind;

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  Result<ExprPtr> whole() {
    ExprPtr made = TRY(expression());
    if (next().kind != Token::Kind::kEnd) return unexpected();
    return made;
  }

 private:
  const Token& next() const { return tokens_[at_]; }
  bool is_symbol(std::string_view text) const {
    return next().kind == Token::Kind::kSymbol && next().text == text;
  }
  bool take(std::string_view text) {
    if (!is_symbol(text)) return false;
    ++at_;
    return true;
  }
  Error unexpected() const {
    return invalid(fmt::format("<input>:1:{}: Syntax error: unexpected {}", next().offset + 1,
                               next().kind == Token::Kind::kEnd
                                   ? std::string("end of the expression")
                                   : fmt::format("'{}'", next().text)));
  }
  Result<> expect(std::string_view text) {
    if (!take(text)) return unexpected();
    return {};
  }
  ExprPtr node(Kind kind) const {
    auto made = std::make_unique<Expr>();
    made->kind = kind;
    made->offset = next().offset;
    return made;
  }
  static ExprPtr pair(ExprPtr made, ExprPtr left, ExprPtr right) {
    made->args.push_back(std::move(left));
    made->args.push_back(std::move(right));
    return made;
  }

  Result<ExprPtr> expression() {
    if (++depth_ > kMostDepth) return invalid("Syntax error: the expression is nested too deep");
    ExprPtr condition = TRY(binary(0));
    if (is_symbol("?")) {
      ExprPtr made = node(Kind::kConditional);
      ++at_;
      ExprPtr then = TRY(binary(0));
      TRY(expect(":"));
      ExprPtr otherwise = TRY(expression());
      made->args.push_back(std::move(condition));
      made->args.push_back(std::move(then));
      made->args.push_back(std::move(otherwise));
      condition = std::move(made);
    }
    --depth_;
    return condition;
  }

  // Levels from weakest: || && relations +- */%.
  static bool is_at_level(const Token& token, int level) {
    const auto one_of = [&](std::initializer_list<std::string_view> symbols) {
      return token.kind == Token::Kind::kSymbol &&
             std::find(symbols.begin(), symbols.end(), token.text) != symbols.end();
    };
    switch (level) {
      case 0: return one_of({"||"});
      case 1: return one_of({"&&"});
      case 2:
        return one_of({"==", "!=", "<", "<=", ">", ">="}) ||
               (token.kind == Token::Kind::kIdent && token.text == "in");
      case 3: return one_of({"+", "-"});
      default: return one_of({"*", "/", "%"});
    }
  }

  Result<ExprPtr> binary(int level) {
    if (level > 4) return unary();
    ExprPtr left = TRY(binary(level + 1));
    int count = 0;
    while (is_at_level(next(), level)) {
      // A long chain is a deep tree.
      if (++count > kMostDepth) return invalid("Syntax error: too many operators in a row");
      ExprPtr made = node(level == 0 ? Kind::kOr : level == 1 ? Kind::kAnd : Kind::kBinary);
      made->name = next().text;
      ++at_;
      ExprPtr right = TRY(binary(level + 1));
      left = pair(std::move(made), std::move(left), std::move(right));
    }
    return left;
  }

  Result<ExprPtr> unary() {
    if (!is_symbol("!") && !is_symbol("-")) return member();
    const bool is_not = is_symbol("!");
    ExprPtr made = node(is_not ? Kind::kNot : Kind::kNegate);
    ++at_;
    // The least integer has no positive counterpart: the sign belongs to the literal.
    if (!is_not && next().kind == Token::Kind::kInt) {
      const auto number = parse_int("-" + next().text);
      if (!number) return unexpected();
      made->kind = Kind::kLiteral;
      made->literal = *number;
      ++at_;
      return member_of(std::move(made));
    }
    if (++depth_ > kMostDepth) return invalid("Syntax error: the expression is nested too deep");
    made->args.push_back(TRY(unary()));
    --depth_;
    return made;
  }

  Result<ExprPtr> member() { return member_of(TRY(primary())); }

  Result<ExprPtr> member_of(ExprPtr made) {
    int count = 0;
    while (is_symbol(".") || is_symbol("[")) {
      if (++count > kMostDepth) return invalid("Syntax error: too many selections in a row");
      if (take("[")) {
        ExprPtr index = node(Kind::kIndex);
        index->is_optional = take("?");
        index->target = std::move(made);
        index->args.push_back(TRY(expression()));
        TRY(expect("]"));
        made = std::move(index);
        continue;
      }
      ExprPtr select = node(Kind::kSelect);
      ++at_;
      select->is_optional = take("?");
      if (next().kind != Token::Kind::kIdent) return unexpected();
      select->name = next().text;
      ++at_;
      select->target = std::move(made);
      if (!select->is_optional && is_symbol("(")) {
        made = TRY(call(std::move(select)));
      } else {
        made = std::move(select);
      }
    }
    return made;
  }

  // After a name: its arguments. `made` has name and, for a method, target.
  Result<ExprPtr> call(ExprPtr made) {
    made->kind = Kind::kCall;
    TRY(expect("("));
    while (!is_symbol(")")) {
      made->args.push_back(TRY(expression()));
      if (!take(",") && !is_symbol(")")) return unexpected();
    }
    ++at_;
    return macro(std::move(made));
  }

  static bool is_name(const ExprPtr& expr) {
    return expr->kind == Kind::kIdent && expr->name.find('.') == std::string::npos;
  }

  Result<ExprPtr> macro(ExprPtr made) {
    auto& args = made->args;
    if (made->target == nullptr) {
      if (made->name != "has" || args.size() != 1) return made;
      if (args[0]->kind != Kind::kSelect || args[0]->is_optional)
        return invalid(fmt::format("<input>:1:{}: invalid argument to has() macro", made->offset));
      ExprPtr select = std::move(args[0]);
      select->kind = Kind::kHas;
      return select;
    }
    struct Macro {
      std::string_view name;
      std::size_t args;  // variables included
      std::size_t variables;
      Kind kind;
    };
    constexpr Macro kMacros[] = {
        {"all", 2, 1, Kind::kAll},
        {"all", 3, 2, Kind::kAll},
        {"exists", 2, 1, Kind::kExists},
        {"exists", 3, 2, Kind::kExists},
        {"exists_one", 2, 1, Kind::kExistsOne},
        {"existsOne", 2, 1, Kind::kExistsOne},
        {"existsOne", 3, 2, Kind::kExistsOne},
        {"map", 2, 1, Kind::kMapMacro},
        {"map", 3, 1, Kind::kMapMacro},
        {"filter", 2, 1, Kind::kFilter},
        {"transformList", 3, 2, Kind::kTransformList},
        {"transformList", 4, 2, Kind::kTransformList},
        {"transformMap", 3, 2, Kind::kTransformMap},
        {"transformMap", 4, 2, Kind::kTransformMap},
        {"optMap", 2, 1, Kind::kOptionalMap},
        {"optFlatMap", 2, 1, Kind::kOptionalFlatMap},
    };
    for (const Macro& one : kMacros) {
      if (one.name != made->name || one.args != args.size()) continue;
      if (!is_name(args[0]) || (one.variables == 2 && !is_name(args[1])))
        return invalid(fmt::format("<input>:1:{}: argument must be a simple name", made->offset));
      made->kind = one.kind;
      made->variable = args[0]->name;
      if (one.variables == 2) made->second_variable = args[1]->name;
      args.erase(args.begin(), args.begin() + static_cast<std::ptrdiff_t>(one.variables));
      return made;
    }
    return made;
  }

  Result<ExprPtr> primary() {
    const Token token = next();
    ExprPtr made = node(Kind::kLiteral);
    switch (token.kind) {
      case Token::Kind::kInt: {
        const auto number = parse_int(token.text);
        if (!number) return unexpected();
        made->literal = *number;
        break;
      }
      case Token::Kind::kHex: {
        std::uint64_t bits = 0;
        for (const char c : token.text) {
          if (bits >> 59 != 0) return unexpected();
          bits = bits * 16 + static_cast<std::uint64_t>(
                                 std::isdigit(static_cast<unsigned char>(c)) != 0
                                     ? c - '0'
                                     : std::tolower(static_cast<unsigned char>(c)) - 'a' + 10);
        }
        made->literal = static_cast<std::int64_t>(bits);
        break;
      }
      case Token::Kind::kUint: {
        const auto number = parse_uint(token.text);
        if (!number) return unexpected();
        made->literal = *number;
        break;
      }
      case Token::Kind::kDouble: {
        const auto number = parse_double(token.text);
        if (!number) return unexpected();
        made->literal = *number;
        break;
      }
      case Token::Kind::kString: made->literal = token.text; break;
      case Token::Kind::kBytes: made->literal = Bytes{token.text}; break;
      case Token::Kind::kIdent: return named();
      case Token::Kind::kSymbol: return bracketed();
      case Token::Kind::kEnd: return unexpected();
    }
    ++at_;
    return made;
  }

  Result<ExprPtr> named() {
    ExprPtr made = node(Kind::kIdent);
    const std::string& text = next().text;
    if (text == "true" || text == "false" || text == "null") {
      made->kind = Kind::kLiteral;
      if (text != "null") made->literal = text == "true";
      ++at_;
      return made;
    }
    if (text == "in") return unexpected();
    made->name = text;
    ++at_;
    if (is_symbol("(")) return call(std::move(made));
    return made;
  }

  Result<ExprPtr> bracketed() {
    if (take("(")) {
      ExprPtr inner = TRY(expression());
      TRY(expect(")"));
      return inner;
    }
    if (is_symbol(".")) {  // a name from the root
      ++at_;
      if (next().kind != Token::Kind::kIdent) return unexpected();
      return named();
    }
    const bool is_list = is_symbol("[");
    if (!is_list && !is_symbol("{")) return unexpected();
    ExprPtr made = node(is_list ? Kind::kList : Kind::kMap);
    ++at_;
    const std::string_view close = is_list ? "]" : "}";
    while (!is_symbol(close)) {
      made->optional_args.push_back(take("?"));
      made->args.push_back(TRY(expression()));
      if (!is_list) {
        TRY(expect(":"));
        made->args.push_back(TRY(expression()));
      }
      if (!take(",") && !is_symbol(close)) return unexpected();
    }
    ++at_;
    return made;
  }

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

Result<ExprPtr> parse(std::string_view source) {
  if (source.size() > kMostBytes) return invalid("Syntax error: the expression is too long");
  return Parser(TRY(tokenize(source))).whole();
}

}  // namespace lateen::cluster::cel
