// Structural OpenAPI v3 schemas, as CustomResourceDefinitions carry them: validation in the API
// server's words, defaulting and pruning.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/json.h"

namespace lateen::kube {

using data::Json;

// One cause of a 422, as in the Status's details.
struct FieldProblem {
  std::string reason;  // FieldValueRequired, FieldValueInvalid, FieldValueTypeInvalid,
                       // FieldValueNotSupported, …
  std::string field;   // "spec.http[0].route"
  std::string detail;  // "Required value"
  std::string text() const { return field + ": " + detail; }
};

struct SchemaNode;

// Compiled once per CRD version; immutable, thread-safe.
class Schema {
 public:
  // Fails on patterns that do not compile and on schemas nested too deep.
  static Result<Schema> parse(const Json& open_api_v3);
  Schema(Schema&&) noexcept;
  Schema& operator=(Schema&&) noexcept;
  ~Schema();

  // At most kMaxProblems. apiVersion, kind and metadata are not looked at.
  static constexpr std::size_t kMaxProblems = 100;
  std::vector<FieldProblem> validate(const Json& object) const;
  // Fills in defaults; drops nulls where the schema has a default and does not allow null.
  void apply_defaults(Json& object) const;
  // Removes fields the schema does not know; returns their paths ("spec.http[0].foo").
  std::vector<std::string> prune(Json& object) const;

 private:
  explicit Schema(std::unique_ptr<const SchemaNode> root);
  std::unique_ptr<const SchemaNode> root_;
};

// `The VirtualService "x" is invalid: spec.a: Required value` or, with several, `is invalid: [a,
// b]`: the message without the leading kind, as a Status carries it:
// `VirtualService.networking.istio.io "x" is invalid: …`.
std::string invalid_message(std::string_view qualified_kind, std::string_view name,
                            const std::vector<FieldProblem>& problems);

}  // namespace lateen::kube
