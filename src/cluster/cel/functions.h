// The functions of expressions: CEL's own and the libraries Kubernetes adds (strings, lists,
// regular expressions, URLs, addresses, quantities, sets, optionals).
#pragma once

#include <span>
#include <string_view>

#include "cluster/cel/expr.h"
#include "cluster/cel/program.h"

namespace lateen::cluster::cel {

// A method's target is its first argument. `call` has the constant pattern of matches and find.
using Function = Result<Value> (*)(std::span<const Value> args, const Expr& call, Budget& budget);

struct FunctionEntry {
  std::string_view name;  // "sets.contains" for those in a namespace
  bool is_method;
  std::size_t least_args, most_args;  // the target not counted
  Function function;
  Shape::Kind result = Shape::Kind::kAny;
};

// Null when there is none of this form.
const FunctionEntry* find_function(std::string_view name, bool is_method, std::size_t args);
bool is_function_name(std::string_view name, bool is_method);

Error no_overload(std::string_view what);

std::span<const FunctionEntry> basic_functions();
std::span<const FunctionEntry> text_functions();
std::span<const FunctionEntry> library_functions();

}  // namespace lateen::cluster::cel
