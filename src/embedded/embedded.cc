// Looks files up in the table that tools/embed.py generates.
#include "base/embedded.h"

#include <algorithm>
#include <cstddef>
#include <span>

extern "C" {
struct LateenEmbeddedFile {
  const char* name;
  const char* data;
  std::size_t size;
};
extern const LateenEmbeddedFile lateen_embedded_table[];
extern const std::size_t lateen_embedded_count;
}

namespace lateen {

static std::span<const LateenEmbeddedFile> table() {
  return {lateen_embedded_table, lateen_embedded_count};
}

static const LateenEmbeddedFile* first_from(std::string_view path) {
  const auto files = table();
  return &*std::lower_bound(
      files.begin(), files.end(), path,
      [](const LateenEmbeddedFile& file, std::string_view text) { return file.name < text; });
}

std::optional<std::string_view> embedded_file(std::string_view path) {
  const LateenEmbeddedFile* file = first_from(path);
  if (file == table().data() + table().size() || file->name != path) return std::nullopt;
  return std::string_view(file->data, file->size);
}

std::vector<std::string_view> embedded_files(std::string_view prefix) {
  std::vector<std::string_view> paths;
  const LateenEmbeddedFile* end = table().data() + table().size();
  for (const auto* file = first_from(prefix);
       file != end && std::string_view(file->name).starts_with(prefix); ++file) {
    paths.push_back(file->name);
  }
  return paths;
}

}  // namespace lateen
