// The expression tree of CEL, and its evaluation. Private to match/.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/json.h"
#include "proxy/match/string_matcher.h"
#include "proxy/stream/stream_info.h"

namespace lateen::proxy {

// What an evaluation looks at.
struct CelScope {
  const StreamInfo& info;
  const http::Request* request;
  std::vector<std::pair<std::string_view, data::Json>> variables;  // of macros, innermost last
  int steps_left = 100'000;
};
using CelValue = std::optional<data::Json>;  // nullopt: an error

class CelNode {
 public:
  enum class Kind : unsigned char {
    kLiteral,
    kAttribute,  // path
    kVariable,   // name
    kSelect,     // args[0].name
    kHas,        // has(args[0].name), or of the attribute at path
    kCall,       // name(args…); methods have their receiver first
    kList,
    kMap,   // args are key, value, key, value…
    kMacro  // name of all, exists, exists_one, filter, map: args are range, body; variable
  };
  Kind kind = Kind::kLiteral;
  std::string name;
  std::string variable;
  data::Json value;
  std::vector<std::string> path;
  std::vector<std::shared_ptr<const CelNode>> args;
  std::optional<Regex> regex;  // of matches() with a literal

  CelValue evaluate(CelScope& scope) const;

 private:
  CelValue call(CelScope& scope) const;
  CelValue macro(CelScope& scope) const;
  CelValue logic(CelScope& scope, bool is_and) const;
};
using CelNodeRef = std::shared_ptr<const CelNode>;

inline constexpr int kMostCelDepth = 64;
inline constexpr int kMostCelNodes = 2000;

// Nodes from their parts; both readers of expressions use them. Errors name what is wrong.
CelNodeRef cel_literal(data::Json value);
CelNodeRef cel_name(std::string name, const std::vector<std::string>& variables);
CelNodeRef cel_select(CelNodeRef from, std::string field);
Result<CelNodeRef> cel_has(const CelNodeRef& selected);
Result<CelNodeRef> cel_call(std::string name, std::vector<CelNodeRef> args);

}  // namespace lateen::proxy
