// A JSON document whose texts are format strings, as access logs and bodies of answers have it.
// Immutable, thread-safe.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/stream/formatter.h"

namespace lateen::proxy {

class JsonFormat {
 public:
  static Result<JsonFormat> compile(const data::Json& from, bool is_omitting_empty);
  data::Json render(const StreamInfo& info) const { return render(root_, info); }

 private:
  struct Node {
    std::optional<Formatter> format;
    std::vector<std::pair<std::string, Node>> fields;  // an object when `format` is none
    std::vector<Node> items;
    bool is_list = false;
    std::optional<data::Json> constant;
  };
  static Result<Node> compile_node(const data::Json& from, bool is_omitting_empty);
  data::Json render(const Node& node, const StreamInfo& info) const;

  Node root_;
  bool is_omitting_empty_ = false;
};

}  // namespace lateen::proxy
