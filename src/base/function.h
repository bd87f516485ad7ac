// Function<R(Args...)>: a move-only callable with 48 bytes of inline storage, for completions and
// posted tasks. std::move_only_function is C++23; std::function demands copyable captures.
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#include "base/check.h"

namespace lateen {

template <typename Signature>
class Function;

template <typename R, typename... Args>
class Function<R(Args...)> {
 public:
  Function() = default;
  Function(std::nullptr_t) {}  // NOLINT: implicit by design

  template <typename F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, Function> &&
           std::is_invocable_r_v<R, std::remove_cvref_t<F>&, Args...>)
      Function(F&& callable) {  // NOLINT: implicit by design
    using Held = std::remove_cvref_t<F>;
    if constexpr (fits<Held>()) {
      new (storage_) Held(std::forward<F>(callable));
      ops_ = &kInlineOps<Held>;
    } else {
      *reinterpret_cast<Held**>(storage_) = new Held(std::forward<F>(callable));
      ops_ = &kHeapOps<Held>;
    }
  }

  Function(Function&& other) noexcept { take(other); }
  Function& operator=(Function&& other) noexcept {
    if (this != &other) {
      reset();
      take(other);
    }
    return *this;
  }
  Function(const Function&) = delete;
  Function& operator=(const Function&) = delete;
  ~Function() { reset(); }

  explicit operator bool() const { return ops_ != nullptr; }

  R operator()(Args... args) const {
    CHECK(ops_ != nullptr);
    return ops_->call(storage_, std::forward<Args>(args)...);
  }

 private:
  static constexpr std::size_t kInlineBytes = 48;

  struct Ops {
    R (*call)(void*, Args&&...);
    void (*move)(void* from, void* to);
    void (*destroy)(void*);
  };

  template <typename Held>
  static constexpr bool fits() {
    return sizeof(Held) <= kInlineBytes && alignof(Held) <= alignof(std::max_align_t) &&
           std::is_nothrow_move_constructible_v<Held>;
  }

  template <typename Held>
  static constexpr Ops kInlineOps = {
      [](void* held, Args&&... args) -> R {
        return (*static_cast<Held*>(held))(std::forward<Args>(args)...);
      },
      [](void* from, void* to) {
        new (to) Held(std::move(*static_cast<Held*>(from)));
        static_cast<Held*>(from)->~Held();
      },
      [](void* held) { static_cast<Held*>(held)->~Held(); },
  };

  template <typename Held>
  static constexpr Ops kHeapOps = {
      [](void* held, Args&&... args) -> R {
        return (**static_cast<Held**>(held))(std::forward<Args>(args)...);
      },
      [](void* from, void* to) { *static_cast<Held**>(to) = *static_cast<Held**>(from); },
      [](void* held) { delete *static_cast<Held**>(held); },
  };

  void take(Function& other) {
    if (other.ops_ == nullptr) return;
    other.ops_->move(other.storage_, storage_);
    ops_ = std::exchange(other.ops_, nullptr);
  }
  void reset() {
    if (ops_ != nullptr) std::exchange(ops_, nullptr)->destroy(storage_);
  }

  const Ops* ops_ = nullptr;
  alignas(std::max_align_t) mutable unsigned char storage_[kInlineBytes];
};

}  // namespace lateen
