// The answer comes when the upstream is connected; then bytes are relayed until both sides ended.

#include "proxy/http/connect_call.h"

#include "proxy/network/body_stream.h"

namespace lateen::proxy {

ConnectCall::ConnectCall(HttpState& stream, UpstreamRef upstream, http::Request request,
                         http::Done done)
    : stream_(stream),
      upstream_(std::move(upstream)),
      request_(std::move(request)),
      done_(std::move(done)) {}

void ConnectCall::start() {
  StreamInfo& info = stream_.info;
  HostRef host;
  const ClusterConfig& cluster = upstream_->config();
  if (cluster.type == ClusterConfig::Type::kOriginalDst) {
    // An address in the authority is where the client wants to go.
    net::Address to = info.connection.local;
    if (const auto named = net::Address::parse(request_.authority); named.ok() && !named->is_unix())
      to = *named;
    if (cluster.original_dst_port) to = net::Address(to.ip(), *cluster.original_dst_port);
    host = upstream_->host_for_address(to);
  } else if (cluster.type == ClusterConfig::Type::kDynamicForward) {
    host = upstream_->host_for_name(request_.authority, 443);
  } else {
    host = upstream_->pick({});
  }
  if (host == nullptr) {
    upstream_->stats().add(ClusterStat::kCxNoneHealthy);
    auto done = std::move(done_);
    return done(local_reply(stream_, 503, "no healthy upstream", "no_healthy_upstream",
                            Flag::kNoHealthyUpstream));
  }
  info.upstream.host = host;
  info.upstream.address = host->address;
  info.upstream.attempts = 1;
  PassageRef passage;
  if (upstream_->needs_passage(*host)) {
    auto made = std::make_shared<Passage>();
    made->source = info.connection.remote;
    made->destination = info.connection.local;
    made->state = info.state;
    passage = std::move(made);
  }
  upstream_->connect(
      scope_, host, {},
      [this, host](Result<std::unique_ptr<net::Stream>> stream) {
        on_connected(host, std::move(stream));
      },
      std::move(passage));
}

void ConnectCall::on_connected(const HostRef& host, Result<std::unique_ptr<net::Stream>> stream) {
  StreamInfo& info = stream_.info;
  auto done = std::move(done_);
  if (!stream.ok()) {
    upstream_->report_local_failure(*host);
    info.upstream.transport_failure = stream.error().message();
    return done(local_reply(
        stream_, 503,
        "upstream connect error or disconnect/reset before headers. reset reason: remote "
        "connection failure, transport failure reason: " +
            stream.error().message(),
        "upstream_reset_before_response_started{remote_connection_failure}",
        Flag::kUpstreamConnectFailure));
  }
  info.upstream.local = (*stream)->local_address();
  info.details = "via_upstream";
  auto client = std::make_unique<BodyStream>(stream_.exchange.loop, info.connection.local,
                                             info.connection.remote);
  client->set_incoming(std::move(request_.body));
  http::Response response(stream_.exchange.arena);
  response.status = 200;
  response.body = client->outgoing();
  Relay::Events events;
  events.on_end = [this](std::string error, bool is_client) {
    if (error.empty()) return;
    stream_.info.flags.set(is_client ? Flag::kDownstreamEnded : Flag::kUpstreamConnectionEnded);
    stream_.cut();
  };
  relay_ = std::make_unique<Relay>(std::move(client), *std::move(stream), std::move(events));
  relay_->start();
  done(std::move(response));
}

}  // namespace lateen::proxy
