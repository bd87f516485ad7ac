// Reader: one JSON object of a config, read field by field. It knows which fields were asked for,
// so that what nobody knows is reported, with its path, as is every value of a wrong type. Reading
// never stops at the first mistake: a user sees them all.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "data/json.h"
#include "mesh/labels.h"

namespace lateen::mesh {

// What is wrong with a config. Errors reject it, warnings are shown.
struct Issues {
  static constexpr std::size_t kMost = 64;  // of each; more help nobody
  std::vector<std::string> errors;
  std::vector<std::string> warnings;

  void error(std::string message);
  void warn(std::string message);
  bool ok() const { return errors.empty(); }
  std::string to_string() const;  // errors joined with "; "
};

class Reader {
 public:
  // `value` and `issues` outlive the reader. A null or missing value reads as an empty object.
  Reader(const data::Json& value, std::string path, Issues& issues);
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader();  // reports the fields that nobody asked for

  bool has(std::string_view key);
  std::string text(std::string_view key, std::string_view fallback = {});
  bool flag(std::string_view key, bool fallback = false);
  std::optional<bool> maybe_flag(std::string_view key);
  // Numbers may be spelled as strings, as in protobuf's JSON.
  std::int64_t integer(std::string_view key, std::int64_t fallback = 0);
  std::optional<std::int64_t> maybe_integer(std::string_view key);
  std::optional<double> maybe_number(std::string_view key);
  std::optional<nanoseconds> duration(std::string_view key);
  std::vector<std::string> texts(std::string_view key);
  Labels map(std::string_view key);
  const data::Json* raw(std::string_view key);
  // A field of the API that has no effect here: never dropped silently, so a warning when it is
  // set.
  void unused(std::string_view key, std::string_view why);

  template <typename Enum>
  Enum choice(std::string_view key,
              std::initializer_list<std::pair<std::string_view, Enum>> choices, Enum fallback) {
    const std::string name = text(key);
    if (name.empty()) return fallback;
    std::string known;
    for (const auto& [label, value] : choices) {
      if (label == name) return value;
      known.append(known.empty() ? "" : ", ").append(label);
    }
    error(key, "unknown value \"" + name + "\"; one of " + known);
    return fallback;
  }

  // Calls `read(Reader&)` for the object at `key`; false when there is none.
  template <typename Read>
  bool object(std::string_view key, Read read) {
    const data::Json* value = raw(key);
    if (value == nullptr) return false;
    if (!value->is_object()) return error(key, "must be an object"), false;
    Reader reader(*value, path_of(key), issues_);
    read(reader);
    return true;
  }
  // Calls `read(Reader&)` for each object in the list at `key`.
  template <typename Read>
  void each(std::string_view key, Read read) {
    const data::Json* value = raw(key);
    if (value == nullptr) return;
    if (!value->is_array()) return error(key, "must be a list");
    int index = 0;
    for (const data::Json& item : *value->if_array()) {
      const std::string path = path_of(key) + "[" + std::to_string(index++) + "]";
      if (!item.is_object()) {
        issues_.error(path + ": must be an object");
        continue;
      }
      Reader reader(item, path, issues_);
      read(reader);
    }
  }
  // Calls `read(name, Reader&)` for each entry of the map of objects at `key`.
  template <typename Read>
  void each_entry(std::string_view key, Read read) {
    const data::Json* value = raw(key);
    if (value == nullptr) return;
    if (!value->is_object()) return error(key, "must be an object");
    for (const auto& entry : *value->if_object()) {
      const std::string name(entry.key());
      if (!entry.value().is_object() && !entry.value().is_null()) {
        issues_.error(path_of(key) + "." + name + ": must be an object");
        continue;
      }
      Reader reader(entry.value(), path_of(key) + "." + name, issues_);
      read(name, reader);
    }
  }

  // Accepts every field: for parts that are kept as they are.
  void accept_all() { is_open_ = true; }
  void error(std::string_view key, std::string_view message);
  void warn(std::string_view key, std::string_view message);
  std::string path_of(std::string_view key) const;
  const std::string& path() const { return path_; }
  Issues& issues() { return issues_; }

 private:
  const data::JsonObject* object_;
  std::string path_;
  Issues& issues_;
  std::vector<std::string_view> known_;
  bool is_open_ = false;
};

}  // namespace lateen::mesh
