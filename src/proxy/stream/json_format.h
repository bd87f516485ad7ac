// A JSON document whose texts are format strings, as access logs and bodies of answers have it.
// Immutable, thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "proxy/stream/formatter.h"

namespace lateen::proxy {

class JsonFormat {
 public:
  static Result<JsonFormat> compile(const data::Json& from, bool is_omitting_empty);
  // Appends the document as text. In no tree of values first: for each request that would cost
  // three times as much.
  void append(const StreamInfo& info, std::string& out) const { append(root_, info, out); }

 private:
  struct Node {
    std::optional<Formatter> format;
    std::string key;           // in the object that it is a field of, with quotes and colon
    std::vector<Node> fields;  // an object when `format` is none
    std::vector<Node> items;
    bool is_list = false;
    std::optional<std::string> constant;  // its text
  };
  static Result<Node> compile_node(const data::Json& from, bool is_omitting_empty);
  void append(const Node& node, const StreamInfo& info, std::string& out) const;

  Node root_;
  bool is_omitting_empty_ = false;
};

}  // namespace lateen::proxy
