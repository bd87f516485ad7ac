// Splicing both ways through pipes: bytes never come up into user space.
#include "cluster/balancer/relay.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <map>

#include "base/log.h"

namespace lateen::cluster::balancer {

namespace {

constexpr std::size_t kMostConnections = 4096;
constexpr std::size_t kChunkBytes = 256 * 1024;

// One direction: from a socket through a pipe to the other socket.
struct Flow {
  Fd pipe_out, pipe_in;
  std::size_t in_pipe = 0;
  bool is_ended = false;  // the source sent FIN
  bool is_shut = false;   // told the target so
};

bool open_pipe(Flow& flow) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return false;
  flow.pipe_out = Fd(ends[0]);
  flow.pipe_in = Fd(ends[1]);
  return true;
}

// Moves what can be moved now. False when the connection is broken.
bool pump(Flow& flow, int from, int to) {
  while (true) {
    bool has_moved = false;
    if (!flow.is_ended) {
      const ssize_t got = ::splice(from, nullptr, flow.pipe_in.get(), nullptr, kChunkBytes,
                                   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
      if (got > 0) {
        flow.in_pipe += static_cast<std::size_t>(got);
        has_moved = true;
      } else if (got == 0) {
        flow.is_ended = true;
      } else if (errno != EAGAIN && errno != EINTR) {
        return false;
      }
    }
    if (flow.in_pipe > 0) {
      const ssize_t sent = ::splice(flow.pipe_out.get(), nullptr, to, nullptr, flow.in_pipe,
                                    SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
      if (sent > 0) {
        flow.in_pipe -= static_cast<std::size_t>(sent);
        has_moved = true;
      } else if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        return false;
      }
    }
    if (flow.is_ended && flow.in_pipe == 0 && !flow.is_shut) {
      flow.is_shut = true;
      ::shutdown(to, SHUT_WR);
    }
    if (!has_moved) return true;
  }
}

void reset_on_close(int fd) {
  const linger now{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

}  // namespace

struct Relay::State {
  State(event::Loop& loop, Fd listening, net::Address to)
      : loop(loop), listening(std::move(listening)), to(std::move(to)) {}
  void accept_ready();
  void close(std::uint64_t id);

  event::Loop& loop;
  Fd listening;
  net::Address to;
  std::uint64_t next_id = 0;
  std::map<std::uint64_t, std::unique_ptr<Connection>> connections;
  std::unique_ptr<event::FdWatch> watch;
  event::Scope scope;
};

class Relay::Connection {
 public:
  Connection(State& relay, std::uint64_t id, Fd client, Fd server)
      : relay_(relay), id_(id), client_(std::move(client)), server_(std::move(server)) {}

  bool start(bool is_connected) {
    if (!open_pipe(up_) || !open_pipe(down_)) return false;
    is_connected_ = is_connected;
    const auto ready = [this](event::FdWatch::Ready) { turn(); };
    client_watch_ = relay_.loop.watch(client_.get(), ready);
    server_watch_ = relay_.loop.watch(server_.get(), ready);
    return true;
  }

 private:
  void turn() {
    if (!is_connected_) {
      int error = 0;
      socklen_t size = sizeof error;
      ::getsockopt(server_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      if (error != 0) return end(true);
      sockaddr_storage peer{};
      socklen_t length = sizeof peer;
      if (::getpeername(server_.get(), reinterpret_cast<sockaddr*>(&peer), &length) != 0)
        return;  // not yet
      is_connected_ = true;
    }
    if (!pump(up_, client_.get(), server_.get()) || !pump(down_, server_.get(), client_.get()))
      return end(true);
    if (up_.is_shut && down_.is_shut) end(false);
  }
  void end(bool is_broken) {
    if (is_broken) {
      reset_on_close(client_.get());
      reset_on_close(server_.get());
    }
    // We are inside our own watch's callback: the relay destroys us at the end of the turn.
    if (is_over_) return;
    is_over_ = true;
    relay_.loop.defer([&relay = relay_, id = id_] { relay.close(id); });
  }

  State& relay_;
  const std::uint64_t id_;
  Fd client_, server_;
  Flow up_, down_;
  bool is_connected_ = false;
  bool is_over_ = false;
  std::unique_ptr<event::FdWatch> client_watch_, server_watch_;
};

void Relay::State::close(std::uint64_t id) { connections.erase(id); }

void Relay::State::accept_ready() {
  while (true) {
    Fd client(::accept4(listening.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!client.is_open()) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno != EAGAIN) event::after(scope, loop, milliseconds(100), [this] { accept_ready(); });
      return;
    }
    if (connections.size() >= kMostConnections) {
      reset_on_close(client.get());
      continue;
    }
    const int on = 1;
    ::setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    Fd server(::socket(to.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_storage address{};
    auto length = to.to_sockaddr(address);
    if (!server.is_open() || !length.ok()) continue;
    ::setsockopt(server.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const int connected =
        ::connect(server.get(), reinterpret_cast<sockaddr*>(&address), length.value());
    if (connected != 0 && errno != EINPROGRESS) {
      reset_on_close(client.get());
      continue;
    }
    const std::uint64_t id = next_id++;
    auto connection = std::make_unique<Connection>(*this, id, std::move(client), std::move(server));
    if (connection->start(connected == 0)) connections[id] = std::move(connection);
  }
}

Relay::Relay(event::Loop& loop, Fd listening, net::Address to)
    : state_(std::make_unique<State>(loop, std::move(listening), std::move(to))) {
  const int fd = state_->listening.get();
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  state_->watch =
      loop.watch(fd, [state = state_.get()](event::FdWatch::Ready) { state->accept_ready(); });
}

Relay::~Relay() = default;

}  // namespace lateen::cluster::balancer
