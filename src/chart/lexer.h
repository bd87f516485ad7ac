// Cuts template source into text and the tokens of its actions, trim markers applied.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chart/syntax.h"

namespace lateen::chart {

struct Token {
  enum class Kind : unsigned char {
    kText,      // between actions
    kOpen,      // {{
    kClose,     // }}
    kWord,      // identifier or keyword
    kField,     // .name (text without the dot)
    kVariable,  // $name or $
    kDot,       // .
    kNumber,
    kString,     // text is unquoted
    kCharacter,  // value in `number`
    kPipe,
    kComma,
    kDeclare,  // :=
    kAssign,   // =
    kLeft,     // (
    kRight,    // )
    kEnd,
  };
  Kind kind;
  std::string text;
  Position at;
  std::size_t offset = 0;       // of its first byte in the source
  bool is_after_space = false;  // white space stands before it
  std::int64_t number = 0;
};

Result<std::vector<Token>> cut_tokens(const std::string& file, std::string_view source);
Error syntax_error(const std::string& file, Position at, std::string message);

}  // namespace lateen::chart
