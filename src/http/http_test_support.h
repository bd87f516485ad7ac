// What the tests of this module share: services, and a raw peer on a pipe.
#pragma once

#include <map>
#include <string>

#include "event/sim_loop.h"
#include "http/client.h"
#include "http/server.h"
#include "net/pipe.h"

namespace lateen::http::testing {

// A service from a lambda.
class Answering final : public Service {
 public:
  using Handle = Function<void(Exchange&, Request, Done)>;
  explicit Answering(Handle handle) : handle_(std::move(handle)) {}
  void handle(Exchange& exchange, Request request, Done done) override {
    handle_(exchange, std::move(request), std::move(done));
  }

 private:
  Handle handle_;
};

// The far end of a connection, in plain bytes.
class RawPeer {
 public:
  RawPeer(event::SimLoop& loop, std::unique_ptr<net::Stream> stream)
      : loop_(loop), stream_(std::move(stream)) {}
  void send(std::string_view bytes) {
    Buffer out(bytes);
    while (!out.empty()) {
      stream_->write(out);
      settle();
    }
    settle();
  }
  // Everything received since the last call.
  std::string receive() {
    settle();
    return std::exchange(received_, {});
  }
  void shut() {
    stream_->shutdown_write();
    settle();
  }
  void reset() {
    stream_->reset();
    settle();
  }
  bool is_closed() {
    settle();
    return is_closed_;
  }

 private:
  void settle() {
    for (int i = 0; i < 3; ++i) {
      loop_.run_for(milliseconds(1));
      Buffer in;
      for (;;) {
        const auto io = stream_->read(in, 65536);
        if (io.state == net::IoState::kOk) continue;
        if (io.state != net::IoState::kAgain) is_closed_ = true;
        break;
      }
      received_ += in.to_string();
    }
  }
  event::SimLoop& loop_;
  std::unique_ptr<net::Stream> stream_;
  std::string received_;
  bool is_closed_ = false;
};

// Connects by pipe to servers made on the spot.
class PipeConnector final : public Connector {
 public:
  PipeConnector(event::SimLoop& loop, Service& service, const ServerOptions& options)
      : loop_(loop), service_(service), options_(options) {}
  void connect(event::Scope& scope, milliseconds,
               event::Completion<std::unique_ptr<net::Stream>> done) override {
    ++connects;
    event::after(scope, loop_, nanoseconds(0), [this, done = std::move(done)] {
      if (is_refusing) return done(unavailable("connection refused", Blame::kUpstream));
      auto [near, far] = net::make_pipe(loop_, 65536);
      auto made = serve(loop_, std::move(far), {}, service_, options_,
                        [this](ServerConnection& c) { servers.erase(&c); });
      ServerConnection* key = made.get();
      servers.emplace(key, std::move(made));
      done(std::move(near));
    });
  }
  int connects = 0;
  bool is_refusing = false;
  std::map<ServerConnection*, std::unique_ptr<ServerConnection>> servers;

 private:
  event::SimLoop& loop_;
  Service& service_;
  const ServerOptions& options_;
};

}  // namespace lateen::http::testing
