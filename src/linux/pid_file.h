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
  // True while a process holds `path`, whatever is written in it.
  static bool is_held(const std::string& path);
  // The pid of the process that holds `path`; nullopt when none does, or when the number in the
  // file is not, or no longer, of a process that has it open.
  static std::optional<pid_t> holder(const std::string& path);
  // Whether process `pid` has `path` open: nobody else's number is to be trusted.
  static bool has_open(pid_t pid, const std::string& path);
  int fd() const { return fd_.get(); }

 private:
  PidFile(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  Fd fd_;
  std::string path_;
};

}  // namespace lateen::os
