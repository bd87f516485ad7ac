// One accepted connection on its way through listener filters, the chain match, TLS and the network
// filters. Owned by the worker's listener that took it (after a hand-off: by the one it was handed
// to).
#pragma once

#include <memory>

#include "event/scope.h"
#include "net/socket.h"
#include "proxy/listener/config.h"
#include "proxy/worker/worker.h"

namespace lateen::proxy {

class WorkerListener;

// How a connection to an internal listener came about.
struct InternalFacts {
  net::Address remote;                   // of the downstream connection that led to it
  net::Address destination;              // likewise
  std::optional<net::Address> original;  // where it is to go, for the original_dst filter
  std::map<std::string, std::string, std::less<>> state;  // filter state that it takes over
};

class DownstreamConnection {
 public:
  // `listener` outlives us.
  DownstreamConnection(WorkerListener& listener, std::unique_ptr<net::Stream> stream);
  ~DownstreamConnection();

  // Before start(): the connection comes from inside.
  void come_from(InternalFacts facts);
  // Runs the listener's filters from the start.
  void start();
  // Moves on to `listener`, whose filters run next.
  void hand_to(WorkerListener& listener);

  Worker& worker();
  event::Loop& loop();
  event::Scope& scope() { return scope_; }
  const Connection& facts() const { return facts_; }
  Connection& facts() { return facts_; }
  StreamInfo& info() { return *info_; }
  const FilterChain& chain() const { return *chain_; }
  const ListenerConfig& config() const { return *config_; }

  // For network filters: the stream, to wrap or to keep.
  std::unique_ptr<net::Stream>& stream() { return stream_; }
  // Bytes the terminal filter's own object; drops the stream's ownership to it.
  void run(std::unique_ptr<Terminal> terminal) { terminal_ = std::move(terminal); }
  // Ends the connection; destroys `this` at the end of the turn.
  void close();
  void drain(bool is_gentle);
  // The listener's configuration is `config` now. A connection whose chain is no more in it goes on
  // by the chain that took its place, as far as it can, and ends: gently, and hard at the end of
  // the drain time.
  void update(const std::shared_ptr<const ListenerConfig>& config);
  bool is_inbound() const { return facts_.is_inbound; }
  // Calls `fire` now and then until the connection ends.
  void add_timer(std::unique_ptr<event::Timer> timer) { timers_.push_back(std::move(timer)); }

 private:
  enum class Stage : unsigned char { kFilters, kInspecting, kHandshake, kRunning, kClosed };
  void run_filters();
  ChainFacts chain_facts() const;
  void start_drain_limit();
  void inspect();
  void on_bytes();
  void choose_chain();
  void run_chain();
  void handshake();

  WorkerListener* listener_;
  std::shared_ptr<const ListenerConfig> config_;
  FilterChainRef chain_;
  Connection facts_;
  std::unique_ptr<StreamInfo> info_;
  Stage stage_ = Stage::kFilters;
  std::size_t next_filter_ = 0;
  Buffer seen_;  // read ahead by inspectors
  bool is_stream_ended_ = false;
  bool is_advance_due_ = false;  // run_filters() comes at the end of the turn
  bool is_draining_ = false;
  std::vector<std::string> detected_protocols_;
  std::optional<net::Address> internal_destination_;
  event::Timer timeout_;
  std::vector<std::unique_ptr<event::Timer>> timers_;
  std::unique_ptr<net::Stream> stream_;
  std::unique_ptr<Terminal> terminal_;
  event::Scope scope_;  // last
};

}  // namespace lateen::proxy
