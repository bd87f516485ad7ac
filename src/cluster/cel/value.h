// Values of CEL, the expression language of validation rules and match conditions: what an
// expression is about (JSON, seen through the shape its schema gives it) and what it computes.
// Immutable; lists and maps are shared.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "data/json.h"
#include "kube/quantity.h"
#include "net/address.h"

namespace lateen::cluster::cel {

using data::Json;

// The type a schema gives a value: decides how JSON reads as CEL and which fields there are.
struct Shape {
  enum class Kind : unsigned char {
    kAny,
    kBool,
    kInt,
    kDouble,
    kString,
    kBytes,
    kTime,
    kDuration,
    kList,
    kMap,
    kObject,
  };
  Kind kind = Kind::kAny;
  std::map<std::string, std::unique_ptr<Shape>, std::less<>> fields;  // kObject; schema's names
  std::unique_ptr<Shape> element;                                     // kList, kMap
  bool is_unordered = false;           // a list of type set or map: order does not count
  std::vector<std::string> list_keys;  // a list of type map
};

class Value;
using List = std::vector<Value>;
struct MapEntry;
using Map = std::vector<MapEntry>;
struct JsonView {
  const Json* json;  // an object or array; outlives the evaluation
  const Shape* shape;
};
struct Bytes {
  std::string text;
};
struct TypeName {
  std::string name;
};
struct Optional {
  std::shared_ptr<const Value> value;  // null: none
};
struct Url {
  std::string text, scheme, host, port, path, query;  // host without brackets and port
};

class Value {
 public:
  using Held =
      std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string, Bytes,
                   WallTime, nanoseconds, std::shared_ptr<const List>, std::shared_ptr<const Map>,
                   JsonView, TypeName, Optional, Url, net::Ip, net::Cidr, kube::Quantity>;
  Value() = default;  // null
  template <typename T>
  requires(!std::is_same_v<std::remove_cvref_t<T>, Value> && std::is_constructible_v<Held, T&&>)
      Value(T&& held)  // NOLINT: implicit
      : held_(std::forward<T>(held)) {}
  // Literals would become bool.
  Value(const char*) = delete;
  Value(int) = delete;

  // `shape` may be null: any.
  static Value of(const Json& json, const Shape* shape);
  static Value list(List items);
  static Value map(Map entries);

  template <typename T>
  const T* get() const {
    return std::get_if<T>(&held_);
  }
  bool is_null() const { return std::holds_alternative<std::monostate>(held_); }
  bool is_number() const;
  bool is_list() const;
  bool is_map() const;

  // Lists and maps, whatever holds them.
  std::size_t size() const;
  Value at(std::size_t index) const;                     // list; index < size()
  std::optional<Value> find(const Value& key) const;     // map
  std::optional<Value> field(std::string_view) const;    // map; escaped names of objects' fields
  List keys() const;                                     // map
  std::vector<std::pair<Value, Value>> entries() const;  // map

  std::string type_name() const;  // as type() and errors say it
  std::string to_text() const;    // as string() converts; of lists and maps for messages
  // Rough number of bytes, for budgets.
  std::size_t weight() const;

 private:
  Held held_;
};

struct MapEntry {
  Value key, value;
};

bool equal(const Value& a, const Value& b);  // numbers compare across types
// nullopt: these do not compare.
std::optional<std::partial_ordering> compare(const Value& a, const Value& b);

// A field's name as CEL can write it back to the schema's: "x__dash__y" is "x-y".
std::string unescape_field(std::string_view name);

}  // namespace lateen::cluster::cel
