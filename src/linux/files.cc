// Files.
#include "linux/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "linux/fd.h"

namespace lateen::os {
namespace {

Result<> write_all(int fd, std::string_view text, const std::string& path) {
  do {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return errno_error("writing " + path, errno);
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  } while (!text.empty());
  return {};
}

}  // namespace

Result<std::string> read_file(const std::string& path, std::size_t most_bytes) {
  const Fd fd = TRY(open_file(path, O_RDONLY));
  std::string text;
  char chunk[16384];
  while (true) {
    const ssize_t got = ::read(fd.get(), chunk, sizeof chunk);
    if (got == 0) return text;
    if (got < 0) {
      if (errno == EINTR) continue;
      return errno_error("reading " + path, errno);
    }
    text.append(chunk, static_cast<std::size_t>(got));
    if (text.size() > most_bytes)
      return Error(Code::kResourceExhausted,
                   fmt::format("reading {}: longer than {} bytes", path, most_bytes));
  }
}

Result<> write_file(const std::string& path, std::string_view text, int mode) {
  const Fd fd = TRY(open_file(path, O_WRONLY | O_CREAT | O_TRUNC, mode));
  return write_all(fd.get(), text, path);
}

Result<> write_file_atomic(const std::string& path, std::string_view text, int mode) {
  const std::string beside = fmt::format("{}.new-{}", path, ::getpid());
  auto written = [&]() -> Result<> {
    const Fd fd = TRY(open_file(beside, O_WRONLY | O_CREAT | O_TRUNC, mode));
    TRY(write_all(fd.get(), text, beside));
    if (::fchmod(fd.get(), static_cast<mode_t>(mode)) != 0 || ::fsync(fd.get()) != 0)
      return errno_error("writing " + beside, errno);
    if (::rename(beside.c_str(), path.c_str()) != 0) return errno_error("replacing " + path, errno);
    return {};
  }();
  if (!written.ok()) ::unlink(beside.c_str());
  return written;
}

Result<> make_directories(const std::string& path, int mode) {
  if (::mkdir(path.c_str(), static_cast<mode_t>(mode)) == 0) return {};
  if (errno == EEXIST)
    return is_directory(path) ? Result<>() : Result<>(errno_error("making " + path, ENOTDIR));
  if (errno != ENOENT) return errno_error("making directory " + path, errno);
  const std::size_t slash = path.find_last_of('/');
  if (slash == std::string::npos || slash == 0)
    return errno_error("making directory " + path, ENOENT);
  TRY(make_directories(path.substr(0, slash), mode));
  if (::mkdir(path.c_str(), static_cast<mode_t>(mode)) != 0 && errno != EEXIST)
    return errno_error("making directory " + path, errno);
  return {};
}

Result<> remove_tree(const std::string& path) {
  std::error_code failure;
  std::filesystem::remove_all(path, failure);
  if (failure) return errno_error("removing " + path, failure.value());
  return {};
}

bool path_exists(const std::string& path) {
  struct stat found {};
  return ::lstat(path.c_str(), &found) == 0;
}

bool is_directory(const std::string& path) {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode);
}

std::vector<std::string> list_directory(const std::string& path) {
  std::vector<std::string> names;
  std::error_code failure;
  for (std::filesystem::directory_iterator at(path, failure), end; !failure && at != end;
       at.increment(failure))
    names.push_back(at->path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::string own_program() {
  std::error_code failure;
  auto path = std::filesystem::read_symlink("/proc/self/exe", failure).string();
  // A program that was rebuilt while it runs: its path is still where the new one is.
  if (path.ends_with(" (deleted)")) path.resize(path.size() - 10);
  return path;
}

}  // namespace lateen::os
