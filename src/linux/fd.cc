// Descriptors.
#include "linux/fd.h"

#include <fcntl.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace lateen::os {

Result<FdPair> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return errno_error("making a pipe", errno);
  return FdPair{Fd(ends[0]), Fd(ends[1])};
}

Result<FdPair> make_packet_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return errno_error("making a socket pair", errno);
  return FdPair{Fd(ends[0]), Fd(ends[1])};
}

Result<Fd> open_file(const std::string& path, int flags, int mode) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  if (fd < 0) return errno_error("opening " + path, errno);
  return Fd(fd);
}

Result<> set_nonblocking(int fd, bool is_on) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return errno_error("reading descriptor flags", errno);
  if (::fcntl(fd, F_SETFL, is_on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) < 0)
    return errno_error("setting descriptor flags", errno);
  return {};
}

Result<FdPair> make_pty(int columns, int rows) {
  winsize size{};
  size.ws_col = static_cast<unsigned short>(columns);
  size.ws_row = static_cast<unsigned short>(rows);
  int master = -1;
  int slave = -1;
  if (::openpty(&master, &slave, nullptr, nullptr, &size) != 0)
    return errno_error("making a pseudo terminal", errno);
  ::fcntl(master, F_SETFD, FD_CLOEXEC);
  ::fcntl(slave, F_SETFD, FD_CLOEXEC);
  return FdPair{Fd(master), Fd(slave)};
}

Result<FdPair> make_pty_at(const std::string& ptmx_path, int columns, int rows) {
  Fd master = TRY(open_file(ptmx_path, O_RDWR | O_NOCTTY));
  int unlocked = 0;
  if (::ioctl(master.get(), TIOCSPTLCK, &unlocked) != 0)
    return errno_error("unlocking a terminal", errno);
  Fd slave(::ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!slave.is_open()) return errno_error("opening a terminal", errno);
  resize_pty(master.get(), columns, rows);
  return FdPair{std::move(master), std::move(slave)};
}

void resize_pty(int master_fd, int columns, int rows) {
  winsize size{};
  size.ws_col = static_cast<unsigned short>(columns);
  size.ws_row = static_cast<unsigned short>(rows);
  ::ioctl(master_fd, TIOCSWINSZ, &size);
}

}  // namespace lateen::os
