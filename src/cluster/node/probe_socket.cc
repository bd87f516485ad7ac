// Probe connections, and just enough HTTP/2 for one unary health check: fixed frames out, frames in
// until a DATA frame or a reset. The proxy's codec is for servers under load; a probe is four
// frames.
#include "cluster/node/probe_socket.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace lateen::cluster::node {

Result<ProbeSocket> ProbeSocket::connect(const std::string& ip, int port, milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  if (::inet_pton(AF_INET, ip.c_str(), &address.sin_addr) != 1)
    return invalid(ip + " is no IPv4 address");
  ProbeSocket socket(Fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)),
                     deadline);
  if (!socket.fd_.is_open()) return errno_error("making a socket", errno);
  const auto failed = [&](std::string_view why) {
    return unavailable(fmt::format("dial tcp {}:{}: {}", ip, port, why), Blame::kUpstream);
  };
  // Time-wait sockets of probes by the thousand would use the ports up: close with a reset, as the
  // kubelet does.
  const linger reset{1, 0};
  ::setsockopt(socket.fd_.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  if (::connect(socket.fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
    return socket;
  if (errno != EINPROGRESS) return failed(fmt::format("connect: {}", std::strerror(errno)));
  if (!socket.wait(POLLOUT).ok()) return failed("i/o timeout");
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(socket.fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error == ECONNREFUSED) return failed("connect: connection refused");
  if (error != 0) return failed(fmt::format("connect: {}", std::strerror(error)));
  return socket;
}

Result<> ProbeSocket::wait(short events) {
  const auto left = std::chrono::ceil<milliseconds>(deadline_ - std::chrono::steady_clock::now());
  pollfd watched{fd_.get(), events, 0};
  if (left.count() > 0 && ::poll(&watched, 1, static_cast<int>(left.count())) > 0) return {};
  return Error(Code::kDeadlineExceeded, "context deadline exceeded", Blame::kUpstream);
}

Result<> ProbeSocket::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      TRY(wait(POLLOUT));
    } else if (errno != EINTR) {
      return errno_error("write", errno);
    }
  }
  return {};
}

Result<std::string> ProbeSocket::receive() {
  char chunk[8192];
  while (true) {
    const ssize_t got = ::recv(fd_.get(), chunk, sizeof chunk, 0);
    if (got >= 0) return std::string(chunk, static_cast<std::size_t>(got));
    if (errno == EAGAIN) {
      TRY(wait(POLLIN));
    } else if (errno != EINTR) {
      return errno_error("read", errno);
    }
  }
}

namespace {

std::string frame(int type, int flags, int stream, const std::string& payload) {
  std::string bytes;
  for (int shift : {16, 8, 0}) bytes += static_cast<char>(payload.size() >> shift);
  bytes += static_cast<char>(type);
  bytes += static_cast<char>(flags);
  for (int shift : {24, 16, 8, 0}) bytes += static_cast<char>(stream >> shift);
  return bytes + payload;
}

// HPACK: a literal field without indexing and without Huffman (RFC 7541 §6.2.2); texts are below
// 127 bytes.
std::string header(const std::string& name, const std::string& value) {
  std::string bytes(1, '\0');
  bytes += static_cast<char>(name.size());
  bytes += name;
  bytes += static_cast<char>(value.size());
  return bytes + value;
}

}  // namespace

Result<> check_grpc_health(ProbeSocket& socket, const std::string& authority,
                           const std::string& service) {
  if (service.size() > 100 || authority.size() > 100)
    return invalid("the probe's service name is too long");
  std::string message;
  if (!service.empty()) message = std::string("\x0a") + static_cast<char>(service.size()) + service;
  std::string body("\0\0\0\0", 4);
  body += static_cast<char>(message.size());
  body += message;
  const std::string headers = header(":method", "POST") + header(":scheme", "http") +
                              header(":path", "/grpc.health.v1.Health/Check") +
                              header(":authority", authority) +
                              header("content-type", "application/grpc") + header("te", "trailers");
  TRY(socket.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, "") +
                  frame(1, 4, 1, headers) + frame(0, 1, 1, body)));
  std::string in;
  while (true) {
    const std::string got = TRY(socket.receive());
    if (got.empty())
      return unavailable("the connection closed before the health check was answered");
    in += got;
    while (in.size() >= 9) {
      const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(in[at]); };
      const std::size_t length = byte(0) << 16 | byte(1) << 8 | byte(2);
      if (length > 65536) return unavailable("the port does not speak gRPC");
      if (in.size() < 9 + length) break;
      const int type = byte(3);
      const int flags = byte(4);
      const std::string payload = in.substr(9, length);
      in.erase(0, 9 + length);
      if (type == 4 && (flags & 1) == 0) TRY(socket.send(frame(4, 1, 0, "")));
      if (type == 0 && payload.size() >= 5) {
        // HealthCheckResponse{status: SERVING} is 08 01; anything else is not healthy.
        if (payload.substr(5) == std::string("\x08\x01", 2)) return {};
        return unavailable("service unhealthy (responded with \"NOT_SERVING\")");
      }
      if (type == 3 || type == 7) return unavailable("the health check was refused");
      if (type == 1 && (flags & 1) != 0)
        return unavailable("the server does not implement the grpc health protocol");
    }
  }
}

}  // namespace lateen::cluster::node
