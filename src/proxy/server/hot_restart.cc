// SOCK_SEQPACKET keeps messages apart. Only processes of the same user are answered.

#include "proxy/server/hot_restart.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "base/log.h"

namespace lateen::proxy {
namespace {

constexpr std::size_t kMostSockets = 250;  // SCM_MAX_FD is 253
constexpr std::size_t kMostMessage = 512;
constexpr timeval kLimit{5, 0};

socklen_t name_of(const std::string& base_id, unsigned epoch, sockaddr_un& out) {
  std::memset(&out, 0, sizeof out);
  out.sun_family = AF_UNIX;
  const std::string name = "lateen_restart_" + std::to_string(getuid()) + "_" +
                           base_id.substr(0, 40) + "_" + std::to_string(epoch);
  std::memcpy(out.sun_path + 1, name.data(), name.size());
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
}

bool send_message(int socket, const std::string& text, const std::vector<Fd>& sockets) {
  iovec part{const_cast<char*>(text.data()), text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  const std::size_t count = std::min(sockets.size(), kMostSockets);
  std::vector<char> control(CMSG_SPACE(sizeof(int) * std::max<std::size_t>(1, count)));
  if (count > 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * count);
    for (std::size_t i = 0; i < count; ++i) {
      const int fd = sockets[i].get();
      std::memcpy(CMSG_DATA(header) + i * sizeof(int), &fd, sizeof fd);
    }
  }
  return ::sendmsg(socket, &message, MSG_NOSIGNAL) >= 0;
}

// False at the end or on an error, which errno tells.
bool receive_message(int socket, std::string& text, std::vector<Fd>& sockets) {
  std::array<char, kMostMessage> bytes;
  iovec part{bytes.data(), bytes.size()};
  std::vector<char> control(CMSG_SPACE(sizeof(int) * kMostSockets));
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t count = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (count <= 0) return false;
  text.assign(bytes.data(), static_cast<std::size_t>(count));
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t fds = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < fds; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
      sockets.emplace_back(fd);
    }
  }
  return true;
}

}  // namespace

Result<std::unique_ptr<RestartServer>> RestartServer::listen(event::Loop& loop,
                                                             const std::string& base_id,
                                                             unsigned epoch, Hooks hooks) {
  auto made = std::unique_ptr<RestartServer>(new RestartServer(loop, std::move(hooks)));
  made->listening_ = Fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un name;
  const socklen_t length = name_of(base_id, epoch, name);
  if (!made->listening_.is_open() ||
      ::bind(made->listening_.get(), reinterpret_cast<sockaddr*>(&name), length) != 0 ||
      ::listen(made->listening_.get(), 4) != 0)
    return errno_error("hot restart: binding for base id " + base_id + ", epoch " +
                           std::to_string(epoch) + " (see --base-id, --disable-hot-restart)",
                       errno);
  made->listening_watch_ = loop.watch(
      made->listening_.get(), [self = made.get()](event::FdWatch::Ready) { self->on_child(); });
  return made;
}

RestartServer::~RestartServer() { *is_alive_ = false; }

void RestartServer::on_child() {
  for (;;) {
    Fd socket(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.is_open()) return;
    ucred peer{};
    socklen_t length = sizeof peer;
    if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 ||
        peer.uid != getuid())
      continue;
    child_watch_.reset();
    child_ = std::move(socket);
    LOG(kInfo, "restart", "process {} takes over", peer.pid);
    child_watch_ = loop_.watch(child_.get(), [this](event::FdWatch::Ready) { on_request(); });
    on_request();
  }
}

void RestartServer::on_request() {
  for (;;) {
    std::string text;
    std::vector<Fd> none;
    if (!child_.is_open() || !receive_message(child_.get(), text, none)) return;
    if (text.starts_with("take ")) {
      const auto address = net::Address::parse(std::string_view(text).substr(5));
      if (!address.ok()) {
        reply("error " + address.error().message(), {});
        continue;
      }
      hooks_.take(*address, [this, alive = is_alive_](std::vector<Fd> sockets) {
        if (*alive) reply("ok", sockets);
      });
      continue;
    }
    const auto run = [&](const std::function<void()>& hook) {
      // Whatever it does, the child has its answer first.
      reply("ok", {});
      loop_.defer([hook, alive = is_alive_] {
        if (*alive) hook();
      });
    };
    if (text == "admin") run(hooks_.stop_admin);
    else if (text == "drain") run(hooks_.drain);
    else if (text == "terminate") run(hooks_.terminate);
    else reply("error unknown request", {});
  }
}

void RestartServer::reply(const std::string& text, const std::vector<Fd>& sockets) {
  if (child_.is_open() && !send_message(child_.get(), text, sockets))
    LOG(kWarn, "restart", "answering the next process: {}", std::strerror(errno));
}

Result<std::unique_ptr<RestartParent>> RestartParent::connect(const std::string& base_id,
                                                              unsigned epoch) {
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un name;
  const socklen_t length = name_of(base_id, epoch, name);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &kLimit, sizeof kLimit);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &kLimit, sizeof kLimit);
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&name), length) != 0)
    return Error(Code::kNotFound,
                 "hot restart: no process with base id " + base_id + " and epoch " +
                     std::to_string(epoch) + " (" + std::strerror(errno) +
                     "); start with --restart-epoch 0",
                 Blame::kConfig);
  return std::unique_ptr<RestartParent>(new RestartParent(std::move(socket)));
}

Result<std::vector<Fd>> RestartParent::exchange(const std::string& request) {
  std::vector<Fd> sockets;
  std::string answer;
  if (!send_message(socket_.get(), request, {}) || !receive_message(socket_.get(), answer, sockets))
    return unavailable("hot restart: the parent does not answer '" + request + "'");
  if (answer != "ok") return unavailable("hot restart: '" + request + "': " + answer);
  return sockets;
}

Result<> RestartParent::call(const std::string& request) {
  TRY(exchange(request));
  return {};
}

Result<std::vector<Fd>> RestartParent::take(const net::Address& address) {
  return exchange("take " + address.to_string());
}

}  // namespace lateen::proxy
