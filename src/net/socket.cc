// Plain sockets. A stream watches its descriptor once, edge-triggered, from the first on_ready on.
#include "net/socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/log.h"
#include "base/strings.h"
#include "net/network.h"

namespace lateen::net {
namespace {

// The mark of every connection that this process opens. Redirection tells a mesh's agent and proxy
// from their application by it where there are no user ids to tell them by.
std::uint32_t process_mark() {
  static const std::uint32_t kMark = [] {
    const char* text = std::getenv("LATEEN_SOCKET_MARK");
    return text == nullptr ? 0 : static_cast<std::uint32_t>(parse_uint(text).value_or(0));
  }();
  return kMark;
}

constexpr std::size_t kMostIovecs = 64;

// SO_ORIGINAL_DST and its IPv6 twin; <linux/netfilter_ipv4.h> clashes with <netinet/in.h>.
constexpr int kIp4OriginalDst = 80;
constexpr int kIp6OriginalDst = 80;

Result<Address> address_of(int fd, int (*get)(int, sockaddr*, socklen_t*), const char* what) {
  sockaddr_storage raw{};
  socklen_t length = sizeof raw;
  if (get(fd, reinterpret_cast<sockaddr*>(&raw), &length) != 0) return errno_error(what, errno);
  return Address::from_sockaddr(reinterpret_cast<sockaddr*>(&raw), length);
}

void set_no_delay(int fd, const Address& local) {
  const int on = 1;
  if (!local.is_unix()) ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

class SocketStream final : public Stream {
 public:
  // `remote` is told by accept4(); so is TCP_NODELAY then by the listening socket.
  SocketStream(event::Loop& loop, Fd fd, std::optional<Address> remote = std::nullopt)
      : loop_(loop),
        fd_(std::move(fd)),
        local_(address_of(fd_.get(), ::getsockname, "getsockname").value_or(Address())),
        remote_(remote ? *std::move(remote)
                       : address_of(fd_.get(), ::getpeername, "getpeername").value_or(Address())) {
    if (!remote) set_no_delay(fd_.get(), local_);
  }

  Io read(Buffer& into, std::size_t most_bytes) override {
    if (is_drained_) return {IoState::kAgain};
    const std::size_t least = is_bulky_ ? kBulkRead : kMinRead;
    auto room = into.reserve(std::min(most_bytes, least));
    if (room.size() > most_bytes) room = room.first(most_bytes);
    for (;;) {
      const ssize_t count = ::recv(fd_.get(), room.data(), room.size(), 0);
      if (count > 0) {
        into.commit(static_cast<std::size_t>(count));
        // TCP gives all it has: a short read spares the one that would say EAGAIN. The next byte
        // brings an edge; an end that came before this edge would not, hence is_ending_.
        is_drained_ = static_cast<std::size_t>(count) < room.size() && watch_ != nullptr &&
                      !is_ending_ && !local_.is_unix();
        is_bulky_ = static_cast<std::size_t>(count) == room.size() ||
                    (is_bulky_ && static_cast<std::size_t>(count) >= kBulkRead / 4);
        return {IoState::kOk, static_cast<std::size_t>(count)};
      }
      if (count < 0 && errno == EINTR) continue;
      const int saved = errno;
      into.commit(0);
      if (count == 0) return {IoState::kEof};
      if (saved == EAGAIN || saved == EWOULDBLOCK) return {IoState::kAgain};
      return fail(saved);
    }
  }

  Io write(Buffer& from) override {
    std::size_t total = 0;
    while (!from.empty()) {
      std::array<iovec, kMostIovecs> parts;
      msghdr message{};
      message.msg_iov = parts.data();
      message.msg_iovlen = from.iovecs(parts);
      const ssize_t count = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
      if (count < 0) {
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return {IoState::kAgain, total};
        return fail(errno);
      }
      from.drop(static_cast<std::size_t>(count));
      total += static_cast<std::size_t>(count);
    }
    return {IoState::kOk, total};
  }

  void shutdown_write() override { ::shutdown(fd_.get(), SHUT_WR); }

  void reset() override {
    const linger hard{1, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    watch_.reset();
    fd_.close();
    last_error_ = "reset by us";
  }

  void on_ready(Function<void(bool, bool)> callback) override {
    callback_ = std::move(callback);
    if (watch_ != nullptr || !fd_.is_open()) return;
    watch_ = loop_.watch(fd_.get(), [this](event::FdWatch::Ready ready) {
      is_drained_ = false;
      is_ending_ = is_ending_ || ready.hung_up;
      // The callback may destroy this stream: nothing may be touched after it.
      if (callback_) callback_(ready.readable, ready.writable);
    });
  }

  const Address& local_address() const override { return local_; }
  const Address& remote_address() const override { return remote_; }
  int fd() const override { return fd_.get(); }
  std::string last_error() const override { return last_error_; }

 private:
  static constexpr std::size_t kMinRead = 2048;
  static constexpr std::size_t kBulkRead = 60 * 1024;  // a large slab of a Buffer

  Io fail(int errno_value) {
    char text[128];
    last_error_ = strerror_r(errno_value, text, sizeof text);
    return {IoState::kError};
  }

  event::Loop& loop_;
  Fd fd_;
  Address local_;
  Address remote_;
  std::string last_error_;
  bool is_drained_ = false;  // nothing to read until the next edge
  bool is_bulky_ = false;    // the last read filled its room: the next makes more
  bool is_ending_ = false;   // the peer closed, or an error: only reading on finds out
  Function<void(bool, bool)> callback_;
  std::unique_ptr<event::FdWatch> watch_;
};

std::string who_may_hold(const Address& address, int errno_value) {
  if (errno_value == EADDRINUSE) return " (another program listens there; `ss -ltnp` names it)";
  if ((errno_value == EACCES || errno_value == EPERM) && !address.is_unix() &&
      address.port() < 1024) {
    return " (ports below 1024 need root or net.ipv4.ip_unprivileged_port_start)";
  }
  return "";
}

void remove_stale_path(const Address& address) {
  if (!address.is_unix() || address.path()[0] == '@') return;
  struct stat info {};
  if (::lstat(address.path().c_str(), &info) == 0 && S_ISSOCK(info.st_mode))
    ::unlink(address.path().c_str());
}

class Dial final : public event::Scope::Operation {
 public:
  Dial(event::Scope& scope, event::Loop& loop, const Address& to,
       event::Completion<std::unique_ptr<Stream>> done)
      : Operation(scope), loop_(loop), to_(to), done_(std::move(done)), timer_(loop, [this] {
          fail(Error(Code::kDeadlineExceeded, "connecting to " + to_.to_string() + ": timed out",
                     Blame::kUpstream));
        }) {}

  void start(milliseconds limit, const DialOptions& options) {
    if (Result<> opened = open(options); !opened) {
      return fail_later(std::move(opened).error());
    }
    sockaddr_storage raw;
    const auto length = to_.to_sockaddr(raw);
    if (!length) return fail_later(length.error());
    if (::connect(fd_.get(), reinterpret_cast<sockaddr*>(&raw), *length) == 0) {
      event::after(later_, loop_, nanoseconds(0), [this] { succeed(); });
      return;
    }
    // A Unix socket whose backlog is full says EAGAIN: that is a refusal, there is nothing to wait
    // for.
    if (errno != EINPROGRESS) return fail_later(refused(errno));
    timer_.arm(limit);
    watch_ = loop_.watch(fd_.get(), [this](event::FdWatch::Ready ready) {
      if (ready.writable || ready.hung_up) finish();
    });
  }

 private:
  Result<> open(const DialOptions& options) {
    fd_ = Fd(::socket(to_.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd_.is_open()) return errno_error("socket for " + to_.to_string(), errno);
    const std::uint32_t mark = options.mark != 0 ? options.mark : process_mark();
    if (mark != 0 && ::setsockopt(fd_.get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark) != 0)
      return errno_error("SO_MARK", errno);
    if (options.source) {
      sockaddr_storage raw;
      const socklen_t length = TRY(options.source->to_sockaddr(raw));
      if (::bind(fd_.get(), reinterpret_cast<sockaddr*>(&raw), length) != 0) {
        return errno_error("binding " + options.source->to_string(), errno);
      }
    }
    return {};
  }

  Error refused(int errno_value) {
    Error error = errno_error("connecting to " + to_.to_string(), errno_value);
    return Error(Code::kUnavailable, error.message(), Blame::kUpstream);
  }

  void finish() {
    int error = 0;
    socklen_t length = sizeof error;
    ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) return fail(refused(error));
    sockaddr_storage peer;
    length = sizeof peer;
    if (::getpeername(fd_.get(), reinterpret_cast<sockaddr*>(&peer), &length) != 0)
      return;  // Still connecting.
    succeed();
  }

  void succeed() {
    watch_.reset();
    auto stream = make_socket_stream(loop_, std::move(fd_));
    auto done = std::move(done_);
    delete this;
    done(std::move(stream));
  }
  void fail(Error error) {
    auto done = std::move(done_);
    delete this;
    done(std::move(error));
  }
  void fail_later(Error error) {
    event::after(later_, loop_, nanoseconds(0),
                 [this, error = std::move(error)]() mutable { fail(std::move(error)); });
  }
  void cancel() override { delete this; }

  event::Loop& loop_;
  Address to_;
  event::Completion<std::unique_ptr<Stream>> done_;
  Fd fd_;
  event::Timer timer_;
  std::unique_ptr<event::FdWatch> watch_;
  event::Scope later_;
};

}  // namespace

std::unique_ptr<Stream> make_socket_stream(event::Loop& loop, Fd fd) {
  return std::make_unique<SocketStream>(loop, std::move(fd));
}

Result<Fd> listen_on(const Address& address, const ListenOptions& options) {
  const auto failed = [&](const char* what) {
    const int saved = errno;
    Error error = errno_error(std::string(what) + " " + address.to_string(), saved);
    return Error(error.code(), error.message() + who_may_hold(address, saved));
  };
  Fd fd(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.is_open()) return failed("opening a socket for");
  const int on = 1;
  const int v6_only = options.is_v6_only ? 1 : 0;
  if (!address.is_unix()) ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (options.is_reuse_port) ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  if (address.family() == AF_INET6)
    ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only);
  if (options.is_transparent &&
      ::setsockopt(fd.get(), SOL_IP, IP_TRANSPARENT, &on, sizeof on) != 0) {
    return failed("IP_TRANSPARENT on");
  }
  remove_stale_path(address);
  sockaddr_storage raw;
  const socklen_t length = TRY(address.to_sockaddr(raw));
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&raw), length) != 0)
    return failed("listening on");
  if (address.is_unix() && address.path()[0] != '@')
    ::chmod(address.path().c_str(), static_cast<mode_t>(options.unix_mode));
  if (::listen(fd.get(), options.backlog) != 0) return failed("listening on");
  return fd;
}

Result<Address> local_address_of(int fd) { return address_of(fd, ::getsockname, "getsockname"); }

Result<Address> original_destination_of(int fd) {
  sockaddr_storage raw{};
  socklen_t length = sizeof raw;
  if (::getsockopt(fd, SOL_IP, kIp4OriginalDst, &raw, &length) == 0 ||
      (length = sizeof raw, ::getsockopt(fd, SOL_IPV6, kIp6OriginalDst, &raw, &length) == 0)) {
    return Address::from_sockaddr(reinterpret_cast<sockaddr*>(&raw), length);
  }
  return local_address_of(fd);
}

Result<Address> original_destination_of(const Stream& stream) {
  if (stream.fd() >= 0) return original_destination_of(stream.fd());
  if (const auto* redirected = dynamic_cast<const Redirected*>(&stream))
    return redirected->original_destination();
  return not_found("the stream did not come by redirection");
}

Listener::Listener(event::Loop& loop, Fd fd, Function<void(std::unique_ptr<Stream>)> on_accept)
    : loop_(loop),
      fd_(std::move(fd)),
      address_(local_address_of(fd_.get()).value_or(Address())),
      on_accept_(std::move(on_accept)),
      retry_(loop, [this] { resume(); }) {
  set_no_delay(fd_.get(), address_);  // Linux hands it on to what is accepted.
  resume();
}

Listener::~Listener() = default;

void Listener::pause() {
  is_paused_ = true;
  watch_.reset();
}

void Listener::resume() {
  is_paused_ = false;
  if (watch_ == nullptr)
    watch_ = loop_.watch(fd_.get(), [this](event::FdWatch::Ready) { accept_ready(); });
}

void Listener::accept_ready() {
  // A bound per turn, so that a flood of connections cannot starve those that exist; the rest is
  // taken next turn.
  static constexpr int kMostPerTurn = 64;
  for (int i = 0; i < kMostPerTurn; ++i) {
    if (is_paused_) return;
    sockaddr_storage raw;
    socklen_t length = sizeof raw;
    Fd fd(::accept4(fd_.get(), reinterpret_cast<sockaddr*>(&raw), &length,
                    SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd.is_open()) {
      auto remote = Address::from_sockaddr(reinterpret_cast<sockaddr*>(&raw), length);
      on_accept_(std::make_unique<SocketStream>(loop_, std::move(fd),
                                                std::move(remote).value_or(Address())));
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      LOG(kWarn, "net",
          "accepting on {} paused for 100 ms: out of descriptors or memory; raise `ulimit -n`",
          address_.to_string());
      pause();
      retry_.arm(milliseconds(100));
      return;
    }
  }
  pause();
  resume();  // Re-arming the edge reports what is still waiting.
}

void dial(event::Scope& scope, event::Loop& loop, const Address& to, milliseconds limit,
          event::Completion<std::unique_ptr<Stream>> done, const DialOptions& options) {
  if (auto* network = dynamic_cast<Network*>(&loop))
    return network->dial(scope, to, limit, std::move(done), options);
  (new Dial(scope, loop, to, std::move(done)))->start(limit, options);
}

}  // namespace lateen::net
