// Spans of requests: made when the sampling says so, carried in headers (B3, W3C), finished with
// the stream.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "http/message.h"
#include "proxy/stream/stream_info.h"
#include "proxy/trace/config.h"

namespace lateen::proxy {

// What a collector gets.
struct FinishedSpan {
  std::string trace_id;  // 16 or 32 hex digits
  std::string id;
  std::string parent_id;  // empty: none
  std::string name;
  enum class Kind : unsigned char { kServer, kClient } kind = Kind::kServer;
  bool is_shared = false;
  WallTime start;
  nanoseconds duration{0};
  std::string service;
  net::Address local;
  std::vector<std::pair<std::string, std::string>> tags;
  bool is_error = false;
};

class SpanRecorder {
 public:
  SpanRecorder(std::shared_ptr<const HttpConfig> config, const TraceConfig& trace);
  // Writes the context into the request that goes upstream.
  void inject(http::Request& request) const;
  // Reports the span with the finished stream's facts.
  void finish(const StreamInfo& info);

 private:
  friend std::unique_ptr<SpanRecorder> start_span(StreamInfo& info, const http::Request& request,
                                                  const TraceConfig& trace,
                                                  const std::shared_ptr<const HttpConfig>& config);
  std::shared_ptr<const HttpConfig> config_;  // keeps `trace_`
  const TraceConfig& trace_;
  std::string trace_id_;
  std::string span_id_;
  std::string parent_id_;
  bool is_sampled_ = false;
  bool is_shared_ = false;
};

// Null only when tracing is off. An unsampled request still carries its context on.
std::unique_ptr<SpanRecorder> start_span(StreamInfo& info, const http::Request& request,
                                         const TraceConfig& trace,
                                         const std::shared_ptr<const HttpConfig>& config);

}  // namespace lateen::proxy
