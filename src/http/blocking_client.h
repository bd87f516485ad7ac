// The control plane's door to HTTP: plain blocking calls from any thread, over a loop thread of its
// own.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/stop_signal.h"
#include "net/stream.h"
#include "tls/context.h"

namespace lateen::http {

using PlainHeaders = std::vector<std::pair<std::string, std::string>>;

struct PlainRequest {
  std::string method = "GET";
  std::string url;  // http://host:port/path?query, https://…, or unix:/socket/path:/path
  PlainHeaders headers;
  std::string body;
  milliseconds timeout{30'000};  // whole call
  std::size_t max_response_bytes = 256u << 20;
  // Of stream(): ends it at once when set. Outlives the call.
  StopSignal* stop = nullptr;
};
struct PlainResponse {
  int status = 0;
  PlainHeaders headers;  // names lower case
  std::string body;
  std::string_view header(std::string_view name) const;
};

struct BlockingClientOptions {
  std::shared_ptr<const tls::Context> tls;  // for https; null: system trust
  bool is_http2_wanted = true;              // by ALPN
  // Addresses for names, instead of DNS: {"istiod.istio-system.svc:15012", "10.1.2.3:15012"}.
  std::vector<std::pair<std::string, std::string>> overrides;
};

// Thread-safe; keeps connections alive between calls.
class BlockingClient {
 public:
  explicit BlockingClient(BlockingClientOptions options = {});
  ~BlockingClient();  // fails calls under way

  Result<PlainResponse> call(const PlainRequest& request);

  // A streamed response (watch, logs -f): `on_chunk` runs on the client's loop thread and must not
  // block long; returning false ends the stream. Blocks until the stream ends; `should_stop` is
  // polled about each 100 ms, with `request.stop` only when that is set. Non-2xx answers come back
  // as a PlainResponse with the body read; 2xx with an empty body.
  Result<PlainResponse> stream(const PlainRequest& request,
                               const Function<bool(std::string_view)>& on_chunk,
                               const Function<bool()>& should_stop);

  // Dials, and upgrades with `protocol` (GET with "Connection: Upgrade"): the raw tunnel, as
  // blocking reads and writes, for exec, attach and port-forward.
  class Tunnel {
   public:
    virtual ~Tunnel() = default;
    virtual Result<std::string> read() = 0;  // "" at the end
    virtual Result<> write(std::string_view bytes) = 0;
    virtual const PlainResponse& response() const = 0;  // the 101 with its headers
  };
  Result<std::unique_ptr<Tunnel>> upgrade(const PlainRequest& request, std::string_view protocol);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lateen::http
