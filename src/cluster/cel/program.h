// A compiled CEL expression: parsed, its names, functions and fields checked against what is
// declared. Evaluation is bounded by a budget. Immutable, thread-safe.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/cel/value.h"

namespace lateen::cluster::cel {

struct Expr;

// What evaluations may cost, in steps (a step looks at one node or about ten bytes).
class Budget {
 public:
  explicit Budget(std::int64_t steps) : left_(steps) {}
  // False once it is used up, for good.
  bool spend(std::size_t steps) {
    left_ -= static_cast<std::int64_t>(steps);
    return left_ >= 0;
  }
  bool is_used_up() const { return left_ < 0; }
  std::int64_t left() const { return left_; }
  static Error exceeded();

 private:
  std::int64_t left_;
};

class Program {
 public:
  struct Variable {
    std::string name;
    const Shape* shape;  // null: any
  };
  // `result` is kBool, kString or kAny. Errors read as upstream's compiler's: "ERROR: <input>:1:5:
  // undeclared reference to 'x'".
  static Result<Program> compile(std::string_view source, const std::vector<Variable>& variables,
                                 Shape::Kind result);
  Program(Program&&) noexcept;
  Program& operator=(Program&&) noexcept;
  ~Program();

  using Bindings = std::vector<std::pair<std::string_view, Value>>;
  Result<Value> evaluate(const Bindings& bindings, Budget& budget) const;
  bool mentions(std::string_view variable) const;

 private:
  explicit Program(std::unique_ptr<Expr> root);
  std::unique_ptr<Expr> root_;
};

}  // namespace lateen::cluster::cel
