// Bump allocator for one exchange: header text and small per-request objects, freed all at once.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace lateen {

// Not thread-safe. Memory lives until the arena is destroyed or reset. No destructors are run.
class Arena {
 public:
  Arena() = default;
  Arena(Arena&&) = default;
  Arena& operator=(Arena&&) = default;

  char* allocate(std::size_t bytes, std::size_t align = 1) {
    std::size_t start = (used_ + align - 1) & ~(align - 1);
    if (blocks_.empty() || start + bytes > size_) return grow(bytes, align);
    used_ = start + bytes;
    return blocks_.back().get() + start;
  }
  std::string_view copy(std::string_view text) {
    if (text.empty()) return {};
    char* to = allocate(text.size());
    std::memcpy(to, text.data(), text.size());
    return {to, text.size()};
  }
  std::string_view concat(std::string_view a, std::string_view b, std::string_view c = {}) {
    char* to = allocate(a.size() + b.size() + c.size());
    std::memcpy(to, a.data(), a.size());
    std::memcpy(to + a.size(), b.data(), b.size());
    std::memcpy(to + a.size() + b.size(), c.data(), c.size());
    return {to, a.size() + b.size() + c.size()};
  }
  // Keeps the first block for the next exchange on the same connection.
  void reset() {
    if (blocks_.size() > 1) {
      blocks_.resize(1);
      size_ = first_size_;
    }
    used_ = 0;
  }

 private:
  static constexpr std::size_t kFirstBlockBytes = 2048;
  static constexpr std::size_t kNextBlockBytes = 8192;

  char* grow(std::size_t bytes, std::size_t align) {
    std::size_t want = blocks_.empty() ? kFirstBlockBytes : kNextBlockBytes;
    if (bytes + align > want) want = bytes + align;
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(want));
    if (blocks_.size() == 1) first_size_ = want;
    size_ = want;
    used_ = bytes;  // A fresh block is aligned for anything.
    return blocks_.back().get();
  }

  std::vector<std::unique_ptr<char[]>> blocks_;
  std::size_t used_ = 0;
  std::size_t size_ = 0;
  std::size_t first_size_ = 0;
};

}  // namespace lateen
