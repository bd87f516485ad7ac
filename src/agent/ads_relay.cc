// One upstream call per downstream stream. When either side ends, so does the other: the proxy
// reconnects by its own back-off and re-subscribes with the versions it holds.
#include "agent/ads_relay.h"

#include "base/log.h"

namespace lateen::agent {
namespace {
// Not yet taken by the control plane: over this the proxy's stream is ended rather than buffered
// without bound.
constexpr std::size_t kMostPendingBytes = 16u << 20;
}  // namespace

class AdsRelay::Stream {
 public:
  Stream(AdsRelay& owner, grpc::ServerCall& call, std::string method)
      : owner_(owner), call_(call), method_(std::move(method)) {}
  ~Stream() {
    if (is_up_) --owner_.connected_;
  }

  void on_message(std::string message) {
    if (upstream_ == nullptr && !open()) return;
    if (upstream_->pending_bytes() > kMostPendingBytes)
      return end(Code::kUnavailable, "the control plane does not read");
    upstream_->send(std::move(message));
  }
  void on_half_close() {
    if (upstream_ != nullptr) upstream_->half_close();
    else end(Code::kOk, "");
  }
  void on_end() {
    is_ended_ = true;
    // This may run inside a callback of the upstream call: it dies at the end of the turn.
    owner_.loop_.defer([dead = std::move(upstream_)] {});
  }

 private:
  bool open() {
    const auto cluster = owner_.options_.metadata.find("CLUSTER_ID");
    auto metadata =
        token_metadata(owner_.options_.token_file,
                       cluster != owner_.options_.metadata.end() ? cluster->second : "Kubernetes");
    if (!metadata) {
      end(Code::kUnavailable, metadata.error().message());
      return false;
    }
    grpc::ClientEvents events;
    events.on_message = [this](std::string message) {
      if (!std::exchange(is_up_, true)) ++owner_.connected_;
      if (!is_ended_) call_.send(std::move(message));
    };
    events.on_end = [this](grpc::Status status) { end(status.code, status.message); };
    upstream_ =
        grpc::start_call(owner_.loop_, owner_.upstream_.pool(), owner_.upstream_.authority(),
                         method_, *std::move(metadata), std::move(events));
    return true;
  }

  void end(Code code, const std::string& message) {
    if (std::exchange(is_ended_, true)) return;
    if (code != Code::kOk)
      LOG(kWarn, "xds", "stream to {} ended: {}: {}", owner_.upstream_.authority(), to_string(code),
          message);
    call_.finish(code == Code::kOk ? Code::kUnavailable : code, message);
  }

  AdsRelay& owner_;
  grpc::ServerCall& call_;
  std::string method_;
  bool is_up_ = false;
  bool is_ended_ = false;
  std::unique_ptr<grpc::ClientCall> upstream_;
};

void AdsRelay::register_on(grpc::Service& service) {
  for (const char* name : {"StreamAggregatedResources", "DeltaAggregatedResources"}) {
    const std::string method =
        std::string("/envoy.service.discovery.v3.AggregatedDiscoveryService/") + name;
    service.add(method, [this, method](grpc::ServerCall& call) {
      auto stream = std::make_shared<Stream>(*this, call, method);
      grpc::CallEvents events;
      events.on_message = [stream](std::string message) { stream->on_message(std::move(message)); };
      events.on_half_close = [stream] { stream->on_half_close(); };
      events.on_end = [stream] { stream->on_end(); };
      return events;
    });
  }
}

}  // namespace lateen::agent
