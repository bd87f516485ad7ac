// Values of the template language while a template runs. They differ from JSON in two ways that
// charts depend on: maps are shared (`set $d "k" 1` is seen through every name of $d), and a value
// may carry methods (.Capabilities.APIVersions.Has). Everything outside the engine uses data::Json.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "data/json.h"

namespace lateen::chart {

class Value;
using Map = std::map<std::string, Value, std::less<>>;  // sorted, as Go's `range` visits maps
using List = std::vector<Value>;

// A value with methods and fields of its own, such as .Files. Const and shared.
class Object {
 public:
  virtual ~Object() = default;
  // The field or the result of the method; nullopt: there is none of that name.
  virtual std::optional<Result<Value>> call(std::string_view name,
                                            const std::vector<Value>& arguments) const = 0;
};

// Cheap to copy: lists and maps are shared, and only maps can change in place.
class Value {
 public:
  Value() = default;                                          // nil
  Value(bool flag) : held_(flag) {}                           // NOLINT: implicit by design
  Value(std::int64_t number) : held_(number) {}               // NOLINT
  Value(int number) : held_(std::int64_t{number}) {}          // NOLINT
  Value(double number) : held_(number) {}                     // NOLINT
  Value(std::string text) : held_(std::move(text)) {}         // NOLINT
  Value(std::string_view text) : held_(std::string(text)) {}  // NOLINT
  Value(const char* text) : held_(std::string(text)) {}       // NOLINT
  Value(List list) : held_(std::make_shared<const List>(std::move(list))) {}  // NOLINT
  Value(Map map) : held_(std::make_shared<Map>(std::move(map))) {}            // NOLINT
  Value(std::shared_ptr<const Object> object) : held_(std::move(object)) {}   // NOLINT

  static Value from_json(const data::Json& json);
  // Fails on values nested deeper than JSON may be (a map put into itself) and on objects with
  // methods.
  Result<data::Json> to_json() const;

  bool is_nil() const { return held_.index() == 0; }
  const bool* if_bool() const { return std::get_if<bool>(&held_); }
  const std::int64_t* if_int() const { return std::get_if<std::int64_t>(&held_); }
  const double* if_double() const { return std::get_if<double>(&held_); }
  const std::string* if_string() const { return std::get_if<std::string>(&held_); }
  const List* if_list() const;
  const Map* if_map() const;
  // The shared map itself: changing it is seen by all who hold this value.
  Map* shared_map() const;
  const Object* if_object() const;
  bool is_number() const { return if_int() != nullptr || if_double() != nullptr; }

  // Go's truth: false, 0, "", empty collections and nil are false.
  bool is_true() const;
  // "nil", "bool", "int64", "float64", "string", "slice", "map", "object".
  std::string_view kind() const;
  Value deep_copy(int depth = 0) const;

 private:
  std::variant<std::monostate, bool, std::int64_t, double, std::string, std::shared_ptr<const List>,
               std::shared_ptr<Map>, std::shared_ptr<const Object>>
      held_;
};

// Deep equality; 1 and 1.0 are equal.
bool equal(const Value& a, const Value& b, int depth = 0);
// As fmt's %v: map[a:1 b:2], [1 2], 1e+06, <nil>.
std::string format_plain(const Value& value, int depth = 0);
// fmt.Sprintf. Mistakes appear in the text as Go shows them: %!d(string=x), %!s(MISSING), %!(EXTRA
// int=1).
std::string format_printf(std::string_view format, const std::vector<Value>& arguments);
std::string go_quote(std::string_view text);  // strconv.Quote
std::string format_float(double number, char verb = 'g', int precision = -1);

}  // namespace lateen::chart
