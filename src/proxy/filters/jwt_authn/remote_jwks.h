// Keys that are fetched from their issuer: once for all workers, by the main thread's calls. Kept
// for a while, asked for again when that is over. Thread-safe.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "event/scope.h"
#include "proxy/filters/jwt_authn/jwks.h"

namespace envoy::extensions::filters::http::jwt_authn::v3 {
class RemoteJwks;
}
namespace lateen::event {
class Loop;
}

namespace lateen::proxy {

class Worker;

struct RemoteJwksSettings {
  std::string cluster, scheme = "https", authority, path = "/";
  milliseconds timeout{5000};
  nanoseconds keep = seconds(600);  // cache_duration
  std::uint32_t retries = 0;
  milliseconds base_interval{1000}, max_interval{10'000};
  bool is_fetched_ahead = false;  // async_fetch: without a request that waits
  milliseconds failed_interval{1000};
  static Result<RemoteJwksSettings> compile(
      const envoy::extensions::filters::http::jwt_authn::v3::RemoteJwks& config);
};

class RemoteJwks {
 public:
  // `main`: whose loop the calls run on; outlives us. Main thread.
  static std::shared_ptr<RemoteJwks> make(Worker& main, RemoteJwksSettings settings);
  ~RemoteJwks();
  // Null: none that are still good.
  std::shared_ptr<const Jwks> current() const;
  // Tells when there are keys, or that they cannot be had: when a fetch that is under way, or
  // begins now, has ended. On `loop`, unless `scope` dies first.
  void fetch(event::Scope& scope, event::Loop& loop, Function<void()> done);

 private:
  class Fetcher;
  struct State;
  RemoteJwks() = default;
  std::shared_ptr<State> state_;
  std::shared_ptr<Fetcher> fetcher_;  // lives on the main thread
  Worker* main_ = nullptr;
};

}  // namespace lateen::proxy
