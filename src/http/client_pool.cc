// A pool: calls wait for a connection in order; a connection that has room takes the next.
#include <algorithm>
#include <deque>

#include "http/client_codec.h"
#include "http/h1_client.h"

namespace lateen::http {
namespace {

class Pool final : public ClientPool, private ClientCodec::Events, private Call::Holder {
 public:
  Pool(event::Loop& loop, std::unique_ptr<Connector> connector, const ClientOptions& options)
      : loop_(loop),
        connector_(std::move(connector)),
        options_(options),
        idle_timer_(loop, [this] { close_idle(); }) {}
  ~Pool() override {
    if (is_gone_ != nullptr) *is_gone_ = true;
    connects_.cancel_all();
    for (Call* call : std::exchange(pending_, {})) call->remove();
    for (Call* call : std::exchange(doomed_, {})) call->remove();
  }

  void call(event::Scope& scope, Exchange& exchange, Request request,
            Function<void(CallResult)> done) override;
  void drain() override;
  std::size_t connection_count() const override { return codecs_.size() + connecting_; }
  std::size_t active_count() const override {
    std::size_t count = pending_.size();
    for (const auto& codec : codecs_) count += codec->active_count();
    return count;
  }

 private:
  void refuse(event::Scope& scope, Error error, Function<void(CallResult)> done);
  ClientCodec* find_room();
  void connect_more();
  bool is_too_old(const ClientCodec& codec) const;
  void on_connected(Result<std::unique_ptr<net::Stream>> stream);
  void fail_pending(const Error& error);
  void unlist(ClientCodec& codec);
  void close_idle();
  void bury();

  void on_room(ClientCodec& codec) override;
  void on_closed(ClientCodec& codec) override;
  void forget(Call& call) override {
    if (std::erase(pending_, &call) == 0) std::erase(doomed_, &call);
  }

  event::Loop& loop_;
  std::unique_ptr<Connector> connector_;
  const ClientOptions options_;
  std::vector<std::unique_ptr<ClientCodec>> codecs_;
  std::vector<ClientCodec*> with_room_;  // the most recently used last, which is used next
  std::vector<std::unique_ptr<ClientCodec>> buried_;  // closed; freed from the loop
  std::deque<Call*> pending_;
  std::deque<Call*> doomed_;  // being failed
  std::uint32_t connecting_ = 0;
  bool is_h2_known_ = false;  // a connection negotiated it: one at a time is enough
  bool is_draining_ = false;
  bool* is_gone_ = nullptr;  // set by the destructor for a frame that called out
  event::Timer idle_timer_;
  event::Scope connects_;
  event::Scope scope_;
};

void Pool::call(event::Scope& scope, Exchange& exchange, Request request,
                Function<void(CallResult)> done) {
  if (is_draining_) {
    return refuse(scope, unavailable("the connection pool is draining", Blame::kUpstream),
                  std::move(done));
  }
  ClientCodec* codec = pending_.empty() ? find_room() : nullptr;
  if (codec == nullptr && pending_.size() >= options_.max_pending) {
    return refuse(
        scope,
        Error(Code::kResourceExhausted, "too many requests wait for a connection to the upstream",
              Blame::kUpstream),
        std::move(done));
  }
  auto* call = new Call(scope, exchange, std::move(request), std::move(done));
  if (codec != nullptr) {
    codec->start(*call);
    if (!codec->has_room()) unlist(*codec);
    if (options_.preconnect_ratio > 1) connect_more();
    return;
  }
  call->holder = this;
  pending_.push_back(call);
  connect_more();
}

void Pool::refuse(event::Scope& scope, Error error, Function<void(CallResult)> done) {
  event::after(
      scope, loop_, nanoseconds(0), [error = std::move(error), done = std::move(done)]() mutable {
        done(CallResult{std::nullopt, CallError{std::move(error), Sent::kNothing}, nullptr});
      });
}

ClientCodec* Pool::find_room() {
  while (!with_room_.empty()) {
    ClientCodec* codec = with_room_.back();
    const bool is_old = is_too_old(*codec);
    if (codec->has_room() && !is_old) return codec;
    unlist(*codec);
    if (is_old) codec->drain();
  }
  return nullptr;
}

void Pool::unlist(ClientCodec& codec) {
  if (!codec.is_listed) return;
  codec.is_listed = false;
  if (with_room_.back() == &codec) with_room_.pop_back();
  else std::erase(with_room_, &codec);
}

void Pool::connect_more() {
  const bool is_shared = options_.protocol == ClientOptions::Protocol::kHttp2 || is_h2_known_;
  std::size_t wanted = is_shared ? std::min<std::size_t>(pending_.size(), 1) : pending_.size();
  if (options_.preconnect_ratio > 1 && !is_shared && !is_draining_) {
    const double ahead = options_.preconnect_ratio * static_cast<double>(active_count());
    const auto total = static_cast<std::size_t>(ahead + 0.999);
    if (total > codecs_.size()) wanted = std::max(wanted, total - codecs_.size());
  }
  while (connecting_ < wanted && codecs_.size() + connecting_ < options_.max_connections) {
    ++connecting_;
    connector_->connect(
        connects_, options_.connect_timeout,
        [this](Result<std::unique_ptr<net::Stream>> stream) { on_connected(std::move(stream)); });
  }
}

void Pool::on_connected(Result<std::unique_ptr<net::Stream>> stream) {
  --connecting_;
  bury();
  if (!stream.ok()) {
    fail_pending(stream.error());
    return;
  }
  const net::TlsInfo* tls = (*stream)->tls();
  const bool is_h2 = options_.protocol == ClientOptions::Protocol::kHttp2 ||
                     (options_.protocol == ClientOptions::Protocol::kByAlpn && tls != nullptr &&
                      tls->alpn == "h2");
  is_h2_known_ = is_h2;
  ClientCodec::Events& events = *this;
  if (is_h2) {
    codecs_.push_back(h2::make_client_codec(loop_, std::move(*stream), options_, events));
  } else {
    codecs_.push_back(
        std::make_unique<h1::ClientCodec>(loop_, std::move(*stream), options_, events));
  }
  codecs_.back()->opened = loop_.now();
  on_room(*codecs_.back());
}

bool Pool::is_too_old(const ClientCodec& codec) const {
  return options_.max_connection_duration.count() > 0 &&
         loop_.now() - codec.opened >= options_.max_connection_duration;
}

// A connect failed. While others are under way or connected only the oldest call is lost with it.
void Pool::fail_pending(const Error& error) {
  const bool is_hopeless = connecting_ == 0 && codecs_.empty();
  std::deque<Call*> lost;
  if (is_hopeless) {
    lost.swap(pending_);
  } else if (!pending_.empty() && connecting_ < pending_.size()) {
    lost.push_back(pending_.front());
    pending_.pop_front();
  }
  // Completions may cancel other calls, make new ones, and even destroy us.
  doomed_.insert(doomed_.end(), lost.begin(), lost.end());
  while (!doomed_.empty()) {
    Call* call = doomed_.front();
    doomed_.pop_front();
    call->holder = nullptr;
    CallError failure{error, Sent::kNothing};
    failure.is_connect_failure = true;
    bool is_gone = false;
    bool* outer = std::exchange(is_gone_, &is_gone);
    call->fail(std::move(failure));
    if (is_gone) {
      if (outer != nullptr) *outer = true;
      return;
    }
    is_gone_ = outer;
  }
}

void Pool::on_room(ClientCodec& codec) {
  if (is_too_old(codec)) {
    unlist(codec);
    codec.drain();
    if (!pending_.empty()) connect_more();
    return;
  }
  while (codec.has_room() && !pending_.empty()) {
    Call* call = pending_.front();
    pending_.pop_front();
    codec.start(*call);
  }
  if (!codec.has_room()) return unlist(codec);
  if (codec.active_count() == 0) {
    if (is_draining_) return codec.drain();
    codec.idle_since = loop_.now();
    if (!idle_timer_.is_armed() && options_.idle_timeout.count() > 0) {
      idle_timer_.arm(options_.idle_timeout);
    }
  }
  if (codec.is_listed) return;
  codec.is_listed = true;
  with_room_.push_back(&codec);
}

void Pool::on_closed(ClientCodec& codec) {
  unlist(codec);
  const auto at = std::find_if(codecs_.begin(), codecs_.end(),
                               [&](const auto& held) { return held.get() == &codec; });
  if (at == codecs_.end()) return;
  buried_.push_back(std::move(*at));
  codecs_.erase(at);
  if (buried_.size() == 1) {
    event::after(scope_, loop_, nanoseconds(0), [this] {
      bury();
      connect_more();
    });
  }
}

void Pool::bury() { buried_.clear(); }

void Pool::drain() {
  is_draining_ = true;
  std::vector<ClientCodec*> all;
  for (const auto& codec : codecs_) all.push_back(codec.get());
  for (ClientCodec* codec : all) codec->drain();
}

// Closes connections idle for too long; runs at most once per idle_timeout.
void Pool::close_idle() {
  const SteadyTime now = loop_.now();
  SteadyTime oldest = SteadyTime::max();
  std::vector<ClientCodec*> expired;
  for (const auto& codec : codecs_) {
    if (codec->active_count() > 0) continue;
    if (now - codec->idle_since >= options_.idle_timeout) expired.push_back(codec.get());
    else oldest = std::min(oldest, codec->idle_since);
  }
  if (oldest != SteadyTime::max()) idle_timer_.arm(oldest + options_.idle_timeout - now);
  for (ClientCodec* codec : expired) codec->drain();
}

}  // namespace

std::unique_ptr<ClientPool> make_client_pool(event::Loop& loop,
                                             std::unique_ptr<Connector> connector,
                                             const ClientOptions& options) {
  return std::make_unique<Pool>(loop, std::move(connector), options);
}

}  // namespace lateen::http
