// Reconnects wait 0.5 s, doubling to 15 s, with jitter, so that a fleet does not come back at once.

#include "proxy/server/xds_stream.h"

#include "base/log.h"

namespace lateen::proxy {

namespace {
constexpr milliseconds kFirstBackoff{250};
constexpr milliseconds kMostBackoff{10'000};
}  // namespace

XdsStream::XdsStream(Worker& worker, Target target, xds::Client::Variant variant,
                     const envoy::config::core::v3::Node& node, bool is_node_sent_once,
                     xds::Client::OnUpdate on_update, std::function<void(bool)> on_state)
    : worker_(worker),
      target_(std::move(target)),
      on_state_(std::move(on_state)),
      retry_(worker.loop(), [this] { open(); }),
      client_(variant, node, is_node_sent_once, std::move(on_update), [this](std::string message) {
        if (call_ != nullptr) call_->send(std::move(message));
      }) {}

XdsStream::~XdsStream() = default;

void XdsStream::start() { open(); }

void XdsStream::open() {
  is_healthy_ = false;
  upstream_ = worker_.find_cluster(target_.cluster);
  if (upstream_ == nullptr) return reopen_later("no cluster '" + target_.cluster + "'");
  const HostRef host = upstream_->pick({});
  if (host == nullptr) return reopen_later("cluster '" + target_.cluster + "' has no healthy host");
  PoolKey key;
  key.address = host->address;
  key.transport_socket = host->transport_socket;
  key.protocol = http::ClientOptions::Protocol::kHttp2;
  if (upstream_->config().transport_sockets[host->transport_socket].tls != nullptr)
    key.alpn = {"h2"};
  grpc::ClientEvents events;
  events.on_message = [this](std::string message) {
    if (!is_healthy_) {
      is_healthy_ = true;
      backoff_ = milliseconds(0);
      if (on_state_) on_state_(true);
    }
    if (auto done = client_.on_message(message); !done.ok()) {
      client_.on_stream_closed();
      worker_.loop().defer([this, why = done.error().message()] { reopen_later(why); });
    }
  };
  events.on_end = [this](grpc::Status status) {
    client_.on_stream_closed();
    if (on_state_) on_state_(false);
    reopen_later(std::string(to_string(status.code)) +
                 (status.message.empty() ? "" : ": " + status.message));
  };
  call_ = grpc::start_call(worker_.loop(), upstream_->pool(host, key),
                           target_.authority.empty() ? target_.cluster : target_.authority,
                           target_.path, target_.metadata, std::move(events));
  client_.on_stream_open();
}

void XdsStream::reopen_later(std::string_view why) {
  if (retry_.is_armed()) return;
  backoff_ = backoff_.count() == 0 ? kFirstBackoff : std::min(backoff_ * 2, kMostBackoff);
  const milliseconds wait = backoff_ + milliseconds(worker_.loop().random().below(
                                           static_cast<std::uint64_t>(backoff_.count()) / 2 + 1));
  LOG(kWarn, "xds", "{} at {} ended ({}); again in {}", target_.path, target_.cluster, why,
      format_duration(wait));
  // The call is released later: this may be inside its callback.
  worker_.loop().defer([held = std::shared_ptr<grpc::ClientCall>(std::move(call_))] {});
  retry_.arm(wait);
}

}  // namespace lateen::proxy
