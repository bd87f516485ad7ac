// The few ways to make descriptors and pairs of them. All are close-on-exec.
#pragma once

#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace lateen::os {

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
