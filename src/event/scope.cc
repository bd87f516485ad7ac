// Intrusive list of operations; cancellation pops one at a time so that cancel() may end others.
#include "event/scope.h"

namespace lateen::event {

Scope::Operation::Operation(Scope& scope) : next_(scope.head_), scope_(&scope) {
  if (next_ != nullptr) next_->previous_ = this;
  scope.head_ = this;
}

void Scope::Operation::unlink() {
  if (scope_ == nullptr) return;
  if (previous_ != nullptr) previous_->next_ = next_;
  else scope_->head_ = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  previous_ = next_ = nullptr;
  scope_ = nullptr;
}

void Scope::cancel_all() {
  while (head_ != nullptr) {
    Operation* operation = head_;
    operation->unlink();
    operation->cancel();
  }
}

}  // namespace lateen::event
