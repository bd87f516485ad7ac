// WorkloadEntries of machines outside Kubernetes: a proxy that names its WorkloadGroup
// (AUTO_REGISTER_GROUP) is written down while it is connected, and what it says of its workload's
// health goes into the entry's status. One thread; a proxy that goes is forgotten after a while.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "discovery/proxy.h"
#include "kube/client.h"

namespace lateen::discovery {

// The entry that `group` (a WorkloadGroup object) makes of a proxy.
data::Json make_registered_entry(const data::Json& group, const Proxy& proxy,
                                 std::string_view controller, WallTime now);
// "group-10.0.0.1-network"; the name of the proxy's entry, "" when it has none.
std::string entry_name(const Proxy& proxy);

class Registration {
 public:
  struct Options {
    std::string controller = "istiod";  // this replica's name
    milliseconds grace{10'000};         // after a disconnect
    std::size_t most_waiting = 10'000;
  };
  // All outlive it.
  Registration(kube::Client& client, const Clock& clock, Options options);
  ~Registration();  // stops and joins

  // Thread-safe, and quick.
  void note_presence(const Proxy& proxy, bool is_connected);
  void note_health(const Proxy& proxy, const std::string& problem);

 private:
  struct Event {
    enum class Kind : unsigned char { kConnected, kDisconnected, kExpired, kHealth };
    Kind kind;
    Proxy proxy;
    std::string problem;
    SteadyTime due{};
  };
  void push(Event event);
  void work();
  Result<> handle(const Event& event);
  Result<> connect(const Proxy& proxy);
  Result<> disconnect(const Proxy& proxy);
  Result<> expire(const Proxy& proxy);
  Result<> set_health(const Proxy& proxy, const std::string& problem);

  kube::Client& client_;
  const Clock& clock_;
  Options options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Event> waiting_;
  std::map<std::string, int> connected_;  // streams by "ns/entry"
  bool is_stopped_ = false;
  std::thread thread_;
};

}  // namespace lateen::discovery
