// Access loggers that send to a service: Envoy's access log service (gRPC, HTTP and TCP entries)
// and OpenTelemetry. Entries gather per worker and go out in batches; a service that does not keep
// up loses entries, never holds a request.
#pragma once

#include <memory>
#include <string>

#include "proxy/filters/side_call.h"
#include "proxy/log/access_log.h"

namespace google::protobuf {
class Any;
}

namespace lateen::proxy {

// How an entry looks and what a batch of them is. Immutable, thread-safe.
class LogCodec {
 public:
  virtual ~LogCodec() = default;
  virtual bool is_streamed() const = 0;  // one call for all batches, else one per batch
  virtual std::string_view method() const = 0;
  virtual std::string entry(const StreamInfo& info) const = 0;
  // `is_first` of its stream.
  virtual std::string batch(const std::vector<std::string>& entries, bool is_first,
                            Worker& worker) const = 0;
};

struct ServiceLogOptions {
  SideService service;
  milliseconds flush_interval{1000};
  std::size_t flush_bytes = 16 * 1024;  // 0: each entry at once
  std::shared_ptr<const LogCodec> codec;
};

class ServiceLog : public std::enable_shared_from_this<ServiceLog> {
 public:
  explicit ServiceLog(ServiceLogOptions options) : options_(std::move(options)) {}
  // Of the loggers' configurations; null when `type` is none of them.
  static Result<std::shared_ptr<const ServiceLog>> compile(const std::string& type,
                                                           const google::protobuf::Any& config);
  // On the stream's worker.
  void log(const StreamInfo& info) const;

  const ServiceLogOptions& options() const { return options_; }

 private:
  class Sender;  // of one worker
  ServiceLogOptions options_;
  mutable std::mutex mutex_;
  mutable std::map<unsigned, Sender*> senders_;  // they own themselves, and outlive us by a tick
};

Result<std::shared_ptr<const LogCodec>> make_als_codec(const google::protobuf::Any& config,
                                                       bool is_tcp);
Result<std::shared_ptr<const LogCodec>> make_otlp_codec(const google::protobuf::Any& config);

}  // namespace lateen::proxy
