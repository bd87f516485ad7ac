// Format strings with %COMMAND(…)%, as access logs, header values and custom tags use them.
// Immutable, thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "proxy/stream/field_value.h"

namespace lateen::proxy {

class StreamInfo;

// Reads one command of a stream. The value may borrow from the stream and from the command.
using ReadCommand = std::function<FieldValue(const StreamInfo&)>;

class Formatter {
 public:
  // The error names the command that is unknown or malformed.
  static Result<Formatter> compile(std::string_view format, bool is_omitting_empty = false);
  std::string format(const StreamInfo& info) const;
  void append(const StreamInfo& info, std::string& out) const;
  // The value as JSON: a lone numeric command gives a number, a missing value null.
  void append_json(const StreamInfo& info, std::string& out) const;
  bool is_literal() const;

 private:
  struct Part {
    std::string literal;  // when `read` is empty
    ReadCommand read;
    std::size_t most_bytes = 0;  // 0: no bound
  };
  std::vector<Part> parts_;
  bool is_omitting_empty_ = false;
};

// One command without the percent signs: name, text in parentheses, length after ':'.
Result<ReadCommand> compile_command(std::string_view name, std::string_view argument,
                                    bool has_argument);
// Commands on metadata, TLS and the upstream; null when `name` is none of them.
ReadCommand compile_upstream_command(std::string_view name, std::string_view argument);

}  // namespace lateen::proxy
