// Conditions in CEL (cel-spec) over Envoy's attributes: what access log filters, formatters and
// RBAC policies use of it. Dynamically typed, on JSON values; no side effects. A compiled
// expression is immutable and thread-safe; its size and depth are bounded, and evaluation visits
// each node a bounded number of times.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "data/json.h"
#include "http/message.h"
#include "proxy/stream/stream_info.h"

namespace google::api::expr::v1alpha1 {
class Expr;
}
namespace cel::expr {
class Expr;
}

namespace lateen::proxy {

class CelNode;  // cel_node.h

class CelExpression {
 public:
  static Result<CelExpression> parse(std::string_view text);
  // Of a parsed expression, as the API carries it. Comprehensions are refused.
  static Result<CelExpression> compile(const google::api::expr::v1alpha1::Expr& config);
  static Result<CelExpression> compile(const cel::expr::Expr& config);

  // nullopt: an error, such as an attribute or a key that is not there. `request`: null looks at
  // the head that `info` noted.
  std::optional<data::Json> evaluate(const StreamInfo& info, const http::Request* request) const;
  // Errors and values that are not `true` do not match.
  bool matches(const StreamInfo& info, const http::Request* request) const;

 private:
  explicit CelExpression(std::shared_ptr<const CelNode> root) : root_(std::move(root)) {}
  std::shared_ptr<const CelNode> root_;
};

}  // namespace lateen::proxy
