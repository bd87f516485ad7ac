// Ports.
#include "linux/ports.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <set>

#include "base/strings.h"
#include "linux/files.h"

namespace lateen::os {
namespace {

// Inodes of the listening sockets on `port`, from /proc/net/tcp's columns: slot, local address,
// remote, state, …
std::set<std::string> listening_inodes(int port) {
  std::set<std::string> inodes;
  const std::string wanted = fmt::format(":{:04X}", port);
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    auto text = read_file(table);
    if (!text.ok()) continue;
    for (std::string_view line : split(text.value(), '\n')) {
      std::vector<std::string_view> fields;
      for (std::string_view field : split(line, ' '))
        if (!field.empty()) fields.push_back(field);
      if (fields.size() > 9 && fields[3] == "0A" && fields[1].ends_with(wanted))
        inodes.emplace(fields[9]);
    }
  }
  return inodes;
}

}  // namespace

std::string port_holder(int port) {
  const auto inodes = listening_inodes(port);
  if (inodes.empty()) return {};
  for (const std::string& pid : list_directory("/proc")) {
    if (!parse_uint(pid).has_value()) continue;
    const std::string directory = "/proc/" + pid + "/fd";
    for (const std::string& fd : list_directory(directory)) {
      char target[64] = {};
      if (::readlink((directory + "/" + fd).c_str(), target, sizeof target - 1) <= 0) continue;
      std::string_view link = target;
      if (!link.starts_with("socket:[") || !link.ends_with("]")) continue;
      if (!inodes.contains(std::string(link.substr(8, link.size() - 9)))) continue;
      auto name = read_file("/proc/" + pid + "/comm", 256);
      return fmt::format("{} (pid {})", name.ok() ? trim(name.value()) : "a process", pid);
    }
  }
  return {};
}

Result<Fd> reserve_loopback_port(int port) {
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.is_open()) return errno_error("making a socket", errno);
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  if (errno == EACCES)
    return Error(Code::kPermissionDenied,
                 fmt::format("port {} is below 1024 and not permitted to this user (sysctl "
                             "net.ipv4.ip_unprivileged_port_start)",
                             port));
  if (errno != EADDRINUSE) return errno_error(fmt::format("binding 127.0.0.1:{}", port), errno);
  const std::string holder = port_holder(port);
  return Error(Code::kAlreadyExists,
               fmt::format("port {} is in use{}", port, holder.empty() ? "" : " by " + holder));
}

Result<Fd> bind_loopback_udp(int port) {
  Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.is_open()) return errno_error("making a socket", errno);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  if (errno == EADDRINUSE)
    return Error(Code::kAlreadyExists, fmt::format("UDP port {} is in use", port));
  return errno_error(fmt::format("binding UDP port 127.0.0.1:{}", port), errno);
}

Result<> start_listening(int fd) {
  if (::listen(fd, 4096) != 0) return errno_error("listening", errno);
  return {};
}

}  // namespace lateen::os
