// Buffer: a move-only chain of byte slices. Appending a Buffer, splitting and dropping a prefix
// move no bytes. Sharing is spelled clone(): slices are reference-counted without atomics, so a
// Buffer and its clones stay on one thread; hand a std::string across threads instead.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lateen {

class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::string_view bytes) { append(bytes); }
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { clear(); }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  void clear();

  void append(std::string_view bytes);  // copies
  void append(Buffer&& other);          // takes its slices
  void prepend(Buffer&& other);
  void adopt(std::string&& bytes);  // no copy when it is large
  Buffer clone() const;             // shares the bytes

  // Room for at least `min_bytes` at the end, to read(2) into; then commit what arrived.
  std::span<char> reserve(std::size_t min_bytes);
  void commit(std::size_t bytes);

  // The first contiguous run; empty only when the buffer is.
  std::string_view front() const;
  void drop(std::size_t bytes);    // `bytes` <= size()
  Buffer take(std::size_t bytes);  // cuts off the first `bytes` <= size()
  // Makes the first `bytes` (<= size()) contiguous, copying only when they are not already.
  std::string_view flatten(std::size_t bytes);
  std::string_view flatten() { return flatten(size_); }
  std::string to_string() const;
  // Fills up to out.size() entries for writev(2); returns how many.
  std::size_t iovecs(std::span<iovec> out) const;

 private:
  struct Slab;
  struct Slice {
    Slab* slab;
    std::uint32_t begin;
    std::uint32_t end;
  };
  static Slab* make_slab(std::size_t bytes);
  static void release(Slab* slab);

  // A vector with a head index: most buffers hold one or two slices, and pops come from the front.
  std::vector<Slice> slices_;
  std::size_t head_ = 0;
  std::size_t size_ = 0;

  Slice& first() { return slices_[head_]; }
  const Slice& first() const { return slices_[head_]; }
  void pop_first();
};

}  // namespace lateen
