// Values as text and as JSON.

#include "proxy/stream/field_value.h"

#include <charconv>
#include <cstring>
#include <iterator>

#include "base/eight_bytes.h"

namespace lateen::proxy {
namespace {

// How many bytes from `at` on stand in a JSON string as they are.
std::size_t plain_bytes(std::string_view text, std::size_t at) {
  const std::size_t begin = at;
  for (; text.size() - at >= 8; at += 8) {
    std::uint64_t word;
    std::memcpy(&word, text.data() + at, 8);
    if (has_byte_below(word, 0x20) || has_byte(word, '"') || has_byte(word, '\\')) break;
  }
  for (; at < text.size(); ++at) {
    const auto c = static_cast<unsigned char>(text[at]);
    if (c < 0x20 || c == '"' || c == '\\') break;
  }
  return at - begin;
}

void append_escaped(unsigned char c, std::string& out) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '\\';
  switch (c) {
    case '"':
    case '\\': out += static_cast<char>(c); break;
    case '\b': out += 'b'; break;
    case '\f': out += 'f'; break;
    case '\n': out += 'n'; break;
    case '\r': out += 'r'; break;
    case '\t': out += 't'; break;
    default:
      out += "u00";
      out += kHex[c >> 4];
      out += kHex[c & 15];
  }
}

template <typename Number>
void append_number(Number number, std::string& out) {
  char digits[24];
  out.append(digits, std::to_chars(digits, std::end(digits), number).ptr);
}

}  // namespace

void append_quoted(std::string_view text, std::string& out) {
  out += '"';
  for (std::size_t at = 0;;) {
    const std::size_t plain = plain_bytes(text, at);
    out.append(text, at, plain);
    at += plain;
    if (at == text.size()) break;
    append_escaped(static_cast<unsigned char>(text[at++]), out);
  }
  out += '"';
}

FieldValue::FieldValue(data::Json&& tree) {
  if (!tree.is_null()) value_ = std::move(tree);
}

FieldValue FieldValue::unless_empty(std::string_view borrowed) {
  return borrowed.empty() ? FieldValue(nullptr) : FieldValue(borrowed);
}
FieldValue FieldValue::unless_empty(std::string&& owned) {
  return owned.empty() ? FieldValue(nullptr) : FieldValue(std::move(owned));
}

// The value when it is text; `room` holds the view.
const std::string_view* FieldValue::text(std::string_view& room) const {
  if (const auto* borrowed = std::get_if<std::string_view>(&value_)) return borrowed;
  if (const auto* owned = std::get_if<std::string>(&value_)) room = *owned;
  else if (const auto* tree = std::get_if<data::Json>(&value_); tree && tree->is_string())
    room = std::string_view(*tree->if_string());
  else return nullptr;
  return &room;
}

void FieldValue::append_text(std::string& out, std::size_t most_bytes) const {
  const std::size_t before = out.size();
  std::string_view room;
  if (const auto* plain = text(room)) out += *plain;
  else append_json(out, 0);
  if (most_bytes != 0 && out.size() - before > most_bytes) out.resize(before + most_bytes);
}

void FieldValue::append_json(std::string& out, std::size_t most_bytes) const {
  std::string_view room;
  if (const auto* plain = text(room))
    return append_quoted(most_bytes == 0 ? *plain : plain->substr(0, most_bytes), out);
  if (const auto* number = std::get_if<std::int64_t>(&value_)) return append_number(*number, out);
  if (const auto* number = std::get_if<std::uint64_t>(&value_)) return append_number(*number, out);
  if (const auto* tree = std::get_if<data::Json>(&value_)) out += data::dump_json(*tree);
  else out += "null";
}

}  // namespace lateen::proxy
