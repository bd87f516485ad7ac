// Only segments that were never writable are unmapped: their pages equal the file's. The others
// hold relocations and data that exist nowhere else.
#include "base/resident.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace lateen {

static int release_segments(dl_phdr_info* object, std::size_t, void*) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const auto& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    const std::uintptr_t from = (object->dlpi_addr + segment.p_vaddr) & ~(page - 1);
    const std::uintptr_t to = object->dlpi_addr + segment.p_vaddr + segment.p_memsz;
    // Fails for what is not a file's, as the kernel's own object: then it stays.
    ::madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);  // NOLINT
  }
  return 0;
}

void release_unused_pages() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return;  // their run-time patches code in memory
#endif
  ::dl_iterate_phdr(release_segments, nullptr);
  ::malloc_trim(0);
}

}  // namespace lateen
