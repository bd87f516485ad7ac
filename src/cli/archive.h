// A gzipped tar file that is written from memory, entry by entry.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace lateen::cli {

// POSIX ustar. Not thread-safe.
class Archive {
 public:
  static Result<std::unique_ptr<Archive>> create(const std::string& path);
  ~Archive();
  // A regular file of mode 0644. Names longer than a tar header holds are an error.
  Result<> add(const std::string& name, std::string_view text);
  // Must be called for the archive to be whole.
  Result<> finish();

 private:
  explicit Archive(std::string path, void* file) : path_(std::move(path)), file_(file) {}
  Result<> write(std::string_view bytes);

  std::string path_;
  void* file_;  // zlib's gzFile
};

}  // namespace lateen::cli
