// Datagrams through the relay, over real sockets.
#include "cluster/balancer/udp_relay.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <future>
#include <thread>

#include "event/epoll_loop.h"

namespace lateen::cluster::balancer {
namespace {

Fd bound_socket() {
  Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  return fd;
}

sockaddr_storage address_of(const Fd& fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  EXPECT_EQ(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  return address;
}

// What comes next, with its sender; empty after ten seconds of nothing.
std::string receive(const Fd& fd, sockaddr_storage* from = nullptr) {
  pollfd ready{fd.get(), POLLIN, 0};
  if (::poll(&ready, 1, 10'000) != 1) return {};
  char buffer[100];
  sockaddr_storage sender{};
  socklen_t length = sizeof sender;
  const ssize_t got =
      ::recvfrom(fd.get(), buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&sender), &length);
  if (from != nullptr) *from = sender;
  return got < 0 ? std::string() : std::string(buffer, static_cast<std::size_t>(got));
}

void send_to(const Fd& fd, const sockaddr_storage& to, std::string_view text) {
  EXPECT_EQ(::sendto(fd.get(), text.data(), text.size(), 0, reinterpret_cast<const sockaddr*>(&to),
                     sizeof(sockaddr_in)),
            static_cast<ssize_t>(text.size()));
}

TEST(UdpRelay, KeepsClientsApart) {
  SystemClock clock;
  auto loop = *event::make_epoll_loop(clock, system_random());
  Fd listening = bound_socket();
  const Fd server = bound_socket();
  const Fd one = bound_socket();
  const Fd two = bound_socket();
  const auto entrance = address_of(listening);
  const auto inside = address_of(server);
  auto to =
      net::Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&inside), sizeof(sockaddr_in));
  ASSERT_TRUE(to.ok());
  std::unique_ptr<UdpRelay> relay;
  std::thread thread([&] { loop->run(); });
  std::promise<void> made;
  loop->post([&] {
    relay = std::make_unique<UdpRelay>(*loop, std::move(listening), *to);
    made.set_value();
  });
  made.get_future().wait();
  for (const auto& [client, name] : {std::pair{&one, "one"}, std::pair{&two, "two"}}) {
    send_to(*client, entrance, name);
    sockaddr_storage from{};
    EXPECT_EQ(receive(server, &from), name);
    send_to(server, from, std::string("hello ") + name);
    EXPECT_EQ(receive(*client), std::string("hello ") + name);
  }
  loop->post([&] {
    relay.reset();
    loop->stop();
  });
  thread.join();
}

}  // namespace
}  // namespace lateen::cluster::balancer
