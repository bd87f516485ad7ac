// What one command of a format string gives: nothing, text, a number or a tree. Text is borrowed
// from the stream where it can be: a line of an access log has twenty of these for each request.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "data/json.h"

namespace lateen::proxy {

class FieldValue {
 public:
  FieldValue(std::nullptr_t) {}                                // NOLINT: implicit by design
  FieldValue(std::string_view borrowed) : value_(borrowed) {}  // NOLINT: outlives the value
  FieldValue(const char* literal) : value_(std::string_view(literal)) {}  // NOLINT
  FieldValue(std::string&& owned) : value_(std::move(owned)) {}           // NOLINT
  FieldValue(data::Json&& tree);                                          // NOLINT
  template <std::integral Number>
  FieldValue(Number number) {  // NOLINT
    if constexpr (std::is_signed_v<Number>) value_ = static_cast<std::int64_t>(number);
    else value_ = static_cast<std::uint64_t>(number);
  }
  // Text that is missing when it is empty.
  static FieldValue unless_empty(std::string_view borrowed);
  static FieldValue unless_empty(std::string&& owned);

  bool is_missing() const { return std::holds_alternative<std::monostate>(value_); }
  // Text is cut at `most_bytes` unless that is 0.
  void append_text(std::string& out, std::size_t most_bytes) const;
  void append_json(std::string& out, std::size_t most_bytes) const;

 private:
  const std::string_view* text(std::string_view& room) const;
  std::variant<std::monostate, std::string_view, std::string, std::int64_t, std::uint64_t,
               data::Json>
      value_;
};

// `text` as a JSON string, with its quotes.
void append_quoted(std::string_view text, std::string& out);

}  // namespace lateen::proxy
