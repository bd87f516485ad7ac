// The template is walked once when compiled, and once a document.

#include "proxy/stream/json_format.h"

#include <utility>

namespace lateen::proxy {
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
      append_quoted(name, made.fields.back().key);
      made.fields.back().key += ':';
    }
  } else if (const auto* array = from.if_array()) {
    made.is_list = true;
    for (const auto& value : *array)
      made.items.push_back(TRY(compile_node(value, is_omitting_empty)));
  } else if (from.is_string()) {
    made.format = TRY(Formatter::compile(data::as_string(from), is_omitting_empty));
  } else {
    made.constant = data::dump_json(from);
  }
  return made;
}

void JsonFormat::append(const Node& node, const StreamInfo& info, std::string& out) const {
  if (node.format) return node.format->append_json(info, out);
  if (node.constant) {
    out += *node.constant;
    return;
  }
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
    out += field.key;
    const std::size_t begin = out.size();
    append(field, info, out);
    if (is_omitting_empty_ && std::string_view(out).substr(begin) == "null") out.resize(before);
    else is_first = false;
  }
  out += '}';
}

}  // namespace lateen::proxy
