// Go's text/template with the functions of sprig and Helm: what charts, profiles and Istio's
// injection templates are written in. Execution is bounded in steps, output and depth, so a hostile
// template ends in an error, not in an exhausted machine.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chart/value.h"

namespace lateen::chart {

struct Template;
struct Builtin;

// A function that the caller adds, in terms of JSON. Its error appears behind the template's
// position.
using TemplateFunction =
    std::function<Result<data::Json>(const std::vector<data::Json>& arguments)>;

struct TemplateOptions {
  // Data stands for Go structs, as in Istio's injection templates: .Spec.Containers finds
  // "containers", .GetTracing finds "tracing", .GetValue and .String are the value itself, a field
  // of nil is nil, and nil compares as the zero value of the other side.
  bool is_struct_like = false;
  std::int64_t most_steps = 5'000'000;
  std::size_t most_output_bytes = 64u << 20;  // of all nested includes together
  int most_depth = 100;                       // of nested templates
};

// Templates that may call each other. Adding is not thread-safe; rendering is const and thread-safe
// when the functions added are.
class TemplateSet {
 public:
  explicit TemplateSet(TemplateOptions options = {});
  ~TemplateSet();
  TemplateSet(TemplateSet&&) noexcept;
  TemplateSet& operator=(TemplateSet&&) noexcept;

  // Before add(): a name unknown while parsing is an error. Replaces a built-in of the same name.
  void add_function(std::string name, TemplateFunction function);
  // Parses `source` as the template `name`, with all it defines. A later definition replaces an
  // earlier. The error reads "template: NAME:LINE:COLUMN: what, and what to write instead".
  Result<> add(const std::string& name, std::string_view source);
  bool has(std::string_view name) const { return templates_.contains(name); }

  // The error reads "template: FILE:LINE:COLUMN: executing "NAME" at <EXPRESSION>: what".
  Result<std::string> render(std::string_view name, const data::Json& data) const;
  Result<std::string> render_value(std::string_view name, const Value& dot) const;

 private:
  friend class Interpreter;
  TemplateOptions options_;
  std::map<std::string, std::shared_ptr<const Template>, std::less<>> templates_;
  std::map<std::string, TemplateFunction, std::less<>> functions_;
};

}  // namespace lateen::chart
