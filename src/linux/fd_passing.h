// Messages with descriptors over Unix packet sockets (SCM_RIGHTS).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "linux/fd.h"

namespace lateen::os {

inline constexpr std::size_t kMaxMessageBytes = 64 * 1024;
inline constexpr std::size_t kMaxPassedFds = 16;

struct Message {
  std::string text;
  std::vector<Fd> fds;
};
// Blocks while the socket is full. The receiver gets duplicates of `fds`.
Result<> send_message(int socket_fd, std::string_view text, const std::vector<int>& fds = {});
// Blocks until a message came. Unavailable when the peer closed.
Result<Message> receive_message(int socket_fd);

}  // namespace lateen::os
