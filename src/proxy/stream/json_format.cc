// The template is walked once when compiled, and once a document.

#include "proxy/stream/json_format.h"

#include <charconv>
#include <iterator>

namespace lateen::proxy {
namespace {

void append_quoted(std::string_view text, std::string& out) {
  out += '"';
  std::size_t copied = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, copied, i - copied);
    copied = i + 1;
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
        out += "0123456789abcdef"[c >> 4];
        out += "0123456789abcdef"[c & 15];
    }
  }
  out.append(text, copied);
  out += '"';
}

void append_json(const data::Json& value, std::string& out) {
  if (value.is_null()) {
    out += "null";
  } else if (const auto* text = value.if_string()) {
    append_quoted(*text, out);
  } else if (const auto* number = value.if_int64()) {
    char digits[24];
    out.append(digits, std::to_chars(digits, std::end(digits), *number).ptr);
  } else {
    out += data::dump_json(value);
  }
}

}  // namespace

Result<JsonFormat> JsonFormat::compile(const data::Json& from, bool is_omitting_empty) {
  JsonFormat made;
  made.is_omitting_empty_ = is_omitting_empty;
  made.root_ = TRY(compile_node(from, is_omitting_empty));
  return made;
}

Result<JsonFormat::Node> JsonFormat::compile_node(const data::Json& from, bool is_omitting_empty) {
  Node made;
  if (const auto* object = from.if_object()) {
    for (const auto& [name, value] : *object) {
      made.fields.push_back(TRY(compile_node(value, is_omitting_empty)));
      made.fields.back().name = name;
    }
  } else if (const auto* array = from.if_array()) {
    made.is_list = true;
    for (const auto& value : *array)
      made.items.push_back(TRY(compile_node(value, is_omitting_empty)));
  } else if (from.is_string()) {
    made.format = TRY(Formatter::compile(data::as_string(from), is_omitting_empty));
  } else {
    made.constant = from;
  }
  return made;
}

void JsonFormat::append(const Node& node, const StreamInfo& info, std::string& out) const {
  if (node.format) return append_json(node.format->format_json(info), out);
  if (node.constant) return append_json(*node.constant, out);
  bool is_first = true;
  if (node.is_list) {
    out += '[';
    for (const auto& item : node.items) {
      if (!std::exchange(is_first, false)) out += ',';
      append(item, info, out);
    }
    out += ']';
    return;
  }
  out += '{';
  for (const auto& field : node.fields) {
    const std::size_t before = out.size();
    if (!is_first) out += ',';
    append_quoted(field.name, out);
    out += ':';
    const std::size_t begin = out.size();
    append(field, info, out);
    if (is_omitting_empty_ && std::string_view(out).substr(begin) == "null") out.resize(before);
    else is_first = false;
  }
  out += '}';
}

}  // namespace lateen::proxy
