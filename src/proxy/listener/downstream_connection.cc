// The way of a connection: original destination, hand-off, inspection, chain, TLS, network filters.

#include "proxy/listener/downstream_connection.h"

#include "base/log.h"
#include "net/network.h"
#include "proxy/listener/inspect.h"
#include "proxy/listener/prefixed_stream.h"
#include "proxy/listener/worker_listener.h"
#include "proxy/stream/failure.h"

namespace lateen::proxy {

DownstreamConnection::DownstreamConnection(WorkerListener& listener,
                                           std::unique_ptr<net::Stream> stream)
    : listener_(&listener),
      config_(listener.config()),
      timeout_(listener.worker().loop(),
               [this] {
                 if (is_advance_due_) return;
                 if (config_->is_continued_on_timeout && stage_ == Stage::kInspecting) {
                   next_filter_ = config_->filters.size();
                   return run_filters();
                 }
                 config_->stats->add(ListenerStat::kPreCxTimeout);
                 close();
               }),
      stream_(std::move(stream)) {
  facts_.id = listener.worker().next_id();
  facts_.local = facts_.direct_local = stream_->local_address();
  facts_.remote = facts_.direct_remote = stream_->remote_address();
  facts_.started = listener.worker().loop().now();
  config_->stats->add(ListenerStat::kCxTotal);
  config_->stats->add(ListenerStat::kCxActive);
  worker().shared().connections.fetch_add(1, std::memory_order_relaxed);
}

DownstreamConnection::~DownstreamConnection() {
  // The reports below still say who the peer was, and what knows it goes with the stream.
  std::optional<net::TlsInfo> tls;
  if (facts_.tls != nullptr && chain_ != nullptr && !chain_->is_http) {
    tls = *facts_.tls;
    facts_.tls = &*tls;
  }
  terminal_.reset();
  worker().shared().connections.fetch_sub(1, std::memory_order_relaxed);
  config_->stats->add(ListenerStat::kCxActive, -1);
  config_->stats->add(ListenerStat::kCxDestroy);
  if (info_ == nullptr || chain_ == nullptr || chain_->is_http) return;
  if (!info_->finished) info_->finished = loop().now();
  note_failure(*info_);
  for (const auto& filter : chain_->filters) filter->on_complete(*info_);
}

Worker& DownstreamConnection::worker() { return listener_->worker(); }
event::Loop& DownstreamConnection::loop() { return listener_->worker().loop(); }

void DownstreamConnection::come_from(InternalFacts facts) {
  facts_.state = std::move(facts.state);
  internal_destination_ = std::move(facts.original);
}

void DownstreamConnection::start() {
  facts_.listener = config_->name;
  facts_.is_inbound = config_->is_inbound;
  facts_.is_outbound = config_->is_outbound;
  next_filter_ = 0;
  stage_ = Stage::kFilters;
  run_filters();
}

void DownstreamConnection::hand_to(WorkerListener& listener) {
  listener_ = &listener;
  config_->stats->add(ListenerStat::kCxActive, -1);
  config_ = listener.config();
  config_->stats->add(ListenerStat::kCxTotal);
  config_->stats->add(ListenerStat::kCxActive);
  start();
}

void DownstreamConnection::run_filters() {
  while (next_filter_ < config_->filters.size()) {
    const ListenerFilter& filter = config_->filters[next_filter_];
    if (filter.disabled.matches(facts_.local.port())) {
      ++next_filter_;
      continue;
    }
    if (filter.kind == ListenerFilter::Kind::kOriginalDst && internal_destination_) {
      facts_.local = *internal_destination_;
      ++next_filter_;
      continue;
    }
    if (filter.kind == ListenerFilter::Kind::kOriginalDst) {
      if (const auto original = net::original_destination_of(*stream_); original.ok())
        facts_.local = *original;
      ++next_filter_;
      continue;
    }
    if (filter.kind == ListenerFilter::Kind::kOriginalSrc) {
      ++next_filter_;  // Takes effect upstream, with TPROXY; nothing to read here.
      continue;
    }
    if (stage_ != Stage::kInspecting) {
      stage_ = Stage::kInspecting;
      if (config_->filters_timeout.count() > 0) timeout_.arm(config_->filters_timeout);
      return inspect();
    }
    return on_bytes();
  }
  timeout_.cancel();
  if (config_->is_handing_off && facts_.local != facts_.direct_local) {
    WorkerListener* target = worker().listener_for(facts_.local);
    if (target != nullptr && target != listener_) {
      auto self = listener_->release(*this);
      stream_ = put_back(loop(), std::move(stream_), std::move(seen_));
      seen_ = Buffer();
      DownstreamConnection& moved = *self;
      target->adopt(std::move(self));
      return moved.hand_to(*target);
    }
  }
  choose_chain();
}

void DownstreamConnection::inspect() {
  stream_->on_ready([this](bool, bool) { on_bytes(); });
  on_bytes();
}

// Reads what is there and asks the current inspector; moves on when it has decided.
void DownstreamConnection::on_bytes() {
  if (stage_ != Stage::kInspecting || is_advance_due_) return;
  while (!is_stream_ended_ && seen_.size() < kMostInspectedBytes) {
    const net::Io io = stream_->read(seen_, 16 * 1024);
    if (io.state == net::IoState::kAgain) break;
    if (io.state != net::IoState::kOk) is_stream_ended_ = true;
  }
  if (is_stream_ended_ && seen_.empty()) return close();
  while (next_filter_ < config_->filters.size()) {
    const ListenerFilter& filter = config_->filters[next_filter_];
    if (filter.disabled.matches(facts_.local.port()) ||
        filter.kind == ListenerFilter::Kind::kOriginalDst ||
        filter.kind == ListenerFilter::Kind::kOriginalSrc) {
      if (filter.kind == ListenerFilter::Kind::kOriginalDst) break;
      ++next_filter_;
      continue;
    }
    const std::string_view bytes = seen_.flatten();
    Seen seen = Seen::kNo;
    if (filter.kind == ListenerFilter::Kind::kTlsInspector) {
      ClientHello hello;
      seen = inspect_tls(bytes, hello);
      if (seen == Seen::kYes) {
        facts_.sni = hello.server_name;
        facts_.detected_transport = "tls";
        detected_protocols_ = hello.alpn;
      } else if (seen == Seen::kNo) {
        facts_.detected_transport = "raw_buffer";
      }
    } else if (filter.kind == ListenerFilter::Kind::kHttpInspector) {
      std::string protocol;
      seen = facts_.detected_transport == "tls" ? Seen::kNo : inspect_http(bytes, protocol);
      if (seen == Seen::kYes) detected_protocols_ = {protocol};
    } else if (filter.kind == ListenerFilter::Kind::kProxyProtocol) {
      ProxyHeader header;
      seen = inspect_proxy(bytes, header);
      if (seen == Seen::kNo && !filter.is_header_optional) return close();
      if (seen == Seen::kYes) {
        seen_.drop(header.bytes);
        if (!header.is_local) {
          facts_.remote = header.source;
          facts_.local = header.destination;
        }
      }
    }
    if (seen == Seen::kNeedMore && !is_stream_ended_ && seen_.size() < kMostInspectedBytes) return;
    ++next_filter_;
  }
  // Not from inside the stream's callback: what comes next replaces it. Until then more bytes may
  // stay where they are.
  is_advance_due_ = true;
  event::after(scope_, loop(), nanoseconds(0), [this] {
    is_advance_due_ = false;
    run_filters();
  });
}

ChainFacts DownstreamConnection::chain_facts() const {
  ChainFacts facts{facts_.local,
                   facts_.remote,
                   facts_.direct_remote,
                   facts_.sni,
                   facts_.detected_transport,
                   detected_protocols_};
  if (facts.transport_protocol.empty()) facts.transport_protocol = "raw_buffer";
  return facts;
}

void DownstreamConnection::choose_chain() {
  chain_ = listener_->config()->find_chain(chain_facts());
  if (chain_ == nullptr) {
    config_->stats->add(ListenerStat::kNoFilterChainMatch);
    info_ = std::make_unique<StreamInfo>(worker(), facts_);
    info_->flags.set(Flag::kNoRoute);
    info_->details = "filter_chain_not_found";
    info_->finished = loop().now();
    note_failure(*info_);
    for (const auto& log : config_->access_logs) log.log(*info_);
    return close();
  }
  facts_.filter_chain = chain_->name;
  stream_ = put_back(loop(), std::move(stream_), std::move(seen_));
  seen_ = Buffer();
  if (chain_->tls != nullptr) return handshake();
  run_chain();
}

void DownstreamConnection::handshake() {
  stage_ = Stage::kHandshake;
  auto context = chain_->tls->get();
  if (context == nullptr) {
    config_->stats->add(ListenerStat::kSslConnectionError);
    LOG(kWarn, "listener", "{}: no certificate yet for chain '{}': connection from {} closed",
        config_->name, chain_->name, facts_.remote.to_string());
    return close();
  }
  tls::accept(scope_, loop(), std::move(context), std::move(stream_), chain_->handshake_timeout,
              [this](Result<std::unique_ptr<net::Stream>> done) {
                if (!done.ok()) {
                  config_->stats->add(ListenerStat::kSslConnectionError);
                  LOG(kDebug, "listener", "{}: TLS with {}: {}", config_->name,
                      facts_.remote.to_string(), done.error().message());
                  StreamInfo failed(worker(), facts_);
                  failed.details = "downstream_tls_error: " + done.error().message();
                  note_failure(failed);
                  return close();
                }
                config_->stats->add(ListenerStat::kSslHandshake);
                stream_ = *std::move(done);
                facts_.tls = stream_->tls();
                if (facts_.tls != nullptr && facts_.sni.empty())
                  facts_.sni = facts_.tls->server_name;
                run_chain();
              });
}

void DownstreamConnection::run_chain() {
  stage_ = Stage::kRunning;
  info_ = std::make_unique<StreamInfo>(worker(), facts_);
  info_->state = facts_.state;
  NetworkNext(*chain_, 0)(*this);
  // HTTP reports by stream: a connection that waits for requests is a kilobyte smaller without.
  if (chain_->is_http && chain_->filters.size() == 1 && terminal_ != nullptr) info_ = nullptr;
  if (is_draining_ && terminal_ != nullptr) {
    if (const auto chain = listener_->config()->find_chain(chain_facts());
        chain != nullptr && (chain->tls == nullptr) == (chain_->tls == nullptr))
      terminal_->replace(*chain);
    terminal_->drain(true);
  }
}

void DownstreamConnection::close() {
  if (stage_ == Stage::kClosed) return;
  stage_ = Stage::kClosed;
  listener_->retire(*this);
}

void DownstreamConnection::drain(bool is_gentle) {
  is_draining_ = true;
  if (is_gentle) start_drain_limit();
  if (terminal_ != nullptr) return terminal_->drain(is_gentle);
  if (!is_gentle && stage_ == Stage::kInspecting && seen_.empty()) close();
}

void DownstreamConnection::start_drain_limit() {
  auto limit = std::make_unique<event::Timer>(loop(), [this] { close(); });
  limit->arm(worker().shared().drain_time);
  add_timer(std::move(limit));
}

void DownstreamConnection::update(const std::shared_ptr<const ListenerConfig>& config) {
  if (chain_ == nullptr || stage_ == Stage::kClosed || config->has_chain(*chain_)) return;
  if (terminal_ != nullptr) {
    const auto chain = config->find_chain(chain_facts());
    if (chain != nullptr && (chain->tls == nullptr) == (chain_->tls == nullptr))
      terminal_->replace(*chain);
  }
  if (is_draining_) return;
  config_->stats->add(ListenerStat::kChainDrained);
  drain(true);
}

void NetworkNext::operator()(DownstreamConnection& connection) const {
  if (index_ >= chain_->filters.size()) return connection.close();
  chain_->filters[index_]->handle(connection, NetworkNext(*chain_, index_ + 1));
}

}  // namespace lateen::proxy
