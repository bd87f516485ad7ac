// Bump allocator for one exchange: header text and small per-request objects, freed all at once.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <utility>

namespace lateen {

// Not thread-safe. Memory lives until the arena is destroyed or reset. No destructors are run.
class Arena {
 public:
  Arena() = default;
  Arena(Arena&& other) noexcept
      : last_(std::exchange(other.last_, nullptr)), used_(other.used_), size_(other.size_) {}
  Arena& operator=(Arena&& other) noexcept {
    if (this == &other) return *this;
    free_after(nullptr);
    last_ = std::exchange(other.last_, nullptr);
    used_ = other.used_;
    size_ = other.size_;
    return *this;
  }
  ~Arena() { free_after(nullptr); }

  char* allocate(std::size_t bytes, std::size_t align = 1) {
    std::size_t start = (used_ + align - 1) & ~(align - 1);
    if (last_ == nullptr || start + bytes > size_) return grow(bytes, align);
    used_ = start + bytes;
    return last_->bytes() + start;
  }
  std::string_view copy(std::string_view text) {
    if (text.empty()) return {};
    char* to = allocate(text.size());
    std::memcpy(to, text.data(), text.size());
    return {to, text.size()};
  }
  std::string_view concat(std::string_view a, std::string_view b, std::string_view c = {}) {
    char* const to = allocate(a.size() + b.size() + c.size());
    char* end = to;
    for (const std::string_view part : {a, b, c}) end = std::copy(part.begin(), part.end(), end);
    return {to, end};
  }
  // Keeps the first block for the next exchange on the same connection.
  void reset();

 private:
  struct alignas(std::max_align_t) Block {
    Block* before;     // nullptr: the first
    std::size_t size;  // of bytes()
    char* bytes() { return reinterpret_cast<char*>(this + 1); }
  };

  char* grow(std::size_t bytes, std::size_t align);
  // Frees the blocks made after `kept`, all when it is nullptr.
  void free_after(Block* kept);

  Block* last_ = nullptr;
  std::size_t used_ = 0;  // of the last block; so is the size
  std::size_t size_ = 0;
};

}  // namespace lateen
