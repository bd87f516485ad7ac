// Any bytes an upstream may answer: the client side never crashes, each call ends once, and an
// HTTP/1 answer does not depend on how its bytes were cut.
#include <cstdint>

#include "base/check.h"
#include "event/sim_loop.h"
#include "http/client.h"
#include "net/pipe.h"

namespace lateen::http {
namespace {

// Connections to an upstream that says `first`, then `second`, then ends.
class Speaking final : public Connector {
 public:
  Speaking(event::SimLoop& loop, std::string_view first, std::string_view second)
      : loop_(loop), first_(first), second_(second) {}
  void connect(event::Scope& scope, milliseconds,
               event::Completion<std::unique_ptr<net::Stream>> done) override {
    event::after(scope, loop_, nanoseconds(0), [this, done = std::move(done)] {
      if (far_.size() >= 8) return done(unavailable("enough", Blame::kUpstream));
      auto [near, far] = net::make_pipe(loop_, 1 << 20);
      far_.push_back(std::move(far));
      Buffer out(first_);
      far_.back()->write(out);
      done(std::move(near));
    });
  }
  void say_rest() {
    for (const auto& each : far_) {
      Buffer out(second_), in;
      each->write(out);
      while (each->read(in, 65536).state == net::IoState::kOk) {
      }
    }
  }
  void end() {
    for (const auto& each : far_) each->shutdown_write();
  }

 private:
  event::SimLoop& loop_;
  std::string first_, second_;
  std::vector<std::unique_ptr<net::Stream>> far_;
};

struct Answer {
  int status = 0;
  bool is_whole = false;
  std::string body;
};

Answer answer_to(std::string_view first, std::string_view second, unsigned kind) {
  event::SimLoop loop;
  auto connector = std::make_unique<Speaking>(loop, first, second);
  Speaking& upstream = *connector;
  ClientOptions options;
  options.protocol = kind & 1 ? ClientOptions::Protocol::kHttp2 : ClientOptions::Protocol::kHttp1;
  auto pool = make_client_pool(loop, std::move(connector), options);
  ConnectionInfo info;
  Exchange exchange(loop, info);
  Request request(exchange.arena);
  constexpr std::string_view kMethods[] = {"GET", "HEAD", "CONNECT", "GET"};
  request.method = kMethods[kind >> 1 & 3];
  request.path = request.method == "CONNECT" ? "" : "/";
  request.authority = "a.test:1";
  request.scheme = "http";
  if ((kind >> 1 & 3) == 3) request.upgrade = "websocket";
  Answer answer;
  Body body;
  int calls = 0;
  pool->call(exchange.scope, exchange, std::move(request), [&](CallResult result) {
    CHECK(++calls == 1);
    CHECK(result.response.has_value() != result.error.has_value());
    if (!result.response) return;
    answer.status = result.response->status;
    body = std::move(result.response->body);
  });
  const auto pull = [&] {
    for (int i = 0; i < 1000 && !body.empty() && !answer.is_whole; ++i) {
      auto next = body.poll({[](void*) {}, nullptr});
      if (!next) return;
      if (!next->ok()) {
        body = Body();
        return;
      }
      answer.body += next->value().data.to_string();
      answer.is_whole = next->value().is_last;
    }
  };
  loop.run_for(milliseconds(1));
  pull();
  upstream.say_rest();
  loop.run_for(milliseconds(1));
  pull();
  upstream.end();
  loop.run_for(seconds(30));
  pull();
  body = Body();
  loop.run_for(seconds(1));
  return answer;
}

}  // namespace
}  // namespace lateen::http

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1 || size > 64 * 1024) return 0;
  const unsigned kind = data[0];
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto whole = lateen::http::answer_to(bytes, {}, kind);
  const std::size_t cut =
      bytes.empty() ? 0 : static_cast<unsigned char>(bytes[0]) * bytes.size() / 256;
  const auto parts = lateen::http::answer_to(bytes.substr(0, cut), bytes.substr(cut), kind);
  if ((kind & 1) == 0 && whole.is_whole && parts.is_whole) {
    CHECK(whole.status == parts.status);
    CHECK(whole.body == parts.body);
  }
  return 0;
}
