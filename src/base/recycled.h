// Recycled: memory of the last few objects of a class is kept by the thread that freed them. For
// classes made once a request and larger than malloc's own per-thread cache takes (1 KiB), whose
// every new and delete would cost hundreds of instructions.
#pragma once

#include <cstddef>
#include <new>

namespace lateen {

// Blocks of one size, from ::operator new, that a thread freed last. Use it as a thread_local.
class SpareBlocks {
 public:
  ~SpareBlocks() {
    while (count_ > 0) ::operator delete(blocks_[--count_]);
    is_over_ = true;
  }
  // nullptr: there is none.
  void* take() { return count_ > 0 ? blocks_[--count_] : nullptr; }
  void give(void* block) {
    if (count_ < kMost && !is_over_) blocks_[count_++] = block;
    else ::operator delete(block);
  }

 private:
  static constexpr std::size_t kMost = 32;
  void* blocks_[kMost];
  std::size_t count_ = 0;
  bool is_over_ = false;  // the thread is ending: objects of other thread_locals may die later
};

// Derive `class X final : public Recycled<X>`. An object may be freed on another thread than made
// it.
template <typename T>
class Recycled {
 public:
  static void* operator new(std::size_t bytes) {
    void* spare = bytes == sizeof(T) ? spares().take() : nullptr;
    return spare != nullptr ? spare : ::operator new(bytes);
  }
  static void operator delete(void* block, std::size_t bytes) {
    if (bytes == sizeof(T)) spares().give(block);
    else ::operator delete(block);
  }

 private:
  static SpareBlocks& spares() {
    thread_local SpareBlocks spares;
    return spares;
  }
};

}  // namespace lateen
