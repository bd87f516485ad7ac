// The template is walked once when compiled, and once a document.

#include "proxy/stream/json_format.h"

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
    for (const auto& [name, value] : *object)
      made.fields.emplace_back(std::string(name), TRY(compile_node(value, is_omitting_empty)));
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

data::Json JsonFormat::render(const Node& node, const StreamInfo& info) const {
  if (node.format) return node.format->format_json(info);
  if (node.constant) return *node.constant;
  if (node.is_list) {
    data::JsonArray array;
    for (const auto& item : node.items) array.push_back(render(item, info));
    return array;
  }
  data::JsonObject object;
  for (const auto& [name, field] : node.fields) {
    data::Json value = render(field, info);
    if (is_omitting_empty_ && value.is_null()) continue;
    object[name] = std::move(value);
  }
  return object;
}

}  // namespace lateen::proxy
