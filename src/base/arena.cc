#include "base/arena.h"

#include <new>

#include "base/recycled.h"

namespace lateen {
namespace {

constexpr std::size_t kFirstBlockBytes = 2048;  // with its header
constexpr std::size_t kNextBlockBytes = 8192;

// Every exchange takes one first block and gives it back: see SpareBlocks. At most 64 KiB a thread.
thread_local SpareBlocks spare_firsts;

}  // namespace

char* Arena::grow(std::size_t bytes, std::size_t align) {
  std::size_t whole = last_ == nullptr ? kFirstBlockBytes : kNextBlockBytes;
  if (sizeof(Block) + bytes + align > whole) whole = sizeof(Block) + bytes + align;
  void* memory = whole == kFirstBlockBytes ? spare_firsts.take() : nullptr;
  if (memory == nullptr) memory = ::operator new(whole);
  last_ = new (memory) Block{last_, whole - sizeof(Block)};
  size_ = last_->size;
  used_ = bytes;  // A fresh block is aligned for anything.
  return last_->bytes();
}

void Arena::reset() {
  Block* first = last_;
  while (first != nullptr && first->before != nullptr) first = first->before;
  free_after(first);
  used_ = 0;
}

void Arena::free_after(Block* kept) {
  while (last_ != kept) {
    Block* block = std::exchange(last_, last_->before);
    if (sizeof(Block) + block->size == kFirstBlockBytes) spare_firsts.give(block);
    else ::operator delete(block);
  }
  size_ = last_ == nullptr ? 0 : last_->size;
}

}  // namespace lateen
