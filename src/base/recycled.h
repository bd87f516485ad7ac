// Recycled: memory of the last few objects of a class is kept by the thread that freed them. For
// classes made once a request and larger than malloc's own per-thread cache takes (1 KiB), whose
// every new and delete would cost hundreds of instructions.
#pragma once

#include <cstddef>
#include <new>

namespace lateen {

// Derive `class X final : public Recycled<X>`. An object may be freed on another thread than made
// it.
template <typename T>
class Recycled {
 public:
  static void* operator new(std::size_t bytes) {
    Spares& spares = spares_of_thread();
    if (bytes == sizeof(T) && spares.count > 0) return spares.blocks[--spares.count];
    return ::operator new(bytes);
  }
  static void operator delete(void* block, std::size_t bytes) {
    Spares& spares = spares_of_thread();
    if (bytes == sizeof(T) && spares.count < kMost && !spares.is_over) {
      spares.blocks[spares.count++] = block;
    } else {
      ::operator delete(block);
    }
  }

 private:
  static constexpr std::size_t kMost = 32;
  struct Spares {
    ~Spares() {
      while (count > 0) ::operator delete(blocks[--count]);
      is_over = true;  // objects of other thread_locals may die later
    }
    void* blocks[kMost];
    std::size_t count = 0;
    bool is_over = false;
  };
  static Spares& spares_of_thread() {
    thread_local Spares spares;
    return spares;
  }
};

}  // namespace lateen
