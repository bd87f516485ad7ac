// Fd owns one file descriptor: it is closed when its owner goes, and never by two.
#pragma once

#include <utility>

#include "base/result.h"

namespace lateen {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      close();
      fd_ = other.release();
    }
    return *this;
  }
  ~Fd() { close(); }
  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void close();
  // Another descriptor of the same open file, close-on-exec (fcntl F_DUPFD_CLOEXEC).
  Result<Fd> duplicate() const;

 private:
  int fd_ = -1;
};

}  // namespace lateen
