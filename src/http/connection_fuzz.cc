// Any bytes a client may send: a server connection never crashes, whichever protocol it takes them
// for, and answers HTTP/1 the same whether they come in one piece or in two.
#include <cstdint>

#include "base/check.h"
#include "event/sim_loop.h"
#include "http/server.h"
#include "net/pipe.h"

namespace lateen::http {
namespace {

// Echoes bodies, accepts upgrades.
class Echo final : public Service {
 public:
  void handle(Exchange& exchange, Request request, Done done) override {
    Response response(exchange.arena);
    if (!request.upgrade.empty()) response.status = 101;
    response.headers.add("x-path", request.path);
    response.body = std::move(request.body);
    done(std::move(response));
  }
};

std::string answer_to(std::string_view first, std::string_view second) {
  event::SimLoop loop;
  Echo service;
  ServerOptions options;
  options.is_extended_connect_allowed = true;
  auto [near, far] = net::make_pipe(loop, 1 << 20);
  std::unique_ptr<ServerConnection> connection;
  connection = serve(loop, std::move(far), {}, service, options,
                     [&](ServerConnection&) { connection.reset(); });
  Buffer answer;
  for (const std::string_view part : {first, second}) {
    Buffer out(part);
    if (!out.empty()) near->write(out);
    loop.run_for(milliseconds(1));
    while (near->read(answer, 65536).state == net::IoState::kOk) loop.run_for(milliseconds(1));
  }
  near->shutdown_write();
  loop.run_for(seconds(5));
  while (near->read(answer, 65536).state == net::IoState::kOk) loop.run_for(milliseconds(1));
  return answer.to_string();
}

}  // namespace
}  // namespace lateen::http

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 64 * 1024) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string whole = lateen::http::answer_to(bytes, {});
  const std::size_t cut = size > 0 ? data[0] * size / 256 : 0;
  const std::string parts = lateen::http::answer_to(bytes.substr(0, cut), bytes.substr(cut));
  // The first status line must not depend on how the bytes were cut.
  if (whole.starts_with("HTTP/1.1 ") && parts.starts_with("HTTP/1.1 ")) {
    CHECK(whole.substr(0, 12) == parts.substr(0, 12));
  }
  return 0;
}
