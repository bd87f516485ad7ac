// SCM_RIGHTS.
#include "linux/fd_passing.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace lateen::os {

Result<> send_message(int socket_fd, std::string_view text, const std::vector<int>& fds) {
  if (text.empty() || text.size() > kMaxMessageBytes || fds.size() > kMaxPassedFds)
    return invalid("a message between Lateen's processes is empty or too large");
  iovec part{const_cast<char*>(text.data()), text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxPassedFds)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    std::memcpy(CMSG_DATA(header), fds.data(), sizeof(int) * fds.size());
  }
  while (::sendmsg(socket_fd, &message, MSG_NOSIGNAL) < 0)
    if (errno != EINTR) return errno_error("sending to the other process", errno);
  return {};
}

Result<Message> receive_message(int socket_fd) {
  Message received;
  received.text.resize(kMaxMessageBytes);
  iovec part{received.text.data(), received.text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxPassedFds)];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t got;
  do {
    got = ::recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return errno_error("receiving from the other process", errno);
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
      received.fds.emplace_back(fd);
    }
  }
  if (got == 0) return unavailable("the other process closed its end");
  received.text.resize(static_cast<std::size_t>(got));
  return received;
}

}  // namespace lateen::os
