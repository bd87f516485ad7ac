// Pid files.
#include "linux/pid_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "base/strings.h"
#include "linux/files.h"

namespace lateen::os {

Result<PidFile> PidFile::acquire(const std::string& path) {
  PidFile file(TRY(open_file(path, O_RDWR | O_CREAT)), path);
  if (::flock(file.fd_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK)
      return Error(Code::kAlreadyExists, path + " is held by a running process");
    return errno_error("locking " + path, errno);
  }
  TRY(file.write_own_pid());
  return file;
}

Result<> PidFile::write_own_pid() {
  const std::string text = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd_.get(), 0) != 0 ||
      ::pwrite(fd_.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    return errno_error("writing " + path_, errno);
  return {};
}

std::optional<pid_t> PidFile::holder(const std::string& path) {
  auto fd = open_file(path, O_RDONLY);
  if (!fd.ok()) return std::nullopt;
  if (::flock(fd->get(), LOCK_SH | LOCK_NB) == 0) return std::nullopt;
  auto text = read_file(path, 64);
  if (!text.ok()) return std::nullopt;
  const auto pid = parse_int(trim(text.value()));
  return pid.has_value() && *pid > 0 ? std::optional(static_cast<pid_t>(*pid)) : std::nullopt;
}

}  // namespace lateen::os
