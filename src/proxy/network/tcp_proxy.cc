// One TcpSession per connection connects (with retries over hosts) and then relays.

#include "proxy/network/tcp_proxy.h"

#include "base/strings.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "proxy/listener/downstream_connection.h"
#include "proxy/network/metadata_exchange.h"
#include "proxy/network/relay.h"
#include "proxy/network/tunnel.h"
#include "xds/convert.h"
#include "xds/json.h"

namespace lateen::proxy {
namespace {

class TcpSession final : public Terminal {
 public:
  TcpSession(const TcpProxy& proxy, DownstreamConnection& connection)
      : proxy_(proxy),
        connection_(connection),
        info_(connection.info()),
        idle_(connection.loop(),
              [this] {
                proxy_.stats().add(TcpStat::kIdleTimeout);
                info_.flags.set(Flag::kStreamIdle);
                finish("idle_timeout");
              }),
        limit_(connection.loop(), [this] {
          info_.flags.set(Flag::kMaxDuration);
          finish("max_duration");
        }) {
    proxy_.stats().add(TcpStat::kCxTotal);
    proxy_.stats().add(TcpStat::kCxActive);
  }
  ~TcpSession() override {
    proxy_.stats().add(TcpStat::kCxActive, -1);
    if (upstream_ != nullptr && is_counted_) upstream_->stats().add(ClusterStat::kRqActive, -1);
  }

  void start() {
    const auto chosen = info_.state.find("envoy.tcp_proxy.cluster");  // by sni_cluster
    const std::string& cluster = chosen != info_.state.end()
                                     ? chosen->second
                                     : proxy_.pick_cluster(connection_.loop().random());
    info_.upstream.cluster_name = cluster;
    upstream_ = connection_.worker().find_cluster(cluster);
    if (upstream_ == nullptr) {
      proxy_.stats().add(TcpStat::kNoRoute);
      info_.flags.set(Flag::kNoCluster);
      return finish("cluster_not_found");
    }
    info_.upstream.cluster = upstream_->config_ref();
    if (proxy_.max_duration().count() > 0) limit_.arm(proxy_.max_duration());
    connect();
  }

  // A TCP session has no natural end to wait for; it gets the drain time that the server allows.
  void drain(bool) override {}

 private:
  void connect() {
    const ClusterConfig& config = upstream_->config();
    HostRef host;
    if (config.type == ClusterConfig::Type::kOriginalDst) {
      net::Address to = connection_.facts().local;
      if (config.original_dst_port) to = net::Address(to.ip(), *config.original_dst_port);
      host = upstream_->host_for_address(to);
    } else if (config.type == ClusterConfig::Type::kDynamicForward) {
      host = upstream_->host_for_name(connection_.facts().sni, connection_.facts().local.port());
    } else {
      PickContext context;
      context.subset = proxy_.subset();
      if (proxy_.is_source_hashed())
        context.hash = std::hash<net::Ip>{}(connection_.facts().remote.ip());
      host = upstream_->pick(context);
    }
    if (host == nullptr) {
      upstream_->stats().add(ClusterStat::kCxNoneHealthy);
      info_.flags.set(Flag::kNoHealthyUpstream);
      return finish("no_healthy_upstream");
    }
    if (upstream_->state().connections.load(std::memory_order_relaxed) >=
        config.breaker.max_connections) {
      upstream_->stats().add(ClusterStat::kCxOverflow);
      info_.flags.set(Flag::kUpstreamOverflow);
      return finish("overflow");
    }
    ++info_.upstream.attempts;
    info_.upstream.host = host;
    info_.upstream.address = host->address;
    if (host->peer != nullptr) info_.upstream.peer = host->peer;
    auto done = [this, host](Result<std::unique_ptr<net::Stream>> stream) {
      if (stream.ok()) return on_connected(*std::move(stream));
      info_.upstream.transport_failure = stream.error().message();
      upstream_->report_local_failure(*host);
      if (info_.upstream.attempts < proxy_.most_attempts()) return connect();
      info_.flags.set(Flag::kUpstreamConnectFailure);
      finish("upstream_connection_failure");
    };
    PassageRef passage;
    if (upstream_->needs_passage(*host)) {
      auto made = std::make_shared<Passage>();
      made->source = connection_.facts().remote;
      made->destination = connection_.facts().local;
      made->state = info_.state;
      passage = std::move(made);
    }
    if (proxy_.tunneling()) return open(host, std::move(passage), std::move(done));
    upstream_->connect(connection_.scope(), host, {}, std::move(done), std::move(passage));
  }

  void open(const HostRef& host, PassageRef passage,
            event::Completion<std::unique_ptr<net::Stream>> done) {
    const TcpProxy::Tunneling& tunneling = *proxy_.tunneling();
    using Protocol = http::ClientOptions::Protocol;
    PoolKey key = upstream_->key_of(*host);
    key.protocol = upstream_->config().http == ClusterConfig::Http::kHttp1 ? Protocol::kHttp1
                                                                           : Protocol::kHttp2;
    const TlsSource* tls = upstream_->config().transport_sockets[host->transport_socket].tls.get();
    if (tls != nullptr && tls->spec().options.alpn.empty() && key.protocol == Protocol::kHttp2)
      key.alpn = {"h2"};
    if (passage != nullptr) key.special += '\n' + passage->key();
    TunnelRequest request;
    request.authority = tunneling.hostname.format(info_);
    request.is_post = tunneling.is_post;
    request.path = tunneling.post_path;
    for (const auto& [name, value] : tunneling.headers)
      request.headers.emplace_back(name, value.format(info_));
    open_tunnel(connection_.scope(), connection_.loop(),
                upstream_->pool(host, key, std::move(passage)), request, std::move(done));
  }

  void on_connected(std::unique_ptr<net::Stream> stream) {
    UpstreamInfo& upstream = info_.upstream;
    upstream.local = stream->local_address();
    if (const net::TlsInfo* tls = stream->tls()) {
      upstream.has_tls = true;
      upstream.tls_version = tls->version;
      upstream.peer_uri_sans = tls->peer_uri_sans;
    }
    if (upstream_->config().has_metadata_exchange)
      stream = exchange_metadata(connection_.loop(), std::move(stream),
                                 connection_.worker().shared().identity,
                                 [this](PeerRef peer) { info_.upstream.peer = std::move(peer); });
    is_counted_ = true;
    upstream_->stats().add(ClusterStat::kRqTotal);
    upstream_->stats().add(ClusterStat::kRqActive);
    Relay::Events events;
    events.on_bytes = [this](std::size_t from_client, std::size_t from_upstream) {
      info_.bytes_received += from_client;
      info_.bytes_sent += from_upstream;
      proxy_.stats().add(TcpStat::kRxBytes, static_cast<std::int64_t>(from_client));
      proxy_.stats().add(TcpStat::kTxBytes, static_cast<std::int64_t>(from_upstream));
      if (proxy_.idle_timeout().count() > 0) idle_.arm(proxy_.idle_timeout());
    };
    events.on_end = [this](std::string error, bool is_client) {
      if (!error.empty()) {
        info_.flags.set(is_client ? Flag::kDownstreamEnded : Flag::kUpstreamConnectionEnded);
        connection_.facts().termination_details = error;
      }
      finish({});
    };
    if (proxy_.idle_timeout().count() > 0) idle_.arm(proxy_.idle_timeout());
    relay_ = std::make_unique<Relay>(std::move(connection_.stream()), std::move(stream),
                                     std::move(events));
    relay_->start();
  }

  void finish(std::string_view details) {
    if (!details.empty()) info_.details = details;
    info_.finished = connection_.loop().now();
    connection_.close();
  }

  const TcpProxy& proxy_;
  DownstreamConnection& connection_;
  StreamInfo& info_;
  UpstreamRef upstream_;
  bool is_counted_ = false;
  std::unique_ptr<Relay> relay_;
  event::Timer idle_;
  event::Timer limit_;
};

namespace tcp = envoy::extensions::filters::network::tcp_proxy::v3;

Result<TcpProxy::Tunneling> compile_tunneling(const tcp::TcpProxy::TunnelingConfig& config) {
  TcpProxy::Tunneling made{
      TRY(Formatter::compile(config.hostname())), config.use_post(), config.post_path(), {}};
  for (const auto& one : config.headers_to_add()) {
    auto value = TRY(Formatter::compile(one.header().value()).at("header " + one.header().key()));
    made.headers.emplace_back(to_lower(one.header().key()), std::move(value));
  }
  return made;
}

}  // namespace

Result<std::shared_ptr<const NetworkFilter>> TcpProxy::compile(
    const envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy& config,
    const CompileContext& context) {
  auto made = std::make_shared<TcpProxy>();
  if (config.has_weighted_clusters()) {
    for (const auto& one : config.weighted_clusters().clusters())
      made->targets_.push_back({one.name(), one.weight()});
  } else {
    made->targets_.push_back({config.cluster(), 1});
  }
  for (const auto& target : made->targets_) made->total_weight_ += target.weight;
  if (made->total_weight_ == 0)
    return invalid("tcp_proxy: the weights sum up to 0", Blame::kConfig);
  if (config.has_tunneling_config()) {
    made->tunneling_ =
        TRY(compile_tunneling(config.tunneling_config()).at("tcp_proxy: tunneling_config"));
  }
  if (const auto found = config.metadata_match().filter_metadata().find("envoy.lb");
      found != config.metadata_match().filter_metadata().end()) {
    const auto labels = xds::struct_to_json(found->second);
    if (const auto* object = labels.if_object()) made->subset_ = *object;
  }
  if (config.has_idle_timeout()) made->idle_timeout_ = xds::to_millis(config.idle_timeout());
  if (config.has_max_downstream_connection_duration())
    made->max_duration_ = xds::to_millis(config.max_downstream_connection_duration());
  if (config.has_max_connect_attempts())
    made->most_attempts_ = std::max(1u, config.max_connect_attempts().value());
  for (const auto& hash : config.hash_policy())
    made->is_source_hashed_ = made->is_source_hashed_ || hash.has_source_ip();
  made->stats_ = context.shared->stats.share<TcpStats>(config.stat_prefix());
  for (const auto& log : config.access_log())
    made->logs_.push_back(TRY(AccessLog::compile(log, *context.logs)));
  return std::shared_ptr<const NetworkFilter>(std::move(made));
}

const std::string& TcpProxy::pick_cluster(Random& random) const {
  std::uint64_t at = targets_.size() == 1 ? 0 : random.below(total_weight_);
  for (const auto& target : targets_) {
    if (at < target.weight) return target.cluster;
    at -= target.weight;
  }
  return targets_.front().cluster;
}

void TcpProxy::handle(DownstreamConnection& connection, NetworkNext) const {
  auto session = std::make_unique<TcpSession>(*this, connection);
  TcpSession& running = *session;
  connection.run(std::move(session));
  running.start();
}

void TcpProxy::on_complete(const StreamInfo& info) const {
  for (const auto& log : logs_) log.log(info);
}

}  // namespace lateen::proxy
