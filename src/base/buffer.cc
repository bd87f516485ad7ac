// Slabs are blocks of memory with an intrusive, non-atomic count; a slice is a range of one.
#include "base/buffer.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "base/check.h"
#include "base/recycled.h"

namespace lateen {

struct Buffer::Slab {
  std::uint32_t references;
  std::uint32_t capacity;
  std::uint32_t used;    // bytes handed out; only the slice that ends here may grow into the rest
  std::string* adopted;  // the bytes live here instead when not null
  char* bytes() { return adopted != nullptr ? adopted->data() : reinterpret_cast<char*>(this + 1); }
};

static constexpr std::size_t kSlabBytes = 4096;
// For bodies that come faster than they go: a sixteenth of the calls. Their owners ask for them.
static constexpr std::size_t kLargeSlabBytes = 64 * 1024;

namespace {

// A request takes and frees four slabs of the usual size, and malloc's own per-thread cache ends at
// 1 KiB: beyond it each costs some 300 instructions. At most 128 KiB a thread are kept.
thread_local SpareBlocks spare_slabs;

}  // namespace

static constexpr std::size_t kAdoptFrom = 1024;  // below this a copy is cheaper than a slice
static constexpr std::size_t kMostSlabBytes = 1u << 30;

Buffer::Slab* Buffer::make_slab(std::size_t bytes) {
  CHECK(bytes <= kMostSlabBytes);
  void* memory = sizeof(Slab) + bytes == kSlabBytes ? spare_slabs.take() : nullptr;
  if (memory == nullptr) memory = ::operator new(sizeof(Slab) + bytes, std::nothrow);
  CHECK(memory != nullptr);
  return new (memory) Slab{1, static_cast<std::uint32_t>(bytes), 0, nullptr};
}

void Buffer::release(Slab* slab) {
  if (--slab->references > 0) return;
  if (slab->adopted == nullptr && sizeof(Slab) + slab->capacity == kSlabBytes) {
    return spare_slabs.give(slab);
  }
  delete slab->adopted;
  ::operator delete(slab);
}

Buffer::Buffer(Buffer&& other) noexcept
    : slices_(std::move(other.slices_)), head_(other.head_), size_(other.size_) {
  other.slices_.clear();
  other.head_ = other.size_ = 0;
}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this == &other) return *this;
  clear();
  slices_.swap(other.slices_);
  std::swap(head_, other.head_);
  std::swap(size_, other.size_);
  return *this;
}

void Buffer::clear() {
  for (std::size_t i = head_; i < slices_.size(); ++i) release(slices_[i].slab);
  slices_.clear();
  head_ = size_ = 0;
}

void Buffer::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto room = reserve(1);
    const std::size_t count = std::min(room.size(), bytes.size());
    std::memcpy(room.data(), bytes.data(), count);
    commit(count);
    bytes.remove_prefix(count);
  }
}

void Buffer::append(Buffer&& other) {
  if (empty()) {
    *this = std::move(other);
    return;
  }
  slices_.insert(slices_.end(), other.slices_.begin() + static_cast<std::ptrdiff_t>(other.head_),
                 other.slices_.end());
  size_ += other.size_;
  other.slices_.clear();
  other.head_ = other.size_ = 0;
}

void Buffer::prepend(Buffer&& other) {
  other.append(std::move(*this));
  *this = std::move(other);
}

void Buffer::adopt(std::string&& bytes) {
  if (bytes.size() < kAdoptFrom) return append(bytes);
  const std::size_t count = bytes.size();
  Slab* slab = make_slab(0);
  slab->adopted = new std::string(std::move(bytes));
  slab->capacity = slab->used = static_cast<std::uint32_t>(count);
  slices_.push_back({slab, 0, static_cast<std::uint32_t>(count)});
  size_ += count;
}

Buffer Buffer::clone() const {
  Buffer copy;
  copy.slices_.assign(slices_.begin() + static_cast<std::ptrdiff_t>(head_), slices_.end());
  for (const Slice& slice : copy.slices_) ++slice.slab->references;
  copy.size_ = size_;
  return copy;
}

std::span<char> Buffer::reserve(std::size_t min_bytes) {
  // An empty slice that an earlier reserve() left uncommitted, or the last slice's tail.
  if (head_ < slices_.size()) {
    const Slice& last = slices_.back();
    Slab* slab = last.slab;
    // Only the slice that ends where the slab's used part ends may grow; clones of it must not.
    if (slab->adopted == nullptr && slab->references == 1 && last.end == slab->used &&
        slab->capacity - slab->used >= min_bytes) {
      return {slab->bytes() + slab->used, slab->capacity - slab->used};
    }
  }
  std::size_t bytes = std::max(min_bytes, kSlabBytes - sizeof(Slab));
  if (bytes > kLargeSlabBytes / 2) bytes = std::max(bytes, kLargeSlabBytes - sizeof(Slab));
  Slab* slab = make_slab(bytes);
  slices_.push_back({slab, 0, 0});
  return {slab->bytes(), slab->capacity};
}

void Buffer::commit(std::size_t bytes) {
  CHECK(head_ < slices_.size());
  Slice& last = slices_.back();
  CHECK(last.slab->capacity - last.slab->used >= bytes);
  last.slab->used += static_cast<std::uint32_t>(bytes);
  last.end += static_cast<std::uint32_t>(bytes);
  size_ += bytes;
  if (last.begin == last.end) {  // Nothing arrived: keep no empty slab.
    release(last.slab);
    slices_.pop_back();
    if (head_ == slices_.size()) {
      slices_.clear();
      head_ = 0;
    }
  }
}

std::string_view Buffer::front() const {
  if (empty()) return {};
  const Slice& slice = first();
  return {slice.slab->bytes() + slice.begin, slice.end - slice.begin};
}

void Buffer::pop_first() {
  release(first().slab);
  ++head_;
  if (head_ == slices_.size()) {
    slices_.clear();
    head_ = 0;
  } else if (head_ > 32 && head_ * 2 > slices_.size()) {
    slices_.erase(slices_.begin(), slices_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
}

void Buffer::drop(std::size_t bytes) {
  CHECK(bytes <= size_);
  size_ -= bytes;
  while (bytes > 0) {
    Slice& slice = first();
    const std::size_t length = slice.end - slice.begin;
    if (bytes < length) {
      slice.begin += static_cast<std::uint32_t>(bytes);
      return;
    }
    bytes -= length;
    pop_first();
  }
}

Buffer Buffer::take(std::size_t bytes) {
  CHECK(bytes <= size_);
  if (bytes == size_) return std::exchange(*this, Buffer());
  Buffer out;
  std::size_t left = bytes;
  while (left > 0) {
    Slice& slice = first();
    const std::size_t length = slice.end - slice.begin;
    const std::size_t count = std::min(left, length);
    out.slices_.push_back(
        {slice.slab, slice.begin, slice.begin + static_cast<std::uint32_t>(count)});
    ++slice.slab->references;
    left -= count;
    if (count == length) pop_first();
    else slice.begin += static_cast<std::uint32_t>(count);
  }
  out.size_ = bytes;
  size_ -= bytes;
  return out;
}

std::string_view Buffer::flatten(std::size_t bytes) {
  CHECK(bytes <= size_);
  if (bytes == 0) return {};
  if (front().size() >= bytes) return front().substr(0, bytes);
  Slab* slab = make_slab(bytes);
  char* to = slab->bytes();
  std::size_t left = bytes;
  while (left > 0) {
    const std::string_view run = front().substr(0, left);
    std::memcpy(to, run.data(), run.size());
    to += run.size();
    left -= run.size();
    drop(run.size());
  }
  slab->used = static_cast<std::uint32_t>(bytes);
  const Slice flat{slab, 0, static_cast<std::uint32_t>(bytes)};
  if (head_ > 0) slices_[--head_] = flat;
  else slices_.insert(slices_.begin(), flat);
  size_ += bytes;
  return front();
}

std::string Buffer::to_string() const {
  std::string out;
  out.reserve(size_);
  for (std::size_t i = head_; i < slices_.size(); ++i) {
    out.append(slices_[i].slab->bytes() + slices_[i].begin, slices_[i].end - slices_[i].begin);
  }
  return out;
}

std::size_t Buffer::iovecs(std::span<iovec> out) const {
  std::size_t count = 0;
  for (std::size_t i = head_; i < slices_.size() && count < out.size(); ++i) {
    if (slices_[i].begin == slices_[i].end) continue;
    out[count++] = {slices_[i].slab->bytes() + slices_[i].begin, slices_[i].end - slices_[i].begin};
  }
  return count;
}

}  // namespace lateen
