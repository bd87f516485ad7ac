// Pid files.
#include "linux/pid_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/strings.h"
#include "linux/files.h"

namespace lateen::os {
namespace {

constexpr int kMostAttempts = 10;

bool is_same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

}  // namespace

Result<PidFile> PidFile::acquire(const std::string& path) {
  // Its last owner may remove the file while we wait for the lock: then ours is of no use.
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    PidFile file(TRY(open_file(path, O_RDWR | O_CREAT)), path);
    if (::flock(file.fd_.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK)
        return Error(Code::kAlreadyExists, path + " is held by a running process");
      return errno_error("locking " + path, errno);
    }
    struct stat ours {};
    struct stat named {};
    if (::fstat(file.fd_.get(), &ours) != 0 || ::stat(path.c_str(), &named) != 0 ||
        !is_same_file(ours, named))
      continue;
    if (auto written = file.write_own_pid(); !written.ok()) {
      ::unlink(path.c_str());
      return std::move(written).error();
    }
    return file;
  }
  return unavailable(path + " is removed again and again");
}

Result<> PidFile::write_own_pid() {
  const std::string text = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd_.get(), 0) != 0 ||
      ::pwrite(fd_.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    return errno_error("writing " + path_, errno);
  return {};
}

bool PidFile::is_held(const std::string& path) {
  auto fd = open_file(path, O_RDONLY);
  return fd.ok() && ::flock(fd->get(), LOCK_SH | LOCK_NB) != 0;
}

bool PidFile::has_open(pid_t pid, const std::string& path) {
  struct stat wanted {};
  if (::stat(path.c_str(), &wanted) != 0) return false;
  const std::string directory = "/proc/" + std::to_string(pid) + "/fd";
  for (const std::string& name : list_directory(directory)) {
    struct stat open {};
    if (::stat((directory + "/" + name).c_str(), &open) == 0 && is_same_file(wanted, open))
      return true;
  }
  return false;
}

std::optional<pid_t> PidFile::holder(const std::string& path) {
  if (!is_held(path)) return std::nullopt;
  auto text = read_file(path, 64);
  if (!text.ok()) return std::nullopt;
  const auto pid = parse_int(trim(text.value()));
  if (!pid.has_value() || *pid <= 0 || !has_open(static_cast<pid_t>(*pid), path))
    return std::nullopt;
  return static_cast<pid_t>(*pid);
}

}  // namespace lateen::os
