// Why an exchange failed at this proxy, for people: which object of the configuration decided it,
// what it says, and what was found. Made when the exchange ends, only for answers of our own with
// 4xx or 5xx and for TCP connections that came to nothing; never sent to the client.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "data/json.h"

namespace lateen::proxy {

class StreamInfo;

struct Failure {
  WallTime time;
  int status = 0;       // meant for the client; 0: TCP
  std::string flags;    // "UF,URX"
  std::string details;  // RESPONSE_CODE_DETAILS
  std::string reason;   // a sentence
  // What decided: "VirtualService shop/reviews", "cluster outbound|80||a.b", "listener 0.0.0.0_80".
  std::string object;
  std::string object_path;  // of filter_metadata.istio.config, when there is one
  std::string method, authority, path;
  std::string client, listener, filter_chain, route_table, virtual_host, route, cluster, host;
  std::string request_id;
  data::JsonObject to_json() const;
};

// Null when the exchange did not fail by our own decision.
std::unique_ptr<Failure> explain_failure(const StreamInfo& info);
// Explains it to the log (as `failure`, and as dynamic metadata lateen.failure) and to the store.
void note_failure(StreamInfo& info);
// To be called by a filter that answers for a service that it asked (`cluster`), so that it is told
// from others of the listener.
void name_decider(StreamInfo& info, std::string_view filter, std::string_view cluster);
// "/apis/networking.istio.io/v1/namespaces/a/virtual-service/b" as "VirtualService a/b".
std::string name_of_config(std::string_view path);

// The last failures of all workers. Thread-safe; bounded in number, and in how many it takes a
// second.
class FailureStore {
 public:
  static constexpr std::size_t kMost = 512;
  static constexpr std::uint32_t kMostPerSecond = 100;
  // Whether another one is taken in this second; else it counts as skipped.
  bool admits(SteadyTime now);
  void add(const Failure& failure);
  std::vector<Failure> last(std::size_t most) const;  // the newest first
  std::uint64_t skipped() const;
  std::uint64_t total() const;

 private:
  mutable std::mutex mutex_;
  std::deque<Failure> held_;
  SteadyTime second_{};
  std::uint32_t in_second_ = 0;
  std::uint64_t skipped_ = 0, total_ = 0;
};

}  // namespace lateen::proxy
