// Label and field selectors (apimachinery/pkg/labels, pkg/fields).
#pragma once

#include <string>
#include <vector>

#include "data/json.h"

namespace lateen::kube {

// "app=web,tier!=db,env in (a,b),!old,new" — immutable once parsed.
class LabelSelector {
 public:
  static Result<LabelSelector> parse(std::string_view text);
  // {"matchLabels":…, "matchExpressions":…}; null or missing matches nothing, {} matches all.
  static Result<LabelSelector> from_object(const data::Json& selector);
  // A plain map ("spec.selector" of a Service).
  static LabelSelector from_map(const data::JsonObject& labels);
  static LabelSelector everything();
  static LabelSelector nothing();

  bool matches(const data::JsonObject& labels) const;
  bool is_everything() const { return !is_nothing_ && requirements_.empty(); }
  std::string to_string() const;  // parse()'s form

 private:
  enum class Operator : unsigned char {
    kEquals,
    kNotEquals,
    kIn,
    kNotIn,
    kExists,
    kDoesNotExist,
    kGreater,
    kLess
  };
  struct Requirement {
    std::string key;
    Operator op;
    std::vector<std::string> values;
  };
  std::vector<Requirement> requirements_;
  bool is_nothing_ = false;
};

// "metadata.name=x,status.phase!=Failed" against any object path.
class FieldSelector {
 public:
  static Result<FieldSelector> parse(std::string_view text);
  bool matches(const data::Json& object) const;
  bool is_everything() const { return terms_.empty(); }
  // The value that `path` must equal, or nullopt: lets a store look up metadata.name directly.
  std::optional<std::string> required(std::string_view path) const;

 private:
  struct Term {
    std::string path;
    bool is_equal;
    std::string value;
  };
  std::vector<Term> terms_;
};

}  // namespace lateen::kube
