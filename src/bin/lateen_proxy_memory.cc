// operator new and delete of the proxy, and OpenSSL's memory: small blocks that a thread freed are
// kept by that thread and given out again. A request makes and frees some fifty of them, and
// malloc's own cache, with its seven blocks of a size, its checks and its bookkeeping, costs ten
// times as much for each. All blocks are malloc's, so that what one thread, or a library in C,
// hands to another stays free()'s to take. Sanitizers need to see every block: not with them.

#include "bin/lateen_proxy_memory.h"

#include <malloc.h>
#include <openssl/crypto.h>

#include <cstdlib>
#include <memory>  // std::__throw_bad_alloc
#include <new>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
void set_up_memory() {}
#else
namespace {

constexpr std::size_t kStep = 16;        // malloc's
constexpr std::size_t kMostBytes = 512;  // larger ones are rare, or kept by their owners
constexpr std::size_t kMostKept = 48;    // blocks of a size: at most 200 KB a thread in all
constexpr std::size_t kClasses = kMostBytes / kStep + 2;
// OpenSSL takes a buffer of 16 KiB and some for each record and gives it back after it.
constexpr std::size_t kRecordBytes = 18 * 1024;
constexpr std::size_t kLeastRecordBytes = 16 * 1024;
constexpr std::size_t kMostRecords = 4;

// malloc gives sizes of 24, 40, 56, …: which of them holds `bytes`.
constexpr std::size_t class_of(std::size_t bytes) {
  return bytes <= 24 ? 1 : (bytes + kStep - 9) / kStep;
}

struct Spare {
  Spare* next;
};
struct Shelf {
  Spare* first;
  std::size_t count;
};
// Without a destructor, so that it costs no guard; ends with Sweeper.
struct Shelves {
  Shelf shelves[kClasses];
  Shelf records;
  bool is_open;    // the thread's Sweeper lives
  bool is_closed;  // the thread is ending
};
thread_local constinit Shelves kept{};

// Gives the blocks back when its thread ends.
struct Sweeper {
  Sweeper() { kept.is_open = true; }
  ~Sweeper() {
    kept.is_open = false;
    kept.is_closed = true;
    for (Shelf& shelf : kept.shelves) clear(shelf);
    clear(kept.records);
  }
  static void clear(Shelf& shelf) {
    while (shelf.first != nullptr) {
      Spare* gone = shelf.first;
      shelf.first = gone->next;
      std::free(gone);
    }
    shelf.count = 0;
  }
};

bool open_shelves() {
  if (kept.is_closed) return false;
  thread_local Sweeper sweeper;
  return kept.is_open;
}

// nullptr: there is none.
void* take_from(Shelf& shelf) {
  Spare* spare = shelf.first;
  if (spare == nullptr) return nullptr;
  shelf.first = spare->next;
  --shelf.count;
  return spare;
}

void* take(std::size_t bytes) {
  if (bytes <= kMostBytes) {
    if (void* spare = take_from(kept.shelves[class_of(bytes)])) return spare;
  } else if (bytes >= kLeastRecordBytes && bytes <= kRecordBytes) {
    if (void* spare = take_from(kept.records)) return spare;
    bytes = kRecordBytes;
  }
  return std::malloc(bytes > 0 ? bytes : 1);
}

// False: it is malloc's again.
bool put(Shelf& shelf, std::size_t most, void* block) {
  if (shelf.count >= most || !(kept.is_open || open_shelves())) return false;
  auto* spare = static_cast<Spare*>(block);
  spare->next = shelf.first;
  shelf.first = spare;
  ++shelf.count;
  return true;
}

void give(void* block) {
  if (block == nullptr) return;
  // What malloc says of the block decides, not what the caller does.
  const std::size_t held = malloc_usable_size(block);
  if (held <= kMostBytes + 8) {
    if (put(kept.shelves[(held + 8) / kStep - 1], kMostKept, block)) return;
  } else if (held >= kRecordBytes && held <= kRecordBytes + kStep) {
    if (put(kept.records, kMostRecords, block)) return;
  }
  std::free(block);
}

void* take_or_throw(std::size_t bytes) {
  void* block = take(bytes);
  if (block == nullptr) std::__throw_bad_alloc();
  return block;
}

}  // namespace

void* operator new(std::size_t bytes) { return take_or_throw(bytes); }
void* operator new[](std::size_t bytes) { return take_or_throw(bytes); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return take(bytes); }
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept { return take(bytes); }
void operator delete(void* block) noexcept { give(block); }
void operator delete[](void* block) noexcept { give(block); }
void operator delete(void* block, std::size_t) noexcept { give(block); }
void operator delete[](void* block, std::size_t) noexcept { give(block); }
void operator delete(void* block, const std::nothrow_t&) noexcept { give(block); }
void operator delete[](void* block, const std::nothrow_t&) noexcept { give(block); }

void set_up_memory() {
  // By default malloc gives the end of a heap back to the kernel from 128 KiB on, and large bodies
  // make it fault the same pages in again and again: a fifth of their cost. What is kept goes when
  // the configuration was quiet (base/resident.h).
  mallopt(M_TRIM_THRESHOLD, 4 << 20);
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  CRYPTO_set_mem_functions(
      [](std::size_t bytes, const char*, int) { return bytes > 0 ? take(bytes) : nullptr; },
      [](void* block, std::size_t bytes, const char*, int) { return std::realloc(block, bytes); },
      [](void* block, const char*, int) { give(block); });
}
#endif
