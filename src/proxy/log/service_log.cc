// A sender lives on its worker's loop: its own timer ends it after its logger is gone, so that
// calls and timers die on the thread they live on.

#include "proxy/log/service_log.h"

#include "base/log.h"
#include "envoy/extensions/access_loggers/grpc/v3/als.pb.h"
#include "envoy/extensions/access_loggers/open_telemetry/v3/logs_service.pb.h"
#include "grpc/client.h"
#include "xds/any.h"
#include "xds/convert.h"

namespace lateen::proxy {

namespace {
constexpr std::size_t kMostWaiting = 10'000;   // entries
constexpr std::size_t kMostUnsent = 1u << 20;  // bytes on a stream that is not read
constexpr int kMostCalls = 4;                  // batches under way, where each is a call
constexpr milliseconds kCallLimit{5000};

using Common = envoy::extensions::access_loggers::grpc::v3::CommonGrpcAccessLogConfig;

Result<> read_common(const Common& config, ServiceLogOptions& made) {
  made.service = TRY(SideService::compile(config.grpc_service(), "access log"));
  if (config.has_grpc_stream_retry_policy())
    return invalid("access log: grpc_stream_retry_policy is not supported", Blame::kConfig);
  if (config.has_buffer_flush_interval())
    made.flush_interval =
        std::max(milliseconds(10), xds::to_millis(config.buffer_flush_interval()));
  if (config.has_buffer_size_bytes()) made.flush_bytes = config.buffer_size_bytes().value();
  return {};
}
}  // namespace

class ServiceLog::Sender {
 public:
  Sender(Worker& worker, std::weak_ptr<const ServiceLog> owner, const ServiceLogOptions& options)
      : worker_(worker),
        owner_(std::move(owner)),
        options_(options),
        timer_(worker.loop(), [this] { on_timer(); }) {
    timer_.arm(options_.flush_interval);
  }

  void add(std::string entry) {
    if (entries_.size() >= kMostWaiting) {
      ++dropped_;
      return;
    }
    bytes_ += entry.size();
    entries_.push_back(std::move(entry));
    if (bytes_ >= options_.flush_bytes) flush();
  }

 private:
  void on_timer() {
    flush();
    if (owner_.expired() && entries_.empty()) {
      delete this;
      return;
    }
    if (dropped_ > 0)
      LOG(kWarn, "log", "cluster '{}': {} access log entries were dropped",
          options_.service.cluster, std::exchange(dropped_, 0));
    timer_.arm(options_.flush_interval);
  }

  void flush() {
    if (entries_.empty()) return;
    auto entries = std::move(entries_);
    entries_.clear();
    bytes_ = 0;
    if (!(options_.codec->is_streamed() ? stream(entries) : call(entries)))
      dropped_ += entries.size();
  }

  bool stream(const std::vector<std::string>& entries) {
    const bool is_first = call_ == nullptr;
    if (is_first && !open()) return false;
    if (call_->pending_bytes() > kMostUnsent) return false;
    call_->send(options_.codec->batch(entries, is_first, worker_));
    return true;
  }
  bool open() {
    const auto target = find_target(worker_, options_.service.cluster, true);
    if (!target) return false;
    upstream_ = target->upstream;
    grpc::ClientEvents events;
    // The next batch opens another.
    events.on_end = [this](grpc::Status status) {
      LOG(kDebug, "log", "access log stream to cluster '{}' ended: {}", options_.service.cluster,
          status.message);
      worker_.loop().defer([ended = std::shared_ptr<grpc::ClientCall>(std::move(call_))] {});
    };
    auto call = grpc::start_call(worker_.loop(), *target->pool, options_.service.authority,
                                 std::string(options_.codec->method()), options_.service.metadata,
                                 std::move(events));
    call_ = std::move(call);
    return true;
  }

  bool call(const std::vector<std::string>& entries) {
    const auto target = find_target(worker_, options_.service.cluster, true);
    if (!target || calls_ >= kMostCalls) return false;
    ++calls_;
    grpc::unary(scope_, worker_.loop(), *target->pool, options_.service.authority,
                std::string(options_.codec->method()), options_.service.metadata,
                options_.codec->batch(entries, true, worker_), kCallLimit,
                [this, upstream = target->upstream](Result<std::string> answer) {
                  --calls_;
                  if (!answer.ok())
                    LOG(kDebug, "log", "access log entries lost: {}", answer.error().message());
                });
    return true;
  }

  Worker& worker_;
  std::weak_ptr<const ServiceLog> owner_;
  const ServiceLogOptions options_;
  std::vector<std::string> entries_;
  std::size_t bytes_ = 0;
  std::uint64_t dropped_ = 0;
  int calls_ = 0;
  UpstreamRef upstream_;
  event::Timer timer_;
  std::unique_ptr<grpc::ClientCall> call_;
  event::Scope scope_;  // last: dies first
};

Result<std::shared_ptr<const ServiceLog>> ServiceLog::compile(const std::string& type,
                                                              const google::protobuf::Any& config) {
  namespace grpc_log = envoy::extensions::access_loggers::grpc::v3;
  namespace otel = envoy::extensions::access_loggers::open_telemetry::v3;
  ServiceLogOptions made;
  if (type.ends_with("grpc.v3.HttpGrpcAccessLogConfig")) {
    const auto from = TRY(xds::unpack<grpc_log::HttpGrpcAccessLogConfig>(config));
    TRY(read_common(from.common_config(), made));
    made.codec = TRY(make_als_codec(config, false));
  } else if (type.ends_with("grpc.v3.TcpGrpcAccessLogConfig")) {
    const auto from = TRY(xds::unpack<grpc_log::TcpGrpcAccessLogConfig>(config));
    TRY(read_common(from.common_config(), made));
    made.codec = TRY(make_als_codec(config, true));
  } else if (type.ends_with("open_telemetry.v3.OpenTelemetryAccessLogConfig")) {
    const auto from = TRY(xds::unpack<otel::OpenTelemetryAccessLogConfig>(config));
    TRY(read_common(from.common_config(), made));
    made.codec = TRY(make_otlp_codec(config));
  } else {
    return std::shared_ptr<const ServiceLog>();
  }
  return std::shared_ptr<const ServiceLog>(std::make_shared<ServiceLog>(std::move(made)));
}

void ServiceLog::log(const StreamInfo& info) const {
  Sender* sender = nullptr;
  {
    const std::lock_guard lock(mutex_);
    Sender*& slot = senders_[info.worker.index()];
    if (slot == nullptr) slot = new Sender(info.worker, weak_from_this(), options_);
    sender = slot;
  }
  sender->add(options_.codec->entry(info));
}

}  // namespace lateen::proxy
