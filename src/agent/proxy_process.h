// The proxy as a child: started, watched, started again at once when it dies, drained and ended.
// Lives on the loop.
#pragma once

#include <memory>

#include "agent/options.h"
#include "event/loop.h"
#include "linux/process.h"

namespace lateen::agent {

class ProxyProcess {
 public:
  // `given_up` runs when the proxy died more often than kMostRestarts within a minute. All
  // references outlive us.
  ProxyProcess(event::Loop& loop, const Options& options, Function<void()> given_up);
  // Writes the bootstrap and starts the proxy.
  Result<> start();
  // Asks the admin port to drain (inbound only for sidecars), waits as the options say, ends the
  // proxy, then calls `done`.
  void drain_and_stop(Function<void()> done);
  // Tells the proxy to drain and returns; it goes on serving.
  void drain();
  void stop(Function<void()> done);
  int starts() const { return starts_; }

 private:
  static constexpr int kMostRestarts = 5;
  Result<> spawn();
  void ended();
  void wait_until_idle(Function<void()> done);

  event::Loop& loop_;
  const Options& options_;
  Function<void()> given_up_;
  std::string bootstrap_file_;
  os::Child child_;
  std::unique_ptr<event::FdWatch> watch_;
  int starts_ = 0;
  int restarts_ = 0;
  SteadyTime restarts_since_{};
  bool is_stopping_ = false;
  Function<void()> stopped_;
  event::Timer kill_timer_;
  event::Scope scope_;
};

// The command line that starts the proxy; the same for lateen-proxy and Envoy.
std::vector<std::string> proxy_arguments(const Options& options, const std::string& bootstrap_file);

}  // namespace lateen::agent
