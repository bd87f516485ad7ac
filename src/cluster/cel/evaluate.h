// One evaluation of a checked tree. Private to the module.
#pragma once

#include "cluster/cel/expr.h"
#include "cluster/cel/program.h"

namespace lateen::cluster::cel {

class Evaluation {
 public:
  Evaluation(const Program::Bindings& bindings, Budget& budget)
      : scope_(bindings), budget_(budget) {}
  Result<Value> of(const Expr& expr);

 private:
  Result<Value> select(const Expr& expr);
  Result<Value> has(const Expr& expr);
  Result<Value> index(const Expr& expr);
  Result<Value> logic(const Expr& expr);
  Result<Value> binary(const Expr& expr);
  Result<Value> call(const Expr& expr);
  Result<Value> make_list(const Expr& expr);
  Result<Value> make_map(const Expr& expr);
  Result<Value> quantifier(const Expr& expr);
  Result<Value> transform(const Expr& expr);
  Result<Value> optional(const Expr& expr);
  Result<bool> condition(const Expr& expr);
  // Calls `visit` with the macro's variables bound to each element; it returns false to stop.
  template <typename Visit>
  Result<> each(const Expr& expr, Visit visit);

  Program::Bindings scope_;
  Budget& budget_;
};

Result<Value> arithmetic(std::string_view op, const Value& a, const Value& b, Budget& budget);

}  // namespace lateen::cluster::cel
