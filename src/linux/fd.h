// Fd owns a file descriptor; and the few ways to make pairs of them. All descriptors made here are
// close-on-exec.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace lateen::os {

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
  Result<Fd> duplicate() const;

 private:
  int fd_ = -1;
};

struct FdPair {
  Fd first;   // pipe: the reading end
  Fd second;  // pipe: the writing end
};
Result<FdPair> make_pipe();
// SOCK_SEQPACKET Unix sockets: one message a send.
Result<FdPair> make_packet_pair();
Result<Fd> open_file(const std::string& path, int flags, int mode = 0644);
Result<> set_nonblocking(int fd, bool is_on);

// A pseudo terminal: `first` is the master, `second` the slave.
Result<FdPair> make_pty(int columns, int rows);
// From the devpts whose ptmx this is, so that the slave has a name there: a container's, through
// /proc/PID/root.
Result<FdPair> make_pty_at(const std::string& ptmx_path, int columns, int rows);
void resize_pty(int master_fd, int columns, int rows);

}  // namespace lateen::os
