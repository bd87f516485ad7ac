// A small API server in memory, for the tests of whatever talks through kube::Client: storage with
// versions and conflicts, list and watch, the patch kinds, status/scale/binding, finalizers,
// graceful deletion, discovery. No admission, no defaulting. Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "kube/client.h"

namespace lateen::kube {

class MemoryServer {
 public:
  // Serves the built-in resources and `extra` ones.
  explicit MemoryServer(std::vector<Resource> extra = {});
  ~MemoryServer();

  // Connections to it; they must not outlive it.
  std::unique_ptr<Transport> transport();
  // Stores an object as it is, without checks; returns what was stored.
  Json put(Json object);
  // All objects of a resource, by key.
  std::vector<Json> all(const Resource& resource);
  // Ends all watches with 410 and forgets history: clients must list again.
  void expire();
  // Waits until `holds` is true of the server's contents; false after `limit`.
  bool wait_until(const std::function<bool()>& holds, milliseconds limit = milliseconds(5'000));
  std::uint64_t requests() const;

 private:
  class Door;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lateen::kube
