// Scope: owner of the asynchronous operations that one object has under way. Destroying it cancels
// them: their completions never run. A class that captures `this` in completions keeps a Scope as
// its LAST member, so that nothing fires into a half-destroyed object. Lives on one loop's thread.
#pragma once

#include <utility>

#include "base/function.h"
#include "base/result.h"

namespace lateen::event {

template <typename T = void>
using Completion = Function<void(Result<T>)>;

class Scope {
 public:
  // An operation under way. Operations are heap objects that own themselves: they call unlink() and
  // then delete themselves when they complete; cancel() is called instead when their scope dies
  // first, must release everything (delete this) and must not call user code.
  class Operation {
   public:
    explicit Operation(Scope& scope);
    Operation(const Operation&) = delete;
    Operation& operator=(const Operation&) = delete;
    void unlink();

   protected:
    virtual ~Operation() { unlink(); }

   private:
    friend class Scope;
    virtual void cancel() = 0;
    Operation* previous_ = nullptr;
    Operation* next_ = nullptr;
    Scope* scope_ = nullptr;
  };

  Scope() = default;
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  ~Scope() { cancel_all(); }

  void cancel_all();
  bool empty() const { return head_ == nullptr; }

 private:
  Operation* head_ = nullptr;
};

}  // namespace lateen::event
