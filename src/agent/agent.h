// The per-pod agent: certificates, SDS, ADS relay, the proxy's process, status port. One loop, one
// thread.
#pragma once

#include <memory>

#include "agent/options.h"
#include "event/loop.h"

namespace lateen::agent {

class Agent {
 public:
  // `loop` outlives us.
  Agent(event::Loop& loop, Options options);
  ~Agent();
  // Binds sockets and starts the proxy; `ended` gets the process's exit status once all is over.
  Result<> start(Function<void(int status)> ended);
  // Drains and ends (SIGTERM).
  void terminate();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lateen::agent
