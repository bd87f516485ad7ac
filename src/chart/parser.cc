// Recursive descent over the tokens: blocks of nodes, pipelines of commands, chains of fields.
#include <charconv>

#include "base/strings.h"
#include "chart/lexer.h"

namespace lateen::chart {
namespace {

constexpr int kMostNesting = 100;

using Kind = Token::Kind;

// How a block ended: by {{end}} or by an {{else …}} whose rest is still to be read.
enum class Ending : unsigned char { kEnd, kElse, kFile };

class Parser {
 public:
  Parser(const std::string& file, std::string_view source, std::vector<Token> tokens,
         const std::function<bool(std::string_view)>& has_function)
      : file_(file), source_(source), tokens_(std::move(tokens)), has_function_(has_function) {}

  Result<std::vector<TemplatePtr>> run() {
    auto main = std::make_shared<Template>(Template{file_, file_, {}});
    const Ending ending = TRY(block(main->body, 0));
    if (ending != Ending::kFile) {
      return error(ending == Ending::kEnd ? "unexpected {{end}}: no block is open"
                                          : "unexpected {{else}}: no if, with or range is open");
    }
    defined_.insert(defined_.begin(), std::move(main));
    return std::move(defined_);
  }

 private:
  const Token& peek(std::size_t ahead = 0) const {
    return tokens_[std::min(next_ + ahead, tokens_.size() - 1)];
  }
  const Token& take() { return next_ + 1 < tokens_.size() ? tokens_[next_++] : tokens_.back(); }
  bool is_word(std::string_view word) const {
    return peek().kind == Kind::kWord && peek().text == word;
  }
  Error error(std::string message) const {
    return syntax_error(file_, peek().at, std::move(message));
  }

  Result<> close(std::string_view what) {
    if (peek().kind != Kind::kClose) {
      return error("unexpected \"" + peek().text + "\" in " + std::string(what) +
                   ": }} expected here");
    }
    take();
    return {};
  }

  Result<Ending> block(std::vector<Node>& into, int depth) {
    if (depth > kMostNesting)
      return error("blocks are nested more than " + std::to_string(kMostNesting) + " deep");
    for (;;) {
      const Token& token = take();
      if (token.kind == Kind::kEnd) return Ending::kFile;
      if (token.kind == Kind::kText) {
        into.push_back({Node::Kind::kText, token.at, token.text});
        continue;
      }
      if (is_word("end")) {
        take();
        TRY(close("end"));
        return Ending::kEnd;
      }
      if (is_word("else")) {
        take();
        return Ending::kElse;
      }
      TRY(action(into, depth));
    }
  }

  Result<> action(std::vector<Node>& into, int depth) {
    const Position at = peek().at;
    if (is_word("if") || is_word("with") || is_word("range")) {
      into.push_back(TRY(control(depth)));
      return {};
    }
    if (is_word("define")) return define(depth);
    if (is_word("block")) return named_block(into, depth);
    if (is_word("template")) {
      take();
      Node node{Node::Kind::kTemplate, at, TRY(template_name("template"))};
      if (peek().kind != Kind::kClose) {
        node.pipeline = TRY(pipeline(0));
        node.has_pipeline = true;
      }
      TRY(close("template"));
      into.push_back(std::move(node));
      return {};
    }
    if ((is_word("break") || is_word("continue")) && peek(1).kind == Kind::kClose) {
      if (ranges_ == 0) return error("{{" + peek().text + "}} outside {{range}}");
      into.push_back({take().text == "break" ? Node::Kind::kBreak : Node::Kind::kContinue, at, ""});
      return close("break or continue");
    }
    if (peek().kind == Kind::kClose) return error("missing value for command: {{}} is empty");
    Node node{Node::Kind::kAction, at, ""};
    node.pipeline = TRY(pipeline(0));
    TRY(close("action"));
    into.push_back(std::move(node));
    return {};
  }

  // From behind "{{": if, with or range up to its {{end}}.
  Result<Node> control(int depth) {
    const Token& word = take();
    const std::string name = word.text;
    Node node{name == "if"     ? Node::Kind::kIf
              : name == "with" ? Node::Kind::kWith
                               : Node::Kind::kRange,
              word.at, ""};
    const std::size_t variables = variables_.size();
    node.pipeline = TRY(pipeline(0, name == "range"));
    TRY(close(name));
    ranges_ += name == "range";
    const Ending ending = TRY(block(node.body, depth + 1));
    ranges_ -= name == "range";
    if (ending == Ending::kElse) TRY(rest_of_else(node, name, depth));
    else if (ending == Ending::kFile) return unclosed(node.at, name);
    variables_.resize(variables);
    return node;
  }

  Result<> rest_of_else(Node& node, const std::string& name, int depth) {
    if ((is_word("if") && name == "if") || (is_word("with") && name == "with")) {
      if (depth >= kMostNesting) return error("too many else-if branches");
      // {{else if}} nests without an {{end}} of its own: the inner one closes both.
      node.otherwise.push_back(TRY(control(depth + 1)));
      return {};
    }
    TRY(close("else"));
    const Ending ending = TRY(block(node.otherwise, depth + 1));
    if (ending == Ending::kElse) return error("expected end; found a second {{else}}");
    if (ending == Ending::kFile) return unclosed(node.at, name);
    return {};
  }

  Error unclosed(Position at, const std::string& what) const {
    return syntax_error(file_, at,
                        "unexpected EOF: the {{" + what + "}} that starts here has no {{end}}");
  }

  Result<std::string> template_name(std::string_view what) {
    if (peek().kind != Kind::kString)
      return error("the name after " + std::string(what) + " must be a quoted string");
    return take().text;
  }

  Result<> define(int depth) {
    const Position at = take().at;
    if (depth > 0)
      return syntax_error(file_, at,
                          "{{define}} inside another block: move it to the top of the file");
    auto made = std::make_shared<Template>(Template{TRY(template_name("define")), file_, {}});
    TRY(close("define"));
    return body_of(std::move(made), at, "define", depth);
  }

  Result<> named_block(std::vector<Node>& into, int depth) {
    const Position at = take().at;
    Node node{Node::Kind::kTemplate, at, TRY(template_name("block"))};
    node.pipeline = TRY(pipeline(0));
    node.has_pipeline = true;
    TRY(close("block"));
    auto made = std::make_shared<Template>(Template{node.text, file_, {}});
    into.push_back(std::move(node));
    return body_of(std::move(made), at, "block", depth);
  }

  Result<> body_of(std::shared_ptr<Template> made, Position at, const std::string& what,
                   int depth) {
    std::vector<std::string> outer = std::exchange(variables_, {"$"});
    const int ranges = std::exchange(ranges_, 0);
    const Ending ending = TRY(block(made->body, depth + 1));
    variables_ = std::move(outer);
    ranges_ = ranges;
    if (ending == Ending::kFile) return unclosed(at, what);
    if (ending == Ending::kElse) return error("unexpected {{else}} in " + what);
    defined_.push_back(std::move(made));
    return {};
  }

  Result<Pipeline> pipeline(int depth, bool is_range = false) {
    if (depth > kMostNesting) return error("parentheses are nested too deep");
    Pipeline made;
    made.at = peek().at;
    made.is_range = is_range;
    const std::size_t begin = peek().offset;
    TRY(declaration(made, is_range));
    for (;;) {
      made.commands.push_back(TRY(command(depth)));
      if (peek().kind != Kind::kPipe) break;
      take();
    }
    made.source = trim(source_.substr(begin, peek().offset - begin));
    for (std::size_t i = 1; i < made.commands.size(); ++i) {
      const auto kind = made.commands[i].words[0].kind;
      if (kind == Expression::Kind::kConstant || kind == Expression::Kind::kNil ||
          kind == Expression::Kind::kDot) {
        return syntax_error(file_, made.commands[i].words[0].at,
                            "non executable command in pipeline stage " + std::to_string(i + 1) +
                                ": a function must stand after |");
      }
    }
    if (made.is_declaration) {
      for (const auto& name : made.variables) variables_.push_back(name);
    }
    return made;
  }

  // "$x :=", "$x =" or "$i, $x :=" before the first command.
  Result<> declaration(Pipeline& made, bool is_range) {
    if (peek().kind != Kind::kVariable) return {};
    const bool has_two =
        is_range && peek(1).kind == Kind::kComma && peek(2).kind == Kind::kVariable;
    const Kind sign = peek(has_two ? 3 : 1).kind;
    if (sign != Kind::kDeclare && sign != Kind::kAssign) return {};
    made.is_declaration = sign == Kind::kDeclare;
    made.variables.push_back(take().text);
    if (has_two) {
      take();
      made.variables.push_back(take().text);
    }
    take();
    if (made.is_declaration) return {};
    for (const auto& name : made.variables) {
      if (!is_declared(name))
        return error("undefined variable \"" + name + "\": declare it with :=");
    }
    return {};
  }

  bool is_declared(std::string_view name) const {
    return std::find(variables_.begin(), variables_.end(), name) != variables_.end();
  }

  Result<Command> command(int depth) {
    Command made;
    while (peek().kind != Kind::kPipe && peek().kind != Kind::kClose &&
           peek().kind != Kind::kRight) {
      if (peek().kind == Kind::kEnd)
        return error("unexpected end of the template inside an action");
      made.words.push_back(TRY(operand(depth)));
    }
    if (made.words.empty()) return error("missing value for command");
    const auto kind = made.words[0].kind;
    if (made.words.size() > 1 &&
        (kind == Expression::Kind::kConstant || kind == Expression::Kind::kNil)) {
      return syntax_error(file_, made.words[0].at,
                          "can't give argument to a constant: only functions take arguments");
    }
    return made;
  }

  Result<Expression> operand(int depth) {
    const Token token = take();
    Expression made{Expression::Kind::kConstant, token.at, {}, token.text, {}, nullptr};
    switch (token.kind) {
      case Kind::kString: made.constant = token.text; break;
      case Kind::kCharacter: made.constant = token.number; break;
      case Kind::kNumber: made.constant = TRY(number(token)); break;
      case Kind::kDot: made.kind = Expression::Kind::kDot; break;
      case Kind::kField:
        made.kind = Expression::Kind::kField;
        made.names.push_back(token.text);
        break;
      case Kind::kVariable:
        made.kind = Expression::Kind::kVariable;
        if (!is_declared(token.text)) {
          return syntax_error(file_, token.at,
                              "undefined variable \"" + token.text +
                                  "\": declare it with := in this block or one around it");
        }
        break;
      case Kind::kWord: TRY(word(made, token)); break;
      case Kind::kLeft:
        made.kind = Expression::Kind::kChain;
        made.inner = std::make_unique<Pipeline>(TRY(pipeline(depth + 1)));
        if (peek().kind != Kind::kRight) return error("unclosed left paren: ) expected here");
        take();
        break;
      default: return syntax_error(file_, token.at, "unexpected \"" + token.text + "\" in operand");
    }
    while (peek().kind == Kind::kField && !peek().is_after_space) {
      if (made.kind == Expression::Kind::kConstant || made.kind == Expression::Kind::kNil) {
        return error("unexpected . after a constant");
      }
      if (made.kind == Expression::Kind::kFunction || made.kind == Expression::Kind::kDot) {
        return error("unexpected <." + peek().text + ">: put the call in parentheses first");
      }
      made.names.push_back(take().text);
    }
    return made;
  }

  Result<> word(Expression& made, const Token& token) {
    if (token.text == "true" || token.text == "false") made.constant = token.text == "true";
    else if (token.text == "nil") made.kind = Expression::Kind::kNil;
    else if (has_function_(token.text)) made.kind = Expression::Kind::kFunction;
    else
      return syntax_error(file_, token.at,
                          "function \"" + token.text +
                              "\" not defined: check its spelling, or quote it if it is text");
    return {};
  }

  Result<Value> number(const Token& token) {
    std::string digits;
    for (const char c : token.text) {
      if (c != '_') digits += c;
    }
    std::string_view body = digits;
    const bool is_negative = body.starts_with('-');
    if (is_negative || body.starts_with('+')) body.remove_prefix(1);
    int base = 10;
    if (body.size() > 1 && body[0] == '0') {
      const char mark = static_cast<char>(std::tolower(static_cast<unsigned char>(body[1])));
      base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 8;
      if (mark == '.' || body.find_first_of(".eE") != std::string_view::npos)
        base = base == 16 ? 16 : 10;
      else body.remove_prefix(mark == 'x' || mark == 'o' || mark == 'b' ? 2 : 1);
    }
    std::int64_t whole = 0;
    const auto [end, failed] = std::from_chars(body.data(), body.data() + body.size(), whole, base);
    if (failed == std::errc() && end == body.data() + body.size())
      return Value(is_negative ? -whole : whole);
    if (const auto real = parse_double(digits)) return Value(*real);
    return syntax_error(file_, token.at, "bad number syntax: \"" + token.text + "\"");
  }

  const std::string& file_;
  std::string_view source_;
  std::vector<Token> tokens_;
  const std::function<bool(std::string_view)>& has_function_;
  std::size_t next_ = 0;
  std::vector<std::string> variables_{"$"};
  int ranges_ = 0;
  std::vector<TemplatePtr> defined_;
};

}  // namespace

Result<std::vector<TemplatePtr>> parse_template(
    const std::string& file, std::string_view source,
    const std::function<bool(std::string_view)>& has_function) {
  std::vector<Token> tokens = TRY(cut_tokens(file, source));
  return Parser(file, source, std::move(tokens), has_function).run();
}

}  // namespace lateen::chart
