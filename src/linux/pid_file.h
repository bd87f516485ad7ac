// PidFile: a file with a process id, locked as long as that process lives. The lock, not the
// number, says whether it runs: it goes away with the process however that ends.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "linux/fd.h"

namespace lateen::os {

class PidFile {
 public:
  // Locks `path` and writes our pid. AlreadyExists when another process holds it. A fork shares the
  // lock: the process that should hold it calls write_own_pid() and the others drop theirs.
  static Result<PidFile> acquire(const std::string& path);
  Result<> write_own_pid();
  // The pid of the process that holds `path`; nullopt when none does.
  static std::optional<pid_t> holder(const std::string& path);
  int fd() const { return fd_.get(); }

 private:
  PidFile(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  Fd fd_;
  std::string path_;
};

}  // namespace lateen::os
