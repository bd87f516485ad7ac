// The proxy process: main thread (configuration, admin, DNS, secrets) and workers. `bin/` makes it,
// runs it, and brings clocks and randomness.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "net/resolver.h"
#include "proxy/cluster/cluster_store.h"
#include "proxy/listener/listener_store.h"
#include "proxy/server/options.h"
#include "proxy/server/server_stats.h"
#include "proxy/server/xds_stream.h"
#include "proxy/trace/reporter.h"

namespace envoy::config::bootstrap::v3 {
class Bootstrap;
}

namespace lateen::proxy {

class Admin;
class Overload;
class RestartServer;
class RestartParent;

class Server {
 public:
  // Everything but `options` outlives us. `bootstrap` is checked by start(). `names` is for
  // simulations, whose loop is a net::Network: it answers for DNS, the one worker runs on the main
  // loop, and listeners bind nothing.
  Server(event::Loop& main_loop, Options options,
         std::unique_ptr<envoy::config::bootstrap::v3::Bootstrap> bootstrap,
         std::unique_ptr<net::Resolver> names = nullptr);
  ~Server();

  // Compiles the static part, starts workers and streams. An error: the bootstrap cannot work.
  Result<> start();
  // Compiles only (--mode validate).
  Result<> validate();

  // Stops accepting, lets connections finish within `limit`, then stops the main loop.
  void shut_down(milliseconds limit);
  void drain_listeners(bool is_inbound_only, bool is_graceful);

  const Options& options() const { return options_; }
  const envoy::config::bootstrap::v3::Bootstrap& bootstrap() const { return *bootstrap_; }
  // Which statistics are shown, by the bootstrap's stats_matcher. Compiled once: a scrape asks it
  // for each name.
  const std::function<bool(std::string_view)>& stat_inclusion() const { return stat_inclusion_; }
  // What counters stood at when they were reset: pages show what came since.
  std::map<std::string, std::uint64_t>& counter_baselines() { return counter_baselines_; }
  ClusterStore& clusters() { return *clusters_; }
  ListenerStore& listeners() { return *listeners_; }
  SecretStore& secrets() { return *secrets_; }
  Shared& shared() { return shared_; }
  ServerStats& stats() { return *stats_; }
  Publisher& publisher() { return *publisher_; }
  event::Loop& loop() { return loop_; }
  LogFiles& logs() { return logs_; }
  ServerState state() const { return state_; }
  SteadyTime started() const { return started_; }
  WallTime started_wall() const { return started_wall_; }
  net::Address admin_address() const;
  void stop_now() { loop_.stop(); }
  // Refreshes gauges before they are read.
  void update_stats();
  const std::map<std::string, std::string>& rejections() const { return rejections_; }

 private:
  struct WorkerThread;
  Result<> load_static();
  Result<> make_workers();
  // Hot restart (restart.cc).
  Result<> join_parent();
  Result<> await_child();
  void take_over();
  void collect_sockets(const net::Address& address, Function<void(std::vector<Fd>)> done);
  void hand_over();
  void start_xds();
  Result<> on_update(const xds::Update& update);
  Result<> apply(const xds::Update& update,
                 const std::function<Result<>(const xds::Resource&)>& put,
                 const std::function<void(const std::string&)>& remove);
  void on_config_change();
  void want_secret(const std::string& source, const std::string& name);
  void tick();

  event::Loop& loop_;
  Options options_;
  std::unique_ptr<envoy::config::bootstrap::v3::Bootstrap> bootstrap_;
  std::function<bool(std::string_view)> stat_inclusion_;
  Shared shared_;
  LogFiles logs_;
  std::shared_ptr<ServerStats> stats_;
  ServerState state_ = ServerState::kPreInitializing;
  SteadyTime started_{};
  WallTime started_wall_{};
  std::unique_ptr<Overload> overload_;
  std::unique_ptr<net::Resolver> resolver_;
  std::unique_ptr<Worker> main_worker_;
  std::unique_ptr<Publisher> publisher_;
  std::unique_ptr<TraceReporter> tracer_;
  std::unique_ptr<SecretStore> secrets_;
  std::unique_ptr<ClusterStore> clusters_;
  std::unique_ptr<ListenerStore> listeners_;
  std::unique_ptr<XdsStream> ads_;
  std::map<std::string, std::unique_ptr<XdsStream>> sds_;  // by secret name
  std::set<std::string> ads_secrets_;
  std::map<std::string, std::uint64_t> counter_baselines_;
  std::map<std::string, std::string> rejections_;  // type URL/name to error text
  bool has_cds_ = false, has_lds_ = false, is_lds_wanted_ = false;
  bool are_extensions_wanted_ = false;  // ECDS was asked for something
  bool is_cds_delivered_ = false, is_lds_delivered_ = false;
  std::unique_ptr<Admin> admin_;
  std::vector<std::unique_ptr<WorkerThread>> threads_;
  std::unique_ptr<Worker> simulated_worker_;  // instead of threads
  std::unique_ptr<RestartParent> parent_;
  std::unique_ptr<RestartServer> child_;
  std::unique_ptr<event::Timer> parent_timer_;
  event::Timer tick_timer_;
  event::Timer release_timer_;  // after a change of configuration
  event::Timer stop_timer_;
  SteadyTime stop_deadline_{};
  bool is_change_pending_ = false;
  bool is_stopping_ = false;
};

}  // namespace lateen::proxy
