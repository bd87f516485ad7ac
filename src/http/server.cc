// Accepting side: finds out the protocol of a connection, and a whole server that owns its
// connections.
#include "http/server.h"

#include <unordered_map>

#include "base/log.h"
#include "http/h1_server.h"
#include "http/server_codec.h"

namespace lateen::http {
namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr milliseconds kHandshakeLimit{15'000};

std::unique_ptr<ServerCodec> make_codec(bool is_h2, event::Loop& loop,
                                        std::unique_ptr<net::Stream> stream, ConnectionInfo info,
                                        Service& service, const ServerOptions& options,
                                        Function<void(ServerConnection&)> on_closed) {
  if (is_h2) {
    return h2::make_server_codec(loop, std::move(stream), std::move(info), service, options,
                                 std::move(on_closed));
  }
  return std::make_unique<h1::ServerCodec>(loop, std::move(stream), std::move(info), service,
                                           options, std::move(on_closed));
}

// A connection from its first byte: owns the stream's callback, picks the codec when it is known,
// and passes readiness on to it.
class Connection final : public ServerConnection {
 public:
  Connection(event::Loop& loop, std::unique_ptr<net::Stream> stream, ConnectionInfo info,
             Service& service, const ServerOptions& options,
             Function<void(ServerConnection&)> on_closed)
      : loop_(loop),
        service_(service),
        options_(options),
        info_(std::move(info)),
        on_closed_(std::move(on_closed)),
        stream_(std::move(stream)) {
    stream_->on_ready([this](bool readable, bool writable) { ready(readable, writable); });
    // Bytes may be here already (read with a TLS handshake), and no edge may come for them.
    event::after(scope_, loop_, nanoseconds(0), [this] { ready(true, true); });
  }

  void drain() override {
    if (codec_ != nullptr) return codec_->drain();
    is_draining_ = true;
    if (!is_closed_) close();
  }
  void drain_after_next() override {
    if (codec_ != nullptr) return codec_->drain_after_next();
    is_draining_ = true;
  }
  bool is_idle() const override { return codec_ != nullptr ? codec_->is_idle() : bytes_.empty(); }
  const ConnectionInfo& info() const override { return codec_ != nullptr ? codec_->info() : info_; }

 private:
  void ready(bool readable, bool writable) {
    if (codec_ != nullptr) return codec_->ready(readable, writable);
    if (is_closed_ || !readable) return;
    if (options_.codec == Codec::kHttp1) return start(false);
    if (options_.codec == Codec::kHttp2) return start(true);
    if (const net::TlsInfo* tls = stream_->tls(); tls != nullptr && !tls->alpn.empty()) {
      return start(tls->alpn == "h2");
    }
    sniff();
  }

  void sniff() {
    for (;;) {
      const net::Io io = stream_->read(bytes_, 4000);
      if (io.state == net::IoState::kError) return close();
      const std::string_view begun = bytes_.flatten(std::min(bytes_.size(), kPreface.size()));
      if (!kPreface.starts_with(begun)) return start(false);
      if (begun.size() == kPreface.size()) return start(true);
      if (io.state == net::IoState::kEof) return close();
      if (io.state == net::IoState::kAgain) break;
    }
    if (!limit_.is_armed()) {
      const auto limit = options_.header_timeout.count() > 0 && !bytes_.empty()
                             ? options_.header_timeout
                             : options_.idle_timeout;
      if (limit.count() > 0) limit_.arm(limit);
    }
  }

  void start(bool is_h2) {
    limit_.cancel();
    codec_ = make_codec(is_h2, loop_, std::move(stream_), std::move(info_), service_, options_,
                        [this](ServerConnection&) {
                          auto on_closed = std::move(on_closed_);
                          if (on_closed) on_closed(*this);
                        });
    // HTTP/2 starts with SETTINGS: its GOAWAY comes after them.
    if (is_draining_ && !is_h2) codec_->drain_after_next();
    codec_->begin(std::move(bytes_));
    if (is_draining_ && is_h2) codec_->drain_after_next();
  }

  void close() {
    is_closed_ = true;
    limit_.cancel();
    event::after(scope_, loop_, nanoseconds(0), [this] {
      auto on_closed = std::move(on_closed_);
      if (on_closed) on_closed(*this);
    });
  }

  event::Loop& loop_;
  Service& service_;
  const ServerOptions options_;
  ConnectionInfo info_;
  Function<void(ServerConnection&)> on_closed_;
  std::unique_ptr<net::Stream> stream_;
  Buffer bytes_;
  bool is_closed_ = false;
  bool is_draining_ = false;
  event::Timer limit_{loop_, [this] { close(); }};
  std::unique_ptr<ServerCodec> codec_;
  event::Scope scope_;
};

}  // namespace

std::unique_ptr<ServerConnection> serve(event::Loop& loop, std::unique_ptr<net::Stream> stream,
                                        ConnectionInfo info, Service& service,
                                        const ServerOptions& options,
                                        Function<void(ServerConnection&)> on_closed) {
  if (info.tls == nullptr) info.tls = stream->tls();
  return std::make_unique<Connection>(loop, std::move(stream), std::move(info), service, options,
                                      std::move(on_closed));
}

struct Server::State {
  State(event::Loop& loop, Fd listening, Service& service, ServerOptions options,
        std::shared_ptr<const tls::Context> tls)
      : loop(loop),
        service(service),
        options(std::move(options)),
        tls(std::move(tls)),
        listener(std::make_unique<net::Listener>(
            loop, std::move(listening),
            [this](std::unique_ptr<net::Stream> stream) { accept(std::move(stream)); })),
        address(listener->address()) {}

  void accept(std::unique_ptr<net::Stream> stream) {
    if (tls == nullptr) return add(std::move(stream));
    tls::accept(scope, loop, tls, std::move(stream), kHandshakeLimit,
                [this](Result<std::unique_ptr<net::Stream>> done) {
                  if (done.ok()) return add(std::move(*done));
                  LOG(kDebug, "http", "TLS handshake on {}: {}", address.to_string(),
                      done.error().message());
                });
  }

  void add(std::unique_ptr<net::Stream> stream) {
    if (is_draining) return;
    ConnectionInfo info;
    info.id = ++last_id;
    info.local = stream->local_address();
    info.remote = stream->remote_address();
    auto connection = serve(loop, std::move(stream), std::move(info), service, options,
                            [this](ServerConnection& c) {
                              connections.erase(&c);
                              if (connections.empty() && on_drained)
                                std::exchange(on_drained, nullptr)();
                            });
    ServerConnection* key = connection.get();
    connections.emplace(key, std::move(connection));
  }

  event::Loop& loop;
  Service& service;
  const ServerOptions options;
  std::shared_ptr<const tls::Context> tls;
  std::unique_ptr<net::Listener> listener;
  const net::Address address;
  std::uint64_t last_id = 0;
  bool is_draining = false;
  Function<void()> on_drained;
  std::unordered_map<ServerConnection*, std::unique_ptr<ServerConnection>> connections;
  event::Scope scope;
};

Server::Server(event::Loop& loop, Fd listening, Service& service, ServerOptions options,
               std::shared_ptr<const tls::Context> tls)
    : state_(std::make_unique<State>(loop, std::move(listening), service, std::move(options),
                                     std::move(tls))) {}
Server::~Server() = default;

const net::Address& Server::address() const { return state_->address; }
std::size_t Server::connection_count() const { return state_->connections.size(); }
void Server::set_tls(std::shared_ptr<const tls::Context> tls) { state_->tls = std::move(tls); }

void Server::drain(Function<void()> done) {
  state_->is_draining = true;
  state_->listener.reset();
  state_->scope.cancel_all();
  state_->on_drained = std::move(done);
  for (auto& [key, connection] : state_->connections) connection->drain();
  if (!state_->connections.empty()) return;
  event::after(state_->scope, state_->loop, nanoseconds(0), [state = state_.get()] {
    if (state->on_drained) std::exchange(state->on_drained, nullptr)();
  });
}

}  // namespace lateen::http
