// Says in the status of Istio's own objects whether they are live: condition Reconciled, from what
// proxies acknowledged, with the generation it speaks of. Written once a generation, at a bounded
// rate, by the leader of several replicas. One thread.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <tuple>

#include "discovery/ads.h"
#include "kube/client.h"

namespace lateen::discovery {

class ConfigStatus {
 public:
  struct Options {
    int writes_a_second = 10;
    milliseconds look_every{500};       // at the proxies, while an object waits
    milliseconds patience{10'000};      // then it is said that some proxies are behind
    std::size_t most_waiting = 20'000;  // beyond, objects go without
  };
  // Asks the discovery service for answer(), soon; called on our thread.
  using Ask = Function<void()>;
  // All outlive it.
  ConfigStatus(kube::Client& client, const Clock& clock, Ask ask, Options options);
  ~ConfigStatus();  // stops and joins

  // Thread-safe. Objects as the watches bring them; how far the newest snapshot has come.
  void take(const data::Json& object, bool is_removed);
  void answer(SnapshotPtr snapshot, Ads::Distribution distribution);
  void set_leading(bool is_leading);
  std::size_t waiting() const;

 private:
  using Key = std::tuple<std::string, std::string, std::string>;  // kind, namespace, name
  struct Waiting {
    std::int64_t generation = 0;
    SteadyTime since{};
    bool is_behind_told = false;
  };
  struct Verdict {
    Key key;
    std::int64_t generation = 0;
    bool is_live = false;
    std::string message;
  };
  void work();
  std::vector<Verdict> judge();
  Result<> write(const Verdict& verdict);

  kube::Client& client_;
  const Clock& clock_;
  Ask ask_;
  Options options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<Key, Waiting> waiting_;
  SnapshotPtr snapshot_;  // the last answer's; null: to be asked for
  Ads::Distribution distribution_;
  bool is_leading_ = false, is_stopped_ = false;
  std::thread thread_;
};

}  // namespace lateen::discovery
