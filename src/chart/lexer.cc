// The lexer: Go's lexical rules for strings, characters, numbers and identifiers inside {{ }}.
#include "chart/lexer.h"

#include <cctype>

#include "base/strings.h"

namespace lateen::chart {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool is_letter(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

void append_point(std::string& out, std::uint32_t point) {
  if (point < 0x80) {
    out += static_cast<char>(point);
    return;
  }
  if (point < 0x800) {
    out += static_cast<char>(0xc0 | point >> 6);
  } else {
    if (point < 0x10000) {
      out += static_cast<char>(0xe0 | point >> 12);
    } else {
      out += static_cast<char>(0xf0 | point >> 18);
      out += static_cast<char>(0x80 | (point >> 12 & 63));
    }
    out += static_cast<char>(0x80 | (point >> 6 & 63));
  }
  out += static_cast<char>(0x80 | (point & 63));
}

class Lexer {
 public:
  Lexer(const std::string& file, std::string_view source) : file_(file), source_(source) {}

  Result<std::vector<Token>> run() {
    while (at_ < source_.size()) {
      if (TRY(text())) TRY(action());
    }
    push(Token::Kind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  Position position() {
    // Positions only move forward, so counting continues where it stopped.
    for (; counted_ < at_; ++counted_) {
      if (source_[counted_] == '\n') {
        ++here_.line;
        here_.column = 1;
      } else ++here_.column;
    }
    return here_;
  }

  Token& push(Token::Kind kind, std::string text) {
    tokens_.push_back({kind, std::move(text), position(), at_, is_after_space_});
    return tokens_.back();
  }

  Error error(std::string message) { return syntax_error(file_, position(), std::move(message)); }

  // Text up to the next "{{", with the white space that trim markers eat removed. True when an
  // action follows; comments are skipped.
  Result<bool> text() {
    const std::size_t open = source_.find("{{", at_);
    std::string_view piece =
        source_.substr(at_, open == std::string_view::npos ? open : open - at_);
    const std::size_t next = at_ + piece.size();
    if (is_trimming_) {
      while (!piece.empty() && is_space(piece.front())) piece.remove_prefix(1);
    }
    is_trimming_ = false;
    const bool is_trimmed_right = open != std::string_view::npos && open + 3 < source_.size() &&
                                  source_[open + 2] == '-' && is_space(source_[open + 3]);
    if (is_trimmed_right) {
      while (!piece.empty() && is_space(piece.back())) piece.remove_suffix(1);
    }
    if (!piece.empty()) push(Token::Kind::kText, std::string(piece));
    at_ = next;
    if (open == std::string_view::npos) return false;
    std::size_t begin = open + 2;
    if (is_trimmed_right) begin += 2;
    if (source_.substr(begin).starts_with("/*")) {
      TRY(comment(begin));
      return false;
    }
    push(Token::Kind::kOpen, "{{");
    at_ = begin;
    return true;
  }

  Result<> comment(std::size_t begin) {
    const std::size_t end = source_.find("*/", begin + 2);
    if (end == std::string_view::npos) return error("unclosed comment: close it with */}}");
    std::size_t close = end + 2;
    std::size_t brace = close;
    while (brace < source_.size() && is_space(source_[brace])) ++brace;
    is_trimming_ = brace > close && source_.substr(brace).starts_with("-}}");
    if (is_trimming_) close = brace + 1;
    if (!source_.substr(close).starts_with("}}")) {
      return error("a comment must end its action: write {{/* … */}}");
    }
    at_ = close + 2;
    return {};
  }

  Result<> action() {
    for (;;) {
      is_after_space_ = at_ < source_.size() && is_space(source_[at_]);
      while (at_ < source_.size() && is_space(source_[at_])) ++at_;
      if (at_ >= source_.size())
        return error("unclosed action: write }} to close the {{ before it");
      const std::string_view rest = source_.substr(at_);
      if (rest.starts_with("-}}") && is_after_space_) {
        push(Token::Kind::kClose, "}}");
        at_ += 3;
        is_trimming_ = true;
        return {};
      }
      if (rest.starts_with("}}")) {
        push(Token::Kind::kClose, "}}");
        at_ += 2;
        return {};
      }
      TRY(token(rest));
    }
  }

  Result<> token(std::string_view rest) {
    const char c = rest[0];
    if (rest.starts_with(":=")) {
      push(Token::Kind::kDeclare, ":=");
      at_ += 2;
      return {};
    }
    static constexpr std::pair<char, Token::Kind> kSingle[] = {{'|', Token::Kind::kPipe},
                                                               {',', Token::Kind::kComma},
                                                               {'=', Token::Kind::kAssign},
                                                               {'(', Token::Kind::kLeft},
                                                               {')', Token::Kind::kRight}};
    for (const auto& [sign, kind] : kSingle) {
      if (c == sign) {
        push(kind, std::string(1, c));
        ++at_;
        return {};
      }
    }
    if (c == '"') return quoted();
    if (c == '`') return raw();
    if (c == '\'') return character();
    const bool is_digit_next = rest.size() > 1 && std::isdigit(static_cast<unsigned char>(rest[1]));
    if (std::isdigit(static_cast<unsigned char>(c)) ||
        ((c == '-' || c == '+' || c == '.') && is_digit_next)) {
      return number();
    }
    if (c == '.') {
      const std::size_t length = word_length(1);
      push(length == 0 ? Token::Kind::kDot : Token::Kind::kField,
           std::string(rest.substr(1, length)));
      at_ += 1 + length;
      return {};
    }
    if (c == '$') {
      const std::size_t length = word_length(1);
      push(Token::Kind::kVariable, std::string(rest.substr(0, 1 + length)));
      at_ += 1 + length;
      return {};
    }
    if (is_letter(c)) {
      const std::size_t length = word_length(0);
      push(Token::Kind::kWord, std::string(rest.substr(0, length)));
      at_ += length;
      return {};
    }
    return error(std::string("unexpected '") + c + "' in action");
  }

  std::size_t word_length(std::size_t from) const {
    std::size_t end = at_ + from;
    while (end < source_.size() && is_letter(source_[end])) ++end;
    return end - at_ - from;
  }

  Result<> raw() {
    const std::size_t end = source_.find('`', at_ + 1);
    if (end == std::string_view::npos) return error("unterminated raw string: a ` is missing");
    push(Token::Kind::kString, std::string(source_.substr(at_ + 1, end - at_ - 1)));
    at_ = end + 1;
    return {};
  }

  Result<> quoted() {
    Token& token = push(Token::Kind::kString, "");
    std::string text;
    for (std::size_t i = at_ + 1; i < source_.size() && source_[i] != '\n';) {
      if (source_[i] == '"') {
        token.text = std::move(text);
        at_ = i + 1;
        return {};
      }
      if (source_[i] == '\\') TRY(escape(i, text));
      else text += source_[i++];
    }
    return error("unterminated quoted string: a \" is missing on this line");
  }

  // Appends what the escape at source_[i] stands for and moves `i` behind it.
  Result<> escape(std::size_t& i, std::string& out) {
    static constexpr std::pair<char, char> kPlain[] = {
        {'n', '\n'}, {'t', '\t'}, {'r', '\r'},  {'a', '\a'}, {'b', '\b'},
        {'f', '\f'}, {'v', '\v'}, {'\\', '\\'}, {'"', '"'},  {'\'', '\''}};
    const char c = i + 1 < source_.size() ? source_[i + 1] : '\0';
    for (const auto& [letter, meaning] : kPlain) {
      if (c == letter) {
        out += meaning;
        i += 2;
        return {};
      }
    }
    const std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits == 0 || i + 2 + digits > source_.size()) {
      return error(std::string("unknown escape \\") + c + " in string");
    }
    std::uint32_t point = 0;
    for (std::size_t k = 0; k < digits; ++k) {
      const auto d = static_cast<unsigned char>(source_[i + 2 + k]);
      if (!std::isxdigit(d)) return error("bad hexadecimal escape in string");
      point = point * 16 +
              static_cast<std::uint32_t>(std::isdigit(d) ? d - '0' : std::tolower(d) - 'a' + 10);
    }
    if (c == 'x') out += static_cast<char>(point);
    else append_point(out, point);
    i += 2 + digits;
    return {};
  }

  Result<> character() {
    Token& token = push(Token::Kind::kCharacter, "");
    std::string text;
    std::size_t i = at_ + 1;
    while (i < source_.size() && source_[i] != '\'' && text.size() < 8) {
      if (source_[i] == '\\') TRY(escape(i, text));
      else text += source_[i++];
    }
    if (i >= source_.size() || source_[i] != '\'' || text.empty())
      return error("malformed character constant");
    const auto lead = static_cast<unsigned char>(text[0]);
    token.number = lead < 0x80   ? lead
                   : lead < 0xe0 ? lead & 31
                   : lead < 0xf0 ? lead & 15
                                 : lead & 7;
    for (std::size_t k = 1; k < text.size(); ++k) {
      token.number = token.number << 6 | (static_cast<unsigned char>(text[k]) & 63);
    }
    at_ = i + 1;
    return {};
  }

  Result<> number() {
    std::size_t end = at_ + 1;
    while (end < source_.size()) {
      const char c = source_[end];
      const char before =
          static_cast<char>(std::tolower(static_cast<unsigned char>(source_[end - 1])));
      const bool is_exponent_sign =
          (c == '+' || c == '-') && before == 'e' && !source_.substr(at_).starts_with("0x");
      if (!is_letter(c) && c != '.' && !is_exponent_sign) break;
      ++end;
    }
    push(Token::Kind::kNumber, std::string(source_.substr(at_, end - at_)));
    at_ = end;
    return {};
  }

  const std::string& file_;
  std::string_view source_;
  std::size_t at_ = 0;
  std::size_t counted_ = 0;
  Position here_;
  bool is_trimming_ = false;
  bool is_after_space_ = false;
  std::vector<Token> tokens_;
};

}  // namespace

Error syntax_error(const std::string& file, Position at, std::string message) {
  return invalid("template: " + file + ":" + std::to_string(at.line) + ":" +
                     std::to_string(at.column) + ": " + message,
                 Blame::kConfig);
}

Result<std::vector<Token>> cut_tokens(const std::string& file, std::string_view source) {
  return Lexer(file, source).run();
}

}  // namespace lateen::chart
