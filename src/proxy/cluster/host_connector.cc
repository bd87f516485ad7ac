// One Connecting per connection under way: addresses, transport, PROXY header, TLS. It owns itself
// and dies with its scope.

#include "proxy/cluster/host_connector.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>

#include "base/strings.h"
#include "proxy/cluster/counted_stream.h"
#include "proxy/cluster/proxy_header.h"
#include "tls/x509.h"

namespace lateen::proxy {
namespace {

constexpr milliseconds kNextAddressAfter{300};  // RFC 8305 asks for 150 ms to 400 ms
constexpr std::size_t kMostAddresses = 8;

using StreamResult = Result<std::unique_ptr<net::Stream>>;

class Connecting final : public event::Scope::Operation {
 public:
  Connecting(event::Scope& owner, event::Loop& loop, Surroundings& surroundings, ClusterRef cluster,
             HostRef host, std::vector<std::string> alpn, std::string server_name,
             PassageRef passage, milliseconds limit,
             event::Completion<std::unique_ptr<net::Stream>> done)
      : Operation(owner),
        loop_(loop),
        surroundings_(surroundings),
        cluster_(std::move(cluster)),
        host_(std::move(host)),
        alpn_(std::move(alpn)),
        server_name_(std::move(server_name)),
        passage_(std::move(passage)),
        until_(loop.now() + limit),
        done_(std::move(done)),
        next_timer_(loop, [this] { dial_next(); }) {}

  void start() {
    if (!host_->internal_name.empty()) return start_internal();
    if (!host_->dns_name.empty()) return start_lookup();
    addresses_.push_back(host_->address);
    addresses_.insert(addresses_.end(), host_->more_addresses.begin(), host_->more_addresses.end());
    dial_next();
  }

 private:
  ~Connecting() override = default;
  void cancel() override { delete this; }

  milliseconds left() const {
    return std::max(milliseconds(1), std::chrono::ceil<milliseconds>(until_ - loop_.now()));
  }
  const TransportSocket& socket() const {
    return cluster_->transport_sockets[host_->transport_socket];
  }

  void start_internal() {
    auto stream = surroundings_.connect_internal(*host_, passage_);
    if (stream != nullptr) return on_raw(std::move(stream));
    finish_later(
        unavailable("no internal listener '" + host_->internal_name + "'", Blame::kConfig));
  }

  void start_lookup() {
    const auto resolver = surroundings_.resolver();
    if (!resolver.ok()) return finish_later(resolver.error());
    (*resolver)->resolve(scope_, host_->dns_name, cluster_->dns_family,
                         [this](Result<net::Resolved> answer) {
                           if (!answer.ok()) return finish(answer.error());
                           for (const auto& ip : answer->ips)
                             addresses_.emplace_back(ip, host_->address.port());
                           dial_next();
                         });
  }

  // Tries one address after the other; a slow one goes on beside the next.
  void dial_next() {
    if (next_ >= std::min(addresses_.size(), kMostAddresses)) return;
    const net::Address& to = addresses_[next_++];
    ++under_way_;
    net::DialOptions options;
    if (cluster_->bind_source && cluster_->bind_source->is_v4() == to.ip().is_v4())
      options.source = net::Address(*cluster_->bind_source, 0);
    if (next_ < addresses_.size()) next_timer_.arm(kNextAddressAfter);
    net::dial(
        dials_, loop_, to, left(),
        [this](StreamResult stream) {
          --under_way_;
          if (stream.ok()) return on_raw(*std::move(stream));
          last_error_ = stream.error();
          if (next_ < std::min(addresses_.size(), kMostAddresses)) return dial_next();
          if (under_way_ == 0) finish(*last_error_);
        },
        options);
  }

  void on_raw(std::unique_ptr<net::Stream> stream) {
    next_timer_.cancel();
    next_ = addresses_.size();
    keep_alive(*stream);
    if (socket().proxy_protocol && passage_ != nullptr)
      stream = put_proxy_header(std::move(stream), *socket().proxy_protocol, passage_->source,
                                passage_->destination);
    if (socket().tls == nullptr) {
      if (host_->internal_name.empty()) return finish(std::move(stream));
      return finish_later(std::move(stream));
    }
    const std::string name = server_name();
    const bool is_name_demanded =
        socket().is_san_from_sni || (!server_name_.empty() && cluster_->is_san_from_request);
    auto context = socket().tls->get();
    if (context == nullptr)
      return finish_later(unavailable("TLS_error: Secret is not supplied by SDS", Blame::kConfig));
    tls::connect(scope_, loop_, std::move(context), std::move(stream), name, alpn_, left(),
                 [this, name, is_name_demanded](StreamResult made) {
                   if (made.ok() && is_name_demanded && !has_name(*made, name))
                     return finish(unavailable("TLS_error: the peer's certificate is not for '" +
                                               name + "'"));
                   finish(std::move(made));
                 });
  }

  std::string server_name() const {
    if (!server_name_.empty()) return server_name_;
    if (socket().is_sni_from_host && !host_->hostname.empty()) return host_->hostname;
    return socket().sni;
  }

  static bool has_name(const std::unique_ptr<net::Stream>& stream, const std::string& name) {
    const net::TlsInfo* tls = stream->tls();
    if (tls == nullptr || name.empty()) return false;
    const auto certificate = tls::parse_certificate(tls->peer_certificate_pem);
    if (!certificate.ok()) return false;
    if (const auto ip = net::Ip::parse(name); ip.ok()) {
      const auto& ips = certificate->names.ips;
      return std::find(ips.begin(), ips.end(), ip->to_string()) != ips.end();
    }
    return std::any_of(certificate->names.dns.begin(), certificate->names.dns.end(),
                       [&](const std::string& one) {
                         if (!one.starts_with("*.")) return iequals(one, name);
                         const auto dot = name.find('.');  // a star is one whole label
                         return dot != std::string::npos && dot > 0 &&
                                iequals(std::string_view(name).substr(dot), one.substr(1));
                       });
  }

  void keep_alive(const net::Stream& stream) const {
    if (!cluster_->keep_alive || stream.fd() < 0) return;
    const KeepAlive& wanted = *cluster_->keep_alive;
    const auto set = [&](int level, int option, std::uint32_t value) {
      const int number = static_cast<int>(std::min<std::uint32_t>(value, 32767));
      if (value != 0) (void)::setsockopt(stream.fd(), level, option, &number, sizeof number);
    };
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, wanted.idle_seconds);
    set(IPPROTO_TCP, TCP_KEEPINTVL, wanted.interval_seconds);
    set(IPPROTO_TCP, TCP_KEEPCNT, std::min(wanted.probes, 127u));
  }

  // Completions never fire inside the call that started them.
  void finish_later(StreamResult result) {
    auto held = std::make_shared<StreamResult>(std::move(result));
    event::after(scope_, loop_, nanoseconds(0), [this, held] { finish(std::move(*held)); });
  }

  void finish(StreamResult stream) {
    auto& stats = *cluster_->state->stats;
    auto done = std::move(done_);
    if (stream.ok()) {
      stream = count_upstream(*std::move(stream), cluster_, host_);
    } else {
      stats.add(ClusterStat::kCxConnectFail);
      if (stream.error().code() == Code::kDeadlineExceeded)
        stats.add(ClusterStat::kCxConnectTimeout);
      host_->state->cx_connect_fail.add();
    }
    unlink();
    next_timer_.cancel();
    dials_.cancel_all();
    scope_.cancel_all();
    // Frames of our own scopes may be on the stack.
    loop_.defer([this] { delete this; });
    done(std::move(stream));
  }

  event::Loop& loop_;
  Surroundings& surroundings_;
  ClusterRef cluster_;
  HostRef host_;
  std::vector<std::string> alpn_;
  std::string server_name_;
  PassageRef passage_;
  SteadyTime until_;
  event::Completion<std::unique_ptr<net::Stream>> done_;
  std::vector<net::Address> addresses_;
  std::size_t next_ = 0;
  std::size_t under_way_ = 0;
  std::optional<Error> last_error_;
  event::Timer next_timer_;
  event::Scope scope_;
  event::Scope dials_;  // last: losers of the race go first
};

}  // namespace

HostConnector::HostConnector(event::Loop& loop, Surroundings& surroundings, ClusterRef cluster,
                             HostRef host, std::vector<std::string> alpn, std::string server_name,
                             PassageRef passage)
    : loop_(loop),
      surroundings_(surroundings),
      cluster_(std::move(cluster)),
      host_(std::move(host)),
      alpn_(std::move(alpn)),
      server_name_(std::move(server_name)),
      passage_(std::move(passage)) {}

void HostConnector::connect(event::Scope& scope, milliseconds limit,
                            event::Completion<std::unique_ptr<net::Stream>> done) {
  cluster_->state->stats->add(ClusterStat::kCxTotal);
  host_->state->cx_total.add();
  auto* connecting = new Connecting(scope, loop_, surroundings_, cluster_, host_, alpn_,
                                    server_name_, passage_, limit, std::move(done));
  connecting->start();
}

}  // namespace lateen::proxy
