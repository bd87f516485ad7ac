// Sends finished spans to their collectors in batches. Main thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "proxy/trace/span.h"
#include "proxy/worker/worker.h"

namespace lateen::proxy {

class TraceReporter {
 public:
  explicit TraceReporter(Worker& main);
  ~TraceReporter();
  // Drops the oldest when a collector does not keep up.
  void add(const std::shared_ptr<const TraceConfig>& config, FinishedSpan span);
  void flush();
  std::uint64_t dropped() const { return dropped_; }

 private:
  struct Batch {
    std::shared_ptr<const TraceConfig> config;
    std::vector<FinishedSpan> spans;
  };
  class Call;
  void send(Batch& batch);

  static constexpr std::size_t kMostWaiting = 10'000;
  static constexpr std::size_t kMostAtOnce = 500;
  static constexpr std::size_t kMostCalls = 4;
  Worker& main_;
  std::map<std::string, Batch> batches_;  // by cluster and endpoint
  std::vector<std::unique_ptr<Call>> calls_;
  std::uint64_t dropped_ = 0;
};

std::string zipkin_json(const std::vector<FinishedSpan>& spans);
std::string otlp_request(const std::vector<FinishedSpan>& spans);

}  // namespace lateen::proxy
