// The table of built-in template functions; each file functions_*.cc adds one family.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "chart/value.h"

namespace lateen::chart {

// What a function may ask of the running template.
class Call {
 public:
  virtual ~Call() = default;
  virtual Result<std::string> include(std::string_view name, const Value& dot) = 0;
  virtual Result<std::string> render_text(std::string_view source, const Value& dot) = 0;  // tpl
  virtual bool is_struct_like() const = 0;
  // Charges `bytes` that a function is about to make against the output limit.
  virtual Result<> charge(std::size_t bytes) = 0;
};

using Arguments = std::vector<Value>;

struct Builtin {
  std::string_view name;
  int least;  // number of arguments
  int most;   // -1: any
  Result<Value> (*run)(Call& call, Arguments& arguments);
};

std::span<const Builtin> core_functions();  // text/template's own, comparison, types, errors
std::span<const Builtin> text_functions();  // strings
std::span<const Builtin>
encoding_functions();  // YAML, JSON, base64, digests, regular expressions, versions
std::span<const Builtin> number_functions();
std::span<const Builtin> list_functions();
std::span<const Builtin> map_functions();
std::span<const Builtin> time_functions();  // dates, paths, URLs

// "mustX" is X: all of ours report errors. Null when there is none.
const Builtin* find_builtin(std::string_view name);

// --- shared by the families ---
std::string to_text(const Value& value);                     // sprig's strval
std::optional<std::int64_t> to_integer(const Value& value);  // cast.ToInt64: "12", 1.9, true
std::int64_t integer_or_zero(const Value& value);
double real_or_zero(const Value& value);
Error wrong_type(std::string_view wanted, const Value& got);
Result<std::string> text_argument(const Arguments& arguments, std::size_t index);
Result<const List*> list_argument(const Arguments& arguments, std::size_t index);
Result<const Map*> map_argument(const Arguments& arguments, std::size_t index);
// Constraint in Masterminds' syntax ("^1.2", ">= 1.9-0, < 2 || 3.x") against a version.
Result<bool> semver_matches(std::string_view constraint, std::string_view version);
struct Version {
  std::int64_t major = 0, minor = 0, patch = 0;
  std::string prerelease, metadata;
};
Result<Version> parse_version(std::string_view text);
int compare_versions(const Version& a, const Version& b);

}  // namespace lateen::chart
