// Both ends of `./dev bench proxy` where wrk and h2load do not reach: a backend that speaks HTTP/1,
// HTTP/2 and gRPC, and a client for gRPC, client certificates and a fixed rate.
//
// usage: bench_peer serve PORT [CERT KEY CA]
//        bench_peer load KIND HOST:PORT CONNECTIONS DEPTH SECONDS RATE [CERT KEY CA]
// KIND is h1, h2, unary (a call a request) or stream (a message each way a request, all on DEPTH
// calls a connection). RATE 0: as fast as answers come. Prints "done N FAILED P50 P99", times in
// ms.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/strings.h"
#include "event/epoll_loop.h"
#include "grpc/client.h"
#include "grpc/server.h"
#include "http/server.h"
#include "net/socket.h"

namespace lateen::bench {
namespace {

constexpr std::size_t kMessageBytes = 100;

std::string read_file(const char* path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::shared_ptr<const tls::Context> tls_of(tls::Context::Role role, char** files,
                                           std::vector<std::string> alpn) {
  tls::Options options;
  options.certificates = {{read_file(files[0]), read_file(files[1])}};
  options.trusted_ca_pem = read_file(files[2]);
  options.is_peer_required = role == tls::Context::Role::kServer;
  options.alpn = std::move(alpn);
  auto made = tls::Context::make(role, options);
  if (!made.ok()) fmt::print(stderr, "{}\n", made.error().message());
  return made.ok() ? *made : nullptr;
}

class Plain final : public http::Service {
 public:
  void handle(http::Exchange& exchange, http::Request, http::Done done) override {
    done(http::Response::text(exchange.arena, 200, std::string(kMessageBytes, 'x')));
  }
};

int serve(event::Loop& loop, int argc, char** argv) {
  const auto address = net::Address::parse(std::string("127.0.0.1:") + argv[2]);
  auto listening = address.ok() ? net::listen_on(*address) : Result<Fd>(address.error());
  if (!listening.ok()) {
    fmt::print(stderr, "{}\n", listening.error().message());
    return 1;
  }
  Plain plain;
  grpc::Service service(&plain);
  service.add("/bench.Echo/Unary", [](grpc::ServerCall& call) {
    grpc::CallEvents events;
    events.on_message = [&call](std::string message) {
      call.send(std::move(message));
      call.finish(Code::kOk, "");
    };
    return events;
  });
  service.add("/bench.Echo/Stream", [](grpc::ServerCall& call) {
    grpc::CallEvents events;
    events.on_message = [&call](std::string message) { call.send(std::move(message)); };
    events.on_half_close = [&call] { call.finish(Code::kOk, ""); };
    return events;
  });
  http::Server server(
      loop, std::move(*listening), service, {},
      argc < 6 ? nullptr : tls_of(tls::Context::Role::kServer, argv + 3, {"h2", "http/1.1"}));
  loop.run();
  return 0;
}

class Load {
 public:
  Load(event::Loop& loop, std::string kind, const net::Address& to, int connections, int depth,
       double rate, char** tls_files)
      : loop_(loop), kind_(std::move(kind)), to_(to), rate_(rate), tick_(loop, [this] { tick(); }) {
    http::ClientOptions options;
    if (kind_ != "h1") options.protocol = http::ClientOptions::Protocol::kHttp2;
    options.max_connections = kind_ == "h1" ? static_cast<std::uint32_t>(depth) : 1;
    std::shared_ptr<const tls::Context> tls;
    if (tls_files != nullptr)
      tls = tls_of(tls::Context::Role::kClient, tls_files, {kind_ == "h1" ? "http/1.1" : "h2"});
    for (int i = 0; i < connections; ++i) {
      pools_.push_back(
          http::make_client_pool(loop, http::make_connector(loop, to, tls, "localhost"), options));
      for (int j = 0; j < depth; ++j) {
        slots_.push_back(std::make_unique<Slot>());
        slots_.back()->pool = pools_.back().get();
      }
    }
  }

  void begin() {
    if (kind_ == "stream") {
      for (auto& slot : slots_) open_stream(*slot);
    } else if (rate_ > 0) {
      for (auto& slot : slots_) idle_.push_back(slot.get());
      begun_ = loop_.clock().steady();
      tick();
    } else {
      for (auto& slot : slots_) issue(*slot);
    }
  }
  void report() {
    std::sort(times_.begin(), times_.end());
    const auto at = [&](double share) {
      if (times_.empty()) return 0.0;
      return times_[static_cast<std::size_t>(share * static_cast<double>(times_.size() - 1))];
    };
    fmt::print("done {} {} {:.4f} {:.4f}\n", times_.size(), failed_, at(0.5), at(0.99));
  }

 private:
  struct Slot {
    http::ClientPool* pool = nullptr;
    SteadyTime sent{};
    std::unique_ptr<http::Exchange> exchange;
    std::unique_ptr<grpc::ClientCall> call;
    std::unique_ptr<event::Scope> scope;
  };

  void ended(Slot& slot, bool is_good) {
    if (is_good) {
      times_.push_back(
          std::chrono::duration<double, std::milli>(loop_.clock().steady() - slot.sent).count());
    } else {
      ++failed_;
    }
  }
  void next(Slot& slot) {
    loop_.defer([this, &slot] {
      slot.scope.reset();
      slot.exchange.reset();
      if (rate_ > 0) idle_.push_back(&slot);
      else issue(slot);
    });
  }

  // The fixed rate: whatever has become due by now is sent, on slots that are free.
  void tick() {
    const double elapsed =
        std::chrono::duration<double>(loop_.clock().steady() - begun_).count() * rate_;
    for (; static_cast<double>(issued_) < elapsed && !idle_.empty(); ++issued_) {
      Slot* slot = idle_.back();
      idle_.pop_back();
      issue(*slot);
    }
    tick_.arm(std::chrono::microseconds(500));
  }

  void issue(Slot& slot) {
    slot.sent = loop_.clock().steady();
    slot.scope = std::make_unique<event::Scope>();
    if (kind_ == "unary") {
      grpc::unary(*slot.scope, loop_, *slot.pool, "localhost", "/bench.Echo/Unary", {},
                  std::string(kMessageBytes, 'm'), milliseconds(10'000),
                  [this, &slot](Result<std::string> answer) {
                    ended(slot, answer.ok() && answer->size() == kMessageBytes);
                    next(slot);
                  });
      return;
    }
    slot.exchange = std::make_unique<http::Exchange>(loop_, connection_);
    http::Request request(slot.exchange->arena);
    request.method = "GET";
    request.scheme = "http";
    request.authority = "localhost";
    request.path = "/";
    if (kind_ == "h2") request.version = http::Version::kHttp2;
    slot.pool->call(*slot.scope, *slot.exchange, std::move(request),
                    [this, &slot](http::CallResult result) {
                      if (!result.response || result.response->status != 200) {
                        ended(slot, false);
                        return next(slot);
                      }
                      http::read_all(*slot.scope, loop_, std::move(result.response->body), 1u << 24,
                                     [this, &slot](Result<Buffer> body) {
                                       ended(slot, body.ok());
                                       next(slot);
                                     });
                    });
  }

  void open_stream(Slot& slot) {
    grpc::ClientEvents events;
    events.on_message = [this, &slot](const std::string& message) {
      ended(slot, message.size() == kMessageBytes);
      speak(slot);
    };
    events.on_end = [this, &slot](const grpc::Status&) { ended(slot, false); };
    slot.call = grpc::start_call(loop_, *slot.pool, "localhost", "/bench.Echo/Stream", {},
                                 std::move(events));
    speak(slot);
  }
  void speak(Slot& slot) {
    slot.sent = loop_.clock().steady();
    slot.call->send(std::string(kMessageBytes, 'm'));
  }

  event::Loop& loop_;
  const std::string kind_;
  const net::Address to_;
  const double rate_;
  http::ConnectionInfo connection_;
  std::vector<std::unique_ptr<http::ClientPool>> pools_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<Slot*> idle_;
  std::vector<double> times_;
  std::uint64_t failed_ = 0;
  std::uint64_t issued_ = 0;
  SteadyTime begun_{};
  event::Timer tick_;
};

int load(event::Loop& loop, int argc, char** argv) {
  const auto to = net::Address::parse(argv[3]);
  if (!to.ok()) {
    fmt::print(stderr, "{}\n", to.error().message());
    return 2;
  }
  Load load(loop, argv[2], *to, std::atoi(argv[4]), std::atoi(argv[5]), std::atof(argv[7]),
            argc < 11 ? nullptr : argv + 8);
  event::Timer end(loop, [&] {
    load.report();
    std::fflush(stdout);
    std::_Exit(0);  // calls are under way: nothing is to be told of their end
  });
  end.arm(
      std::chrono::duration_cast<nanoseconds>(std::chrono::duration<double>(std::atof(argv[6]))));
  load.begin();
  loop.run();
  return 0;
}

int run(int argc, char** argv) {
  const std::string_view verb = argc > 1 ? argv[1] : "";
  if ((verb != "serve" || argc < 3) && (verb != "load" || argc < 8)) {
    fmt::print(stderr,
               "usage: bench_peer serve PORT [CERT KEY CA]\n"
               "       bench_peer load KIND HOST:PORT CONNECTIONS DEPTH SECONDS RATE "
               "[CERT KEY CA]\n");
    return 2;
  }
  SystemClock clock;
  auto loop = event::make_epoll_loop(clock, system_random());
  if (!loop.ok()) return 1;
  return verb == "serve" ? serve(**loop, argc, argv) : load(**loop, argc, argv);
}

}  // namespace
}  // namespace lateen::bench

int main(int argc, char** argv) { return lateen::bench::run(argc, argv); }
