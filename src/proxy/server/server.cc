// Start: static resources, workers, then the streams. Clusters come before listeners: LDS is asked
// for only once every cluster of the first CDS answer has its endpoints and secrets (Envoy's order,
// which Istio relies on).

#include "proxy/server/server.h"

#include <unistd.h>

#include "base/log.h"
#include "base/resident.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/core/v3/extension.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "proxy/admin/admin.h"
#include "proxy/api/field_check.h"
#include "proxy/api/value_check.h"
#include "proxy/server/hot_restart.h"
#include "proxy/server/overload.h"
#include "proxy/server/worker_thread.h"
#include "proxy/stats/inclusion.h"
#include "xds/any.h"
#include "xds/convert.h"
#include "xds/json.h"

namespace lateen::proxy {

namespace {
constexpr milliseconds kTick{1000};
// Quiet after a change of configuration for so long: its pages are not needed soon.
constexpr milliseconds kReleaseAfter{1000};
}  // namespace

Server::Server(event::Loop& main_loop, Options options,
               std::unique_ptr<envoy::config::bootstrap::v3::Bootstrap> bootstrap,
               std::unique_ptr<net::Resolver> names)
    : loop_(main_loop),
      options_(std::move(options)),
      bootstrap_(std::move(bootstrap)),
      stat_inclusion_(compile_inclusion(*bootstrap_)),
      stats_(std::make_shared<ServerStats>()),
      resolver_(std::move(names)),
      tick_timer_(loop_, [this] { tick(); }),
      release_timer_(loop_, [] { release_unused_pages(); }),
      stop_timer_(loop_, [this] {
        std::size_t open = 0;
        for (const auto& thread : threads_) open += thread->connections.load();
        if (open == 0 || loop_.now() >= stop_deadline_) return loop_.stop();
        stop_timer_.arm(milliseconds(50));
      }) {
  started_ = loop_.now();
  started_wall_ = loop_.clock().wall();
  shared_.clock = &loop_.clock();
  shared_.drain_time = options_.drain_time;
  shared_.node_cluster = bootstrap_->node().cluster();
  shared_.identity = make_local_identity(bootstrap_->node().id(),
                                         xds::struct_to_json(bootstrap_->node().metadata()));
  shared_.stats.add(stats_);
  shared_.stats.add(shared_.istio_metrics);
}

Server::~Server() {
  child_.reset();
  admin_.reset();
  ads_.reset();
  sds_.clear();
  threads_.clear();  // Joins: workers are gone before what they share.
  simulated_worker_.reset();
}

Result<> Server::load_static() {
  TRY(check_bootstrap(*bootstrap_));
  overload_ = std::make_unique<Overload>(shared_, TRY(OverloadLimits::read(*bootstrap_)));
  const bool is_simulated = resolver_ != nullptr;
  if (!is_simulated) resolver_ = TRY(net::make_resolver(loop_));
  main_worker_ = std::make_unique<Worker>(loop_, shared_, 255);
  publisher_ = std::make_unique<Publisher>(*main_worker_);
  tracer_ = std::make_unique<TraceReporter>(*main_worker_);
  shared_.report_span = [this](const std::shared_ptr<const TraceConfig>& config,
                               FinishedSpan span) {
    loop_.post([this, config, span = std::move(span)]() mutable {
      tracer_->add(config, std::move(span));
    });
  };
  shared_.report_outlier = [this](const std::string& cluster, const std::string& host,
                                  ClusterStat why) {
    loop_.post([this, cluster, host, why] { clusters_->eject(cluster, host, why); });
  };
  secrets_ = std::make_unique<SecretStore>(
      [this](const std::string& source, const std::string& name) { want_secret(source, name); },
      [this] { on_config_change(); });
  clusters_ = std::make_unique<ClusterStore>(*publisher_, *secrets_, *resolver_,
                                             [this] { on_config_change(); });
  if (is_simulated) {
    simulated_worker_ = std::make_unique<Worker>(loop_, shared_, 0);
    publisher_->add(*simulated_worker_);
  } else {
    TRY(make_workers());
  }
  CompileContext context;
  context.logs = &logs_;
  context.shared = &shared_;
  context.main = main_worker_.get();
  if (bootstrap_->tracing().has_http()) context.tracer = &bootstrap_->tracing().http();
  listeners_ = std::make_unique<ListenerStore>(*publisher_, *secrets_, std::move(context));
  listeners_->limit_connections(overload_->limits().listener_connections);
  if (parent_ != nullptr)
    listeners_->inherit_from([this](const net::Address& address) {
      auto sockets = parent_ != nullptr ? parent_->take(address) : std::vector<Fd>();
      if (sockets.ok()) return *std::move(sockets);
      LOG(kWarn, "restart", "{}", sockets.error().message());
      return std::vector<Fd>();
    });
  const auto& fixed = bootstrap_->static_resources();
  for (const auto& secret : fixed.secrets()) secrets_->put_static(secret, started_wall_);
  for (const auto& cluster : fixed.clusters())
    TRY(clusters_->put(xds::pack(cluster), "", false).at("static cluster " + cluster.name()));
  for (const auto& listener : fixed.listeners())
    TRY(listeners_->put(xds::pack(listener), "", false).at("static listener " + listener.name()));
  return {};
}

Result<> Server::make_workers() {
  const unsigned count = options_.concurrency != 0
                             ? options_.concurrency
                             : std::max(1u, std::thread::hardware_concurrency());
  for (unsigned i = 0; i < count; ++i) {
    threads_.push_back(TRY(WorkerThread::make(loop_.clock(), shared_, i)));
    publisher_->add(threads_.back()->worker());
  }
  return {};
}

Result<> Server::validate() { return load_static(); }

Result<> Server::start() {
  TRY(join_parent());
  TRY(load_static());
  TRY(await_child());
  for (auto& thread : threads_) thread->start();
  stats_->set(ServerStat::kConcurrency, static_cast<std::int64_t>(threads_.size()));
  stats_->set(ServerStat::kLive, 1);
  state_ = ServerState::kInitializing;
  if (bootstrap_->has_admin() && bootstrap_->admin().has_address()) {
    const auto address = TRY(xds::to_address(bootstrap_->admin().address()).at("admin address"));
    admin_ = TRY(Admin::make(*this, address));
    if (!options_.admin_address_path.empty()) {
      if (FILE* file = std::fopen(options_.admin_address_path.c_str(), "w")) {
        std::fputs(admin_->address().to_string().c_str(), file);
        std::fclose(file);
      }
    }
  }
  start_xds();
  tick();
  on_config_change();
  return {};
}

net::Address Server::admin_address() const {
  return admin_ == nullptr ? net::Address() : admin_->address();
}

void Server::start_xds() {
  const auto& dynamic = bootstrap_->dynamic_resources();
  has_cds_ = dynamic.has_cds_config();
  has_lds_ = dynamic.has_lds_config();
  if (!dynamic.has_ads_config()) return;
  const auto& ads = dynamic.ads_config();
  using Api = envoy::config::core::v3::ApiConfigSource;
  const bool is_delta =
      ads.api_type() == Api::DELTA_GRPC || ads.api_type() == Api::AGGREGATED_DELTA_GRPC;
  XdsStream::Target target;
  if (ads.grpc_services_size() > 0) {
    const auto& service = ads.grpc_services(0);
    target.cluster = service.envoy_grpc().cluster_name();
    target.authority = service.envoy_grpc().authority();
    for (const auto& header : service.initial_metadata())
      target.metadata.emplace_back(to_lower(header.key()), header.value());
  }
  target.path = std::string("/envoy.service.discovery.v3.AggregatedDiscoveryService/") +
                (is_delta ? "DeltaAggregatedResources" : "StreamAggregatedResources");
  ads_ = std::make_unique<XdsStream>(
      *main_worker_, std::move(target),
      is_delta ? xds::Client::Variant::kDelta : xds::Client::Variant::kStateOfTheWorld,
      bootstrap_->node(), ads.set_node_on_first_message_only(),
      [this](const xds::Update& update) { return on_update(update); },
      [this](bool is_connected) {
        stats_->set(ServerStat::kConnectedState, is_connected ? 1 : 0);
      });
  if (has_cds_) ads_->client().subscribe_all(xds::kClusterType);
  if (!ads_secrets_.empty()) ads_->client().subscribe(xds::kSecretType, ads_secrets_);
  ads_->start();
}

void Server::want_secret(const std::string& source, const std::string& name) {
  if (source.empty()) {
    ads_secrets_.insert(name);
    if (ads_ != nullptr) ads_->client().subscribe(xds::kSecretType, ads_secrets_);
    return;
  }
  // A stream for each secret, as Envoy does: SDS servers expect it.
  XdsStream::Target target;
  target.cluster = source;
  target.path = "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets";
  auto& stream = sds_[name];
  stream = std::make_unique<XdsStream>(
      *main_worker_, std::move(target), xds::Client::Variant::kStateOfTheWorld, bootstrap_->node(),
      true, [this](const xds::Update& update) { return on_update(update); });
  stream->client().subscribe(xds::kSecretType, {name});
  // Not now: the cluster that serves it may be later in the same bootstrap.
  loop_.post([this, name] {
    if (const auto found = sds_.find(name); found != sds_.end()) found->second->start();
  });
}

Result<> Server::apply(const xds::Update& update,
                       const std::function<Result<>(const xds::Resource&)>& put,
                       const std::function<void(const std::string&)>& remove) {
  std::string errors;
  int failures = 0;
  for (const auto& name : update.removed) {
    remove(name);
    rejections_.erase(update.type_url + "/" + name);
  }
  for (const auto& resource : update.resources) {
    const std::string key = update.type_url + "/" + resource.name;
    const auto done = put(resource);
    if (done.ok()) {
      rejections_.erase(key);
      continue;
    }
    ++failures;
    rejections_[key] = done.error().message();
    errors += (errors.empty() ? "" : "\n") + resource.name + ": " + done.error().message();
    LOG(kWarn, "xds", "{} {} refused: {}", update.type_url, resource.name, done.error().message());
  }
  if (failures == 0) return {};
  return invalid("Error adding/updating " +
                     std::string(update.type_url.ends_with(".Cluster")    ? "cluster(s)"
                                 : update.type_url.ends_with(".Listener") ? "listener(s)"
                                                                          : "resource(s)") +
                     " " + errors,
                 Blame::kConfig);
}

Result<> Server::on_update(const xds::Update& update) {
  using Resource = xds::Resource;
  if (update.type_url == xds::kClusterType) {
    stats_->add(ServerStat::kCdsUpdateAttempt);
    auto done = apply(
        update,
        [&](const Resource& r) {
          return clusters_->put(r.body, update.version.empty() ? r.version : update.version, true);
        },
        [&](const std::string& name) { clusters_->remove(name); });
    stats_->add(done.ok() ? ServerStat::kCdsUpdateSuccess : ServerStat::kCdsUpdateRejected);
    is_cds_delivered_ = true;
    LOG(kInfo, "cds", "{} clusters updated, {} removed", update.resources.size(),
        update.removed.size());
    on_config_change();
    return done;
  }
  if (update.type_url == xds::kEndpointType) {
    auto done = apply(
        update, [&](const Resource& r) { return clusters_->put_assignment(r.body, r.version); },
        [&](const std::string& name) { clusters_->remove_assignment(name); });
    on_config_change();
    return done;
  }
  if (update.type_url == xds::kListenerType) {
    stats_->add(ServerStat::kLdsUpdateAttempt);
    auto done = apply(
        update,
        [&](const Resource& r) {
          return listeners_->put(r.body, update.version.empty() ? r.version : update.version, true);
        },
        [&](const std::string& name) { listeners_->remove(name); });
    stats_->add(done.ok() ? ServerStat::kLdsUpdateSuccess : ServerStat::kLdsUpdateRejected);
    is_lds_delivered_ = true;
    LOG(kInfo, "lds", "{} listeners updated, {} removed", update.resources.size(),
        update.removed.size());
    on_config_change();
    return done;
  }
  if (update.type_url == xds::kRouteType) {
    auto done = apply(
        update, [&](const Resource& r) { return listeners_->put_route(r.body, r.version); },
        [&](const std::string& name) { listeners_->remove_route(name); });
    on_config_change();
    return done;
  }
  if (update.type_url == xds::kExtensionType) {
    auto done = apply(
        update,
        [&](const Resource& r) -> Result<> {
          const auto extension =
              TRY(xds::unpack<envoy::config::core::v3::TypedExtensionConfig>(r.body));
          return listeners_->put_extension(extension.name(), extension.typed_config(), r.version);
        },
        [&](const std::string& name) { listeners_->remove_extension(name); });
    on_config_change();
    return done;
  }
  if (update.type_url == xds::kSecretType) {
    return apply(
        update,
        [&](const Resource& r) -> Result<> {
          const auto secret =
              TRY(unpack_checked<envoy::extensions::transport_sockets::tls::v3::Secret>(r.body));
          return secrets_->put(secret, r.version, loop_.clock().wall());
        },
        [&](const std::string& name) { secrets_->remove(name); });
  }
  return {};
}

// Runs once at the end of the turn, whatever changed in it.
void Server::on_config_change() {
  if (simulated_worker_ == nullptr) release_timer_.arm(kReleaseAfter);
  if (is_change_pending_) return;
  is_change_pending_ = true;
  loop_.defer([this] {
    is_change_pending_ = false;
    clusters_->check_warming();
    listeners_->check_warming();
    if (ads_ != nullptr) {
      ads_->client().subscribe(xds::kEndpointType, clusters_->eds_names());
      const bool is_cds_done = !has_cds_ || (is_cds_delivered_ && clusters_->is_all_ready());
      if (has_lds_ && is_cds_done && !is_lds_wanted_) {
        is_lds_wanted_ = true;
        ads_->client().subscribe_all(xds::kListenerType);
      }
      ads_->client().subscribe(xds::kRouteType, listeners_->route_names());
      const auto extensions = listeners_->extension_names();
      if (!extensions.empty() || are_extensions_wanted_)
        ads_->client().subscribe(xds::kExtensionType, extensions);
      are_extensions_wanted_ = are_extensions_wanted_ || !extensions.empty();
    }
    if (state_ != ServerState::kInitializing) return;
    const bool is_dynamic_done =
        ads_ == nullptr || ((!has_lds_ || is_lds_delivered_) && (!has_cds_ || is_cds_delivered_));
    if (!is_dynamic_done || !listeners_->is_all_ready()) return;
    state_ = ServerState::kLive;
    take_over();
    stats_->set(ServerStat::kWorkersStarted, 1);
    LOG(kInfo, "main", "all dependencies initialized: serving");
  });
}

void Server::tick() {
  overload_->check();
  logs_.flush_all();
  tracer_->flush();
  tick_timer_.arm(kTick);
}

void Server::update_stats() {
  stats_->set(ServerStat::kState, static_cast<std::int64_t>(state_));
  stats_->set(ServerStat::kUptime,
              std::chrono::duration_cast<seconds>(loop_.now() - started_).count());
  std::size_t connections = 0;
  for (const auto& thread : threads_) connections += thread->connections.load();
  stats_->set(ServerStat::kTotalConnections, static_cast<std::int64_t>(connections));
  std::int64_t active = 0, warming = 0;
  for (const auto& [name, entry] : clusters_->entries()) (entry->is_published ? active : warming)++;
  stats_->set(ServerStat::kActiveClusters, active);
  stats_->set(ServerStat::kWarmingClusters, warming);
  active = warming = 0;
  for (const auto& [name, entry] : listeners_->entries()) {
    active += entry->active != nullptr ? 1 : 0;
    warming += entry->warming != nullptr ? 1 : 0;
  }
  stats_->set(ServerStat::kActiveListeners, active);
  stats_->set(ServerStat::kWarmingListeners, warming);
}

void Server::drain_listeners(bool is_inbound_only, bool is_graceful) {
  shared_.is_draining = true;
  if (state_ == ServerState::kLive) state_ = ServerState::kDraining;
  // A graceful drain goes on accepting: whoever still comes is served and told to go elsewhere.
  publisher_->to_workers([is_inbound_only, is_graceful](Worker& worker) {
    if (!is_graceful) worker.stop_listeners(is_inbound_only);
    worker.drain_connections(is_inbound_only, is_graceful);
  });
}

void Server::shut_down(milliseconds limit) {
  if (is_stopping_) return loop_.stop();
  is_stopping_ = true;
  LOG(kInfo, "main", "shutting down: connections may finish within {}", format_duration(limit));
  shared_.is_draining = true;
  publisher_->to_workers([](Worker& worker) {
    worker.stop_listeners(false);
    worker.drain_connections(false, false);
  });
  stop_deadline_ = loop_.now() + limit;
  stop_timer_.arm(milliseconds(50));
}

}  // namespace lateen::proxy
