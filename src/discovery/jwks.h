// Fetches the public keys of JWT issuers that RequestAuthentications name, so that proxies need
// not: one thread, each address again after a while, failures sooner.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/function.h"
#include "discovery/metrics.h"
#include "http/blocking_client.h"

namespace lateen::discovery {

class JwksFetcher {
 public:
  static constexpr std::size_t kMostBytes = 1u << 20;
  static constexpr std::size_t kMostUris = 200;
  using Wanted = Function<std::set<std::string>()>;
  using Found = Function<void(const std::string& uri, std::string keys)>;

  // `wanted` and `found` are called on the fetcher's thread. `clock` and `metrics` outlive it.
  JwksFetcher(const Clock& clock, Metrics& metrics, Wanted wanted, Found found);
  ~JwksFetcher();
  // Looks at once for addresses that are new.
  void wake();

 private:
  void run();
  Result<std::string> fetch(const std::string& uri);

  const Clock& clock_;
  Metrics& metrics_;
  Wanted wanted_;
  Found found_;
  http::BlockingClient client_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_stopped_ = false;
  bool is_woken_ = false;
  std::map<std::string, SteadyTime> due_;  // the thread's
  std::thread thread_;
};

}  // namespace lateen::discovery
