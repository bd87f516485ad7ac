// Tokens of CEL's syntax.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lateen::cluster::cel {

struct Token {
  enum class Kind : unsigned char {
    kEnd,
    kIdent,
    kInt,
    kHex,   // digits without 0x
    kUint,  // digits without u
    kDouble,
    kString,  // decoded
    kBytes,   // decoded
    kSymbol,
  };
  Kind kind = Kind::kEnd;
  std::string text;
  std::size_t offset = 0;
};

// The last one is kEnd.
Result<std::vector<Token>> tokenize(std::string_view source);

}  // namespace lateen::cluster::cel
