// The x-kubernetes-validations of a schema, compiled: rules at any depth, with messages, message
// expressions, reasons, and transition rules that look at the former object. Immutable,
// thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cluster/cel/program.h"
#include "kube/schema.h"

namespace lateen::cluster::cel {

struct RuleNode;

class ValidationRules {
 public:
  // Never fails: rules that do not compile are told of in `faults` (field: where in the schema) and
  // left out.
  static ValidationRules compile(const Json& open_api_v3, std::vector<kube::FieldProblem>& faults);
  ValidationRules(ValidationRules&&) noexcept;
  ValidationRules& operator=(ValidationRules&&) noexcept;
  ~ValidationRules();

  bool empty() const;
  // `object` is valid by the schema itself. `old` is null for a create; what an update leaves as it
  // was is not held against it. Bounded: past the budget the object is refused.
  std::vector<kube::FieldProblem> validate(const Json& object, const Json* old) const;

 private:
  explicit ValidationRules(std::unique_ptr<const RuleNode> root);
  std::unique_ptr<const RuleNode> root_;
};

// The shape that a structural schema describes; `is_root`: an object with apiVersion, kind and
// metadata.
std::unique_ptr<Shape> shape_from_schema(const Json& open_api_v3, bool is_root);

}  // namespace lateen::cluster::cel
