// One upstream call per downstream stream. When either side ends, so does the other: the proxy
// reconnects by its own back-off and re-subscribes with the versions it holds. Only a control plane
// that has not answered yet is asked again for a while, as in a cluster that starts all at once.
#include "agent/ads_relay.h"

#include <algorithm>

#include "base/log.h"

namespace lateen::agent {
namespace {
// Not yet taken by the control plane: over this the proxy's stream is ended rather than buffered
// without bound.
constexpr std::size_t kMostPendingBytes = 16u << 20;
constexpr seconds kPatience{10};
constexpr milliseconds kLeastPause{50};
constexpr milliseconds kMostPause{1'000};
}  // namespace

class AdsRelay::Stream {
 public:
  Stream(AdsRelay& owner, grpc::ServerCall& call, std::string method)
      : owner_(owner),
        call_(call),
        method_(std::move(method)),
        began_(owner.loop_.now()),
        retry_timer_(owner.loop_, [this] { open_again(); }) {}
  ~Stream() {
    if (is_up_) --owner_.connected_;
  }

  void on_message(std::string message) {
    if (!is_up_) {
      unanswered_bytes_ += message.size();
      if (unanswered_bytes_ > kMostPendingBytes)
        return end(Code::kUnavailable, "the control plane does not answer");
      unanswered_.push_back(message);
      if (retry_timer_.is_armed()) return;
    }
    if (upstream_ == nullptr && !open()) return;
    if (upstream_->pending_bytes() > kMostPendingBytes)
      return end(Code::kUnavailable, "the control plane does not read");
    upstream_->send(std::move(message));
  }
  void on_half_close() {
    if (upstream_ != nullptr && is_up_) upstream_->half_close();
    else end(Code::kOk, "");
  }
  void on_end() {
    is_ended_ = true;
    retry_timer_.cancel();
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
      if (!std::exchange(is_up_, true)) {
        ++owner_.connected_;
        unanswered_.clear();
      }
      if (!is_ended_) call_.send(std::move(message));
    };
    events.on_end = [this](grpc::Status status) {
      if (!may_try_again(status.code)) end(status.code, status.message);
    };
    upstream_ =
        grpc::start_call(owner_.loop_, owner_.upstream_.pool(), owner_.upstream_.authority(),
                         method_, *std::move(metadata), std::move(events));
    return true;
  }

  bool may_try_again(Code code) {
    const nanoseconds waited = owner_.loop_.now() - began_;
    if (is_up_ || is_ended_ || code != Code::kUnavailable || waited > kPatience) return false;
    owner_.loop_.defer([dead = std::move(upstream_)] {});
    // It is seen late by at most a fourth of what it took, and not by all at once.
    const nanoseconds pause =
        std::clamp(waited / 4, nanoseconds(kLeastPause), nanoseconds(kMostPause));
    retry_timer_.arm(pause + nanoseconds(owner_.loop_.random().below(
                                 static_cast<std::uint64_t>(pause.count()) / 4)));
    return true;
  }
  void open_again() {
    if (is_ended_ || !open()) return;
    for (const std::string& message : unanswered_) upstream_->send(message);
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
  const SteadyTime began_;
  std::vector<std::string> unanswered_;  // until the first answer
  std::size_t unanswered_bytes_ = 0;
  event::Timer retry_timer_;
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
