// See lexer.h.
#include "cluster/cel/lexer.h"

#include <fmt/format.h>

#include <cctype>
#include <optional>

namespace lateen::cluster::cel {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool is_hex(char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; }

void append_utf8(std::string& out, std::uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (code >> 18));
    out += static_cast<char>(0x80 | ((code >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  Result<std::vector<Token>> all() {
    std::vector<Token> tokens;
    while (true) {
      skip_blanks();
      Token token;
      token.offset = at_;
      if (at_ >= source_.size()) {
        tokens.push_back(std::move(token));
        return tokens;
      }
      TRY(read(token));
      tokens.push_back(std::move(token));
    }
  }

 private:
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
  }
  Error fault(std::string_view what) const {
    return invalid(fmt::format("<input>:1:{}: Syntax error: {}", at_ + 1, what));
  }
  void skip_blanks() {
    while (at_ < source_.size()) {
      if (std::isspace(static_cast<unsigned char>(peek())) != 0) {
        ++at_;
      } else if (peek() == '/' && peek(1) == '/') {
        while (at_ < source_.size() && peek() != '\n') ++at_;
      } else {
        return;
      }
    }
  }

  Result<> read(Token& token) {
    const char c = peek();
    if (is_digit(c) || (c == '.' && is_digit(peek(1)))) {
      number(token);
      return {};
    }
    if (c == '"' || c == '\'') return string(token, false, false);
    if (is_letter(c)) {
      std::size_t length = 1;
      while (is_letter(peek(length)) || is_digit(peek(length))) ++length;
      const std::string_view word = source_.substr(at_, length);
      const char quote = peek(length);
      if (length <= 2 && (quote == '"' || quote == '\'')) {
        const bool is_raw = word.find_first_of("rR") != std::string_view::npos;
        const bool is_bytes = word.find_first_of("bB") != std::string_view::npos;
        if (length == static_cast<std::size_t>(is_raw) + static_cast<std::size_t>(is_bytes)) {
          at_ += length;
          return string(token, is_raw, is_bytes);
        }
      }
      token.kind = Token::Kind::kIdent;
      token.text = word;
      at_ += length;
      return {};
    }
    token.kind = Token::Kind::kSymbol;
    for (std::string_view two : {"==", "!=", "<=", ">=", "&&", "||"}) {
      if (source_.substr(at_, 2) != two) continue;
      token.text = two;
      at_ += 2;
      return {};
    }
    if (std::string_view("+-*/%<>!?:.,()[]{}").find(c) == std::string_view::npos)
      return fault(fmt::format("token recognition error at: '{}'", c));
    token.text = c;
    ++at_;
    return {};
  }

  void number(Token& token) {
    if (peek() == '0' && (peek(1) == 'x' || peek(1) == 'X') && is_hex(peek(2))) {
      at_ += 2;
      token.kind = Token::Kind::kHex;
      while (is_hex(peek())) token.text += source_[at_++];
      return;
    }
    token.kind = Token::Kind::kInt;
    while (is_digit(peek())) token.text += source_[at_++];
    if (peek() == '.' && is_digit(peek(1))) {
      token.kind = Token::Kind::kDouble;
      token.text += source_[at_++];
      while (is_digit(peek())) token.text += source_[at_++];
    }
    const bool has_sign = peek(1) == '+' || peek(1) == '-';
    if ((peek() == 'e' || peek() == 'E') && is_digit(peek(has_sign ? 2 : 1))) {
      token.kind = Token::Kind::kDouble;
      token.text += source_[at_++];
      if (has_sign) token.text += source_[at_++];
      while (is_digit(peek())) token.text += source_[at_++];
    }
    if (token.text.starts_with('.')) token.text.insert(0, "0");
    if (token.kind == Token::Kind::kInt && (peek() == 'u' || peek() == 'U')) {
      token.kind = Token::Kind::kUint;
      ++at_;
    }
  }

  Result<> string(Token& token, bool is_raw, bool is_bytes) {
    token.kind = is_bytes ? Token::Kind::kBytes : Token::Kind::kString;
    const char quote = peek();
    const bool is_triple = peek(1) == quote && peek(2) == quote;
    at_ += is_triple ? 3 : 1;
    while (true) {
      if (at_ >= source_.size()) return fault("a string without an end");
      if (peek() == quote && (!is_triple || (peek(1) == quote && peek(2) == quote))) {
        at_ += is_triple ? 3 : 1;
        return {};
      }
      if (!is_triple && peek() == '\n') return fault("a line break in a string");
      if (peek() != '\\' || is_raw) {
        token.text += source_[at_++];
        continue;
      }
      ++at_;
      TRY(escape(token.text, is_bytes));
    }
  }

  Result<> escape(std::string& out, bool is_bytes) {
    const char c = peek();
    constexpr std::pair<char, char> kSimple[] = {
        {'a', '\a'}, {'b', '\b'},  {'f', '\f'}, {'n', '\n'}, {'r', '\r'},  {'t', '\t'},
        {'v', '\v'}, {'\\', '\\'}, {'?', '?'},  {'"', '"'},  {'\'', '\''}, {'`', '`'}};
    for (const auto& [mark, stands_for] : kSimple) {
      if (c != mark) continue;
      out += stands_for;
      ++at_;
      return {};
    }
    std::size_t digits = c == 'x' || c == 'X' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    const bool is_octal = digits == 0 && c >= '0' && c <= '3';
    if (is_octal) digits = 3;
    if (digits == 0) return fault("an unknown escape in a string");
    if (!is_octal) ++at_;
    std::uint32_t code = 0;
    for (std::size_t i = 0; i < digits; ++i, ++at_) {
      if (!is_hex(peek()) || (is_octal && (peek() < '0' || peek() > '7')))
        return fault("a bad escape in a string");
      const char digit = static_cast<char>(std::tolower(static_cast<unsigned char>(peek())));
      code = code * (is_octal ? 8 : 16) +
             static_cast<std::uint32_t>(is_digit(digit) ? digit - '0' : digit - 'a' + 10);
    }
    if (is_bytes && digits <= 3) {
      out += static_cast<char>(code);
    } else if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
      return fault("an escape that is no character");
    } else {
      append_utf8(out, code);
    }
    return {};
  }

  std::string_view source_;
  std::size_t at_ = 0;
};

}  // namespace

Result<std::vector<Token>> tokenize(std::string_view source) { return Lexer(source).all(); }

}  // namespace lateen::cluster::cel
