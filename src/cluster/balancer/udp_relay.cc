// See udp_relay.h.
#include "cluster/balancer/udp_relay.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <map>

namespace lateen::cluster::balancer {
namespace {

constexpr std::size_t kMostClients = 1024;
constexpr seconds kSilence{60};
constexpr int kDatagramsPerTurn = 64;

}  // namespace

struct UdpRelay::State {
  struct Client {
    Fd socket;
    sockaddr_storage address{};
    socklen_t length = 0;
    SteadyTime last{};
    std::unique_ptr<event::FdWatch> watch;
  };

  State(event::Loop& loop, Fd listening, net::Address to)
      : loop(loop), listening(std::move(listening)), to(std::move(to)) {}

  void read_clients() {
    for (int i = 0; i < kDatagramsPerTurn; ++i) {
      sockaddr_storage from{};
      socklen_t length = sizeof from;
      const ssize_t got = ::recvfrom(listening.get(), buffer.data(), buffer.size(), MSG_DONTWAIT,
                                     reinterpret_cast<sockaddr*>(&from), &length);
      if (got < 0) return;
      Client* client = client_of(from, length);
      if (client == nullptr) continue;  // as a full network would
      client->last = loop.now();
      (void)!::send(client->socket.get(), buffer.data(), static_cast<std::size_t>(got),
                    MSG_DONTWAIT);
    }
    event::after(scope, loop, milliseconds(0), [this] { read_clients(); });
  }

  void read_answers(Client& client) {
    while (true) {  // what fits into a socket's buffer
      const ssize_t got = ::recv(client.socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got < 0) return;
      client.last = loop.now();
      (void)!::sendto(listening.get(), buffer.data(), static_cast<std::size_t>(got), MSG_DONTWAIT,
                      reinterpret_cast<const sockaddr*>(&client.address), client.length);
    }
  }

  Client* client_of(const sockaddr_storage& from, socklen_t length) {
    auto address = net::Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&from), length);
    if (!address.ok()) return nullptr;
    if (const auto found = clients.find(*address); found != clients.end()) return &found->second;
    if (clients.size() >= kMostClients) return nullptr;
    Fd socket(::socket(to.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_storage target{};
    auto target_length = to.to_sockaddr(target);
    if (!socket.is_open() || !target_length.ok() ||
        ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&target), *target_length) != 0)
      return nullptr;
    Client& client = clients[*address];
    client.socket = std::move(socket);
    client.address = from;
    client.length = length;
    client.watch = loop.watch(client.socket.get(),
                              [this, &client](event::FdWatch::Ready) { read_answers(client); });
    return &client;
  }

  void forget_silent() {
    const SteadyTime limit = loop.now() - kSilence;
    std::erase_if(clients, [&](const auto& entry) { return entry.second.last < limit; });
    event::after(scope, loop, kSilence / 2, [this] { forget_silent(); });
  }

  event::Loop& loop;
  Fd listening;
  net::Address to;
  std::array<char, 65536> buffer;
  std::map<net::Address, Client> clients;
  std::unique_ptr<event::FdWatch> watch;
  event::Scope scope;
};

UdpRelay::UdpRelay(event::Loop& loop, Fd listening, net::Address to)
    : state_(std::make_unique<State>(loop, std::move(listening), std::move(to))) {
  state_->watch =
      loop.watch(state_->listening.get(),
                 [state = state_.get()](event::FdWatch::Ready) { state->read_clients(); });
  state_->forget_silent();
}

UdpRelay::~UdpRelay() = default;

}  // namespace lateen::cluster::balancer
