// A pod's log as a byte stream: a thread reads from the node agent into a bounded queue, the
// connection takes from it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "cluster/apiserver/request.h"
#include "cluster/node/streams.h"

namespace lateen::cluster::apiserver {

// Why a container has no log yet, as kubectl shows it; nullopt when reading may start.
std::optional<std::string> waiting_reason(const Json& pod, std::string_view container,
                                          bool is_previous);

class LogStream final : public ByteStream {
 public:
  // Waits until the first bytes, the end, or a short while, so that an error becomes an HTTP
  // status.
  static Outcome<std::unique_ptr<LogStream>> open(PodStreams& streams, LogRequest request);
  ~LogStream() override;
  Taken take() override;
  void on_more(std::function<void()> wake) override;

 private:
  static constexpr std::size_t kMostQueuedBytes = 1 << 20;
  LogStream() = default;
  void run(PodStreams& streams, const LogRequest& request);
  bool push(std::string_view bytes);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::string queued_;
  std::optional<Error> error_;
  bool is_done_ = false;
  std::atomic<bool> is_stopped_ = false;
  std::function<void()> wake_;
  std::thread thread_;
};

}  // namespace lateen::cluster::apiserver
