// The tree of a parsed expression. Macros (has, all, exists, map, …) are nodes of their own.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cluster/cel/value.h"

namespace re2 {
class RE2;
}

namespace lateen::cluster::cel {

struct FunctionEntry;

struct Expr {
  enum class Kind : unsigned char {
    kLiteral,
    kIdent,
    kSelect,  // target.name; `is_optional`: target.?name
    kHas,     // has(target.name)
    kIndex,   // target[args[0]]; `is_optional`: target[?i]
    kCall,    // name(args) or target.name(args)
    kNot,
    kNegate,
    kAnd,
    kOr,
    kConditional,  // args: condition, then, else
    kBinary,       // `name` is the operator
    kList,
    kMap,  // args: key, value, key, value …
    kAll,
    kExists,
    kExistsOne,
    kMapMacro,  // target.map(v, [filter,] transform): args [filter,] transform
    kFilter,
    kTransformList,
    kTransformMap,
    kOptionalMap,      // target.optMap(v, e)
    kOptionalFlatMap,  // target.optFlatMap(v, e)
  };
  Kind kind = Kind::kLiteral;
  std::size_t offset = 0;  // in the source
  bool is_optional = false;
  std::string name;
  std::string variable, second_variable;  // of macros; the second: the value beside an index or key
  Value literal;
  std::unique_ptr<Expr> target;
  std::vector<std::unique_ptr<Expr>> args;
  std::vector<bool> optional_args;          // of list and map literals
  const FunctionEntry* function = nullptr;  // kCall, once checked
  std::shared_ptr<const re2::RE2> pattern;  // of a call with a constant pattern
};
using ExprPtr = std::unique_ptr<Expr>;

// Fails with the position: "Syntax error: …". Bounds depth and length.
Result<ExprPtr> parse(std::string_view source);

}  // namespace lateen::cluster::cel
