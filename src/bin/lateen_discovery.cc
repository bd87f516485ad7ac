// `lateen discovery`, also started as `pilot-discovery discovery`: the control plane. Wiring only.
#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "base/resident.h"
#include "base/strings.h"
#include "bin/peer_proof.h"
#include "ca/certificate_service.h"
#include "ca/material_source.h"
#include "ca/root_publisher.h"
#include "discovery/config_status.h"
#include "discovery/control_service.h"
#include "discovery/debug.h"
#include "discovery/gateway_deployer.h"
#include "discovery/ingest.h"
#include "discovery/jwks.h"
#include "discovery/registration.h"
#include "discovery/status_writer.h"
#include "discovery/webhook_keeper.h"
#include "discovery/webhook_service.h"
#include "event/epoll_loop.h"
#include "event/signals.h"
#include "http/server.h"
#include "install/version.h"
#include "kube/client.h"
#include "net/socket.h"
#include "operator/leader.h"
#include "tls/x509.h"

namespace lateen::bin {
namespace {

using namespace std::chrono_literals;

constexpr nanoseconds kMostDrain = 5s;

std::string env_or(const char* name, std::string fallback) {
  const char* value = getenv(name);
  return value == nullptr || *value == '\0' ? std::move(fallback) : value;
}

struct Options {
  std::string http_address = ":8080", monitoring_address = ":15014", grpc_address = ":15010";
  std::string secure_address = ":15012", webhook_address = ":15017";
  std::string control_address = "127.0.0.1:9876";
  std::string domain = "cluster.local", kubeconfig, only_namespace;
  std::string ns = env_or("POD_NAMESPACE", "istio-system");
  std::string revision = env_or("REVISION", "default");
  std::string pod = env_or("POD_NAME", "istiod");
  seconds workload_ttl = 24h, most_ttl = 24h * 90;
};

nanoseconds duration_of(const char* name, nanoseconds fallback) {
  const std::string text = env_or(name, "");
  return text.empty() ? fallback : parse_duration(text).value_or(fallback);
}

// Unknown flags are ignored, as upstream's manifests of many versions carry some we have no use
// for.
Result<Options> parse_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    std::string name = argv[i];
    std::string value;
    if (!name.starts_with("-")) continue;
    if (const auto equals = name.find('='); equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    } else if (i + 1 < argc && argv[i + 1][0] != '-') {
      value = argv[++i];
    }
    if (name == "--httpAddr") options.http_address = value;
    if (name == "--monitoringAddr") options.monitoring_address = value;
    if (name == "--grpcAddr") options.grpc_address = value;
    if (name == "--secureGRPCAddr") options.secure_address = value;
    if (name == "--httpsAddr") options.webhook_address = value;
    if (name == "--ctrlz_port") options.control_address = value == "0" ? "" : "127.0.0.1:" + value;
    if (name == "--domain") options.domain = value;
    if (name == "--kubeconfig") options.kubeconfig = value;
    if (name == "--namespace" || name == "-n") options.ns = value;
    if (name == "-a" || name == "--appNamespace") options.only_namespace = value;
    if (name == "--log_output_level" && value.find("debug") != std::string::npos) {
      log::set_level(log::Level::kDebug);
    }
  }
  options.workload_ttl = std::chrono::duration_cast<seconds>(
      duration_of("DEFAULT_WORKLOAD_CERT_TTL", options.workload_ttl));
  options.most_ttl =
      std::chrono::duration_cast<seconds>(duration_of("MAX_WORKLOAD_CERT_TTL", options.most_ttl));
  return options;
}

Result<Fd> listen(std::string_view text) {
  const std::string whole =
      text.starts_with(":") ? "0.0.0.0" + std::string(text) : std::string(text);
  return net::listen_on(TRY(net::Address::parse(whole)));
}

Result<std::unique_ptr<kube::Client>> connect(const Options& options) {
  const std::string file =
      options.kubeconfig.empty() ? env_or("KUBECONFIG", "") : options.kubeconfig;
  if (!file.empty() && (std::filesystem::exists(file) || !options.kubeconfig.empty())) {
    return kube::connect(TRY(kube::load_kubeconfig(file)));
  }
  auto inside = kube::in_cluster_config();
  return inside.ok() ? kube::connect(*inside) : kube::connect(TRY(kube::load_kubeconfig("")));
}

// A value that one thread replaces and others read.
template <typename T>
class Shared {
 public:
  std::shared_ptr<const T> get() const {
    const std::lock_guard lock(mutex_);
    return value_;
  }
  void set(std::shared_ptr<const T> value) {
    const std::lock_guard lock(mutex_);
    value_ = std::move(value);
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const T> value_;
};

class ControlPlane {
 public:
  ControlPlane(Options options, std::unique_ptr<kube::Client> client,
               std::unique_ptr<event::Loop> loop)
      : options_(std::move(options)),
        client_(std::move(client)),
        loop_(std::move(loop)),
        reviewer_(*client_, clock_, {"istio-ca"}),
        proof_(reviewer_),
        keeper_(options_.ns, options_.revision),
        ads_(*loop_, clock_, ads_options(), &proof_, metrics_),
        pages_(ads_, metrics_, [this] { return keeper_.state(); }),
        debug_(pages_, ads_, metrics_),
        control_(debug_),
        hooks_([this] { return keeper_.state(); }, metrics_),
        certificates_(
            *loop_, clock_, reviewer_, [this] { return authority_.get(); },
            [this] { return keeper_.state()->mesh->trust_domain; },
            [this](const char* what) { count_csr(what); }) {}

  Result<> start() {
    read_mesh_config();
    TRY(load_authority());
    ads_.on_debug([this](std::string_view path) { return pages_.body(path); });
    ads_.attach(plain_grpc_, discovery::Door::kPlain);
    ads_.attach(secure_grpc_, discovery::Door::kTls);
    certificates_.attach(secure_grpc_);
    TRY(serve(options_.http_address, debug_, nullptr));
    TRY(serve(options_.monitoring_address, debug_, nullptr));
    if (auto control = serve(options_.control_address, control_, nullptr); !control.ok()) {
      LOG(kWarn, "discovery", "no control page: {}", control.error().message());
    }
    TRY(serve(options_.grpc_address, plain_grpc_, nullptr));
    const auto contexts = TRY(make_contexts());
    secure_ = TRY(serve(options_.secure_address, secure_grpc_, contexts.mutual));
    webhook_ = TRY(serve(options_.webhook_address, hooks_, contexts.server));
    metrics_.set("pilot_info", 1, fmt::format("version=\"{}\"", install::kVersion));
    metrics_.set("istio_build", 1,
                 fmt::format("component=\"pilot\",tag=\"{}\"", install::kVersion));
    worker_ = std::thread([this] { work(); });
    return {};
  }

  int run() {
    loop_->run();
    {
      const std::lock_guard lock(mutex_);
      is_stopped_ = true;
    }
    changed_.notify_all();
    worker_.join();
    return 0;
  }

  event::Loop& loop() { return *loop_; }

  // Streams are handed over to other replicas first; asked again, it is over at once.
  void stop() {
    if (ads_.is_draining()) return loop_->stop();
    const auto streams = static_cast<std::int64_t>(ads_.streams().size());
    const auto span = std::min<nanoseconds>(streams * 5ms, kMostDrain);
    ads_.drain(span,
               [this] { event::after(drain_scope_, *loop_, 50ms, [this] { loop_->stop(); }); });
  }

 private:
  struct Contexts {
    std::shared_ptr<const tls::Context> mutual, server;
  };

  discovery::Ads::Options ads_options() const {
    discovery::Ads::Options out;
    out.pod_name = options_.pod;
    out.version = install::kVersion;
    out.revision = options_.revision;
    out.system_namespace = options_.ns;
    out.checks_identity = env_or("XDS_AUTH", "true") != "false";
    return out;
  }

  void count_csr(const char* what) {
    const std::string_view name = what;
    if (name == "csr") metrics_.count("citadel_server_csr_count");
    if (name == "success") metrics_.count("citadel_server_success_cert_issuance_count");
    if (name == "authentication_failure")
      metrics_.count("citadel_server_authentication_failure_count");
    if (name == "sign_error") metrics_.count("citadel_server_csr_sign_err_count");
  }

  // The trust domain decides what the first root is called, so it is read before all else.
  void read_mesh_config() {
    const bool is_default = options_.revision.empty() || options_.revision == "default";
    auto map = client_->get(kube::resources::config_maps(),
                            {options_.ns, is_default ? "istio" : "istio-" + options_.revision});
    if (map.ok()) keeper_.take(*map, false);
  }

  ca::SourceOptions source() const {
    return {options_.ns, ca_directory(), keeper_.state()->mesh->trust_domain};
  }

  static std::string ca_directory() { return env_or("ROOT_CA_DIR", "/etc/cacerts"); }

  Result<> load_authority() {
    auto material = ca::load_material(*client_, source(), clock_.wall());
    for (int attempt = 0; !material.ok() && attempt < 60; ++attempt) {
      LOG(kWarn, "ca", "{}; trying again", material.error().message());
      std::this_thread::sleep_for(1s);
      material = ca::load_material(*client_, source(), clock_.wall());
    }
    return use_material(TRY(std::move(material)));
  }

  Result<> use_material(ca::Material material) {
    auto authority =
        TRY(ca::Authority::make(std::move(material), {options_.workload_ttl, options_.most_ttl}));
    show_expiry("root_cert", authority.root_expiry());
    show_expiry("cert_chain", authority.ca_expiry());
    authority_.set(std::make_shared<const ca::Authority>(std::move(authority)));
    return {};
  }

  void show_expiry(std::string_view what, WallTime when) {
    const auto at = std::chrono::duration_cast<seconds>(when.time_since_epoch());
    metrics_.set(fmt::format("citadel_server_{}_expiry_timestamp", what),
                 static_cast<double>(at.count()));
    metrics_.set(fmt::format("citadel_server_{}_expiry_seconds", what),
                 std::chrono::duration<double>(when - clock_.wall()).count());
  }

  // What workloads trust: the CA's roots, and those that the mesh config adds.
  std::string root() const {
    const auto authority = authority_.get();
    if (authority == nullptr) return "";
    std::string out = authority->root_pem();
    for (const std::string& pem : keeper_.state()->mesh->extra_roots) {
      if (!out.empty() && out.back() != '\n') out.push_back('\n');
      out += pem;
    }
    return out;
  }

  void tell_trust_bundle() {
    loop_->post([this, roots = trust_bundle()] { ads_.set_trust_bundle(roots); });
  }

  // Each of the roots by itself.
  std::vector<std::string> trust_bundle() const {
    std::vector<std::string> out;
    const auto roots = tls::parse_certificates(root());
    if (!roots.ok()) return out;
    for (const auto& certificate : *roots) out.push_back(certificate.pem);
    return out;
  }

  std::string crl() const {
    const auto authority = authority_.get();
    return authority == nullptr ? "" : authority->material().crl_pem;
  }

  Result<Contexts> make_contexts() {
    std::vector<std::string> names;
    for (const std::string base : {"istiod", "istiod-remote", "istio-pilot"}) {
      names.push_back(base + "." + options_.ns + ".svc");
    }
    names.push_back("istiod." + options_.ns);
    if (options_.revision != "default")
      names.push_back("istiod-" + options_.revision + "." + options_.ns + ".svc");
    if (const std::string custom = env_or("ISTIOD_CUSTOM_HOST", ""); !custom.empty()) {
      for (const std::string_view name : split(custom, ',')) names.emplace_back(trim(name));
    }
    const auto authority = authority_.get();
    auto serving = TRY(authority->issue_serving(names, "", 24h * 365, clock_.wall()));
    serving_expiry_ = serving.not_after;
    tls::Options options;
    options.certificates.push_back({serving.chain_pem, serving.key_pem});
    options.alpn = {"h2", "http/1.1"};
    Contexts out;
    out.server = TRY(tls::Context::make(tls::Context::Role::kServer, options));
    options.trusted_ca_pem = root();
    options.crl_pem = crl();
    out.mutual = TRY(tls::Context::make(tls::Context::Role::kServer, options));
    return out;
  }

  Result<http::Server*> serve(const std::string& address, http::Service& service,
                              std::shared_ptr<const tls::Context> tls) {
    if (address.empty()) return nullptr;
    http::ServerOptions options;
    options.max_concurrent_streams = 100'000;
    options.max_header_bytes = 256 * 1024;
    options.server_name = "";
    auto fd = TRY(listen(address));
    servers_.push_back(
        std::make_unique<http::Server>(*loop_, std::move(fd), service, options, std::move(tls)));
    LOG(kInfo, "discovery", "listening on {}", address);
    return servers_.back().get();
  }

  // The blocking half: watches, publishers, rotation. Ends with the process.
  void work() {
    discovery::Ingest::Options ingest_options;
    ingest_options.store.domain = options_.domain;
    ingest_options.store.system_namespace = options_.ns;
    ingest_options.store.revision = options_.revision;
    if (const auto percent = parse_double(env_or("PILOT_TRACE_SAMPLING", ""))) {
      ingest_options.store.default_sampling = *percent;
    }
    ingest_options.debounce_after = std::chrono::duration_cast<milliseconds>(
        duration_of("PILOT_DEBOUNCE_AFTER", ingest_options.debounce_after));
    ingest_options.only_namespace = options_.only_namespace;
    discovery::Ingest ingest(
        *client_, clock_, ingest_options, metrics_, [this](auto snapshot, auto impact, auto since) {
          ++published_;
          loop_->post(
              [this, snapshot = std::move(snapshot), impact = std::move(impact), since]() mutable {
                ads_.publish(snapshot, std::move(impact), since);
                if (auto* statuses = statuses_.load()) statuses->note(std::move(snapshot));
              });
        });
    discovery::StatusWriter statuses(*client_, clock_, {options_.domain, options_.ns});
    statuses_ = &statuses;
    discovery::GatewayDeployer deployer(*client_, [this] { return keeper_.state(); },
                                        {options_.revision, env_or("CLUSTER_ID", "Kubernetes")});
    std::unique_ptr<discovery::ConfigStatus> config_statuses;
    if (env_or("PILOT_ENABLE_STATUS", "true") != "false") {
      config_statuses = std::make_unique<discovery::ConfigStatus>(
          *client_, clock_, [this] { loop_->post([this] { tell_distribution(); }); },
          discovery::ConfigStatus::Options{});
      config_statuses_ = config_statuses.get();
    }
    discovery::JwksFetcher jwks(
        clock_, metrics_, [&] { return ingest.wanted_jwks(); },
        [&](const std::string& uri, std::string keys) { ingest.set_jwks(uri, std::move(keys)); });
    ingest.on_change([&](const data::Json& object, bool is_removed) {
      keeper_.take(object, is_removed);
      statuses.take(object, is_removed);
      deployer.take(object, is_removed);
      if (config_statuses != nullptr) config_statuses->take(object, is_removed);
      if (kube::kind_of(object) == "RequestAuthentication") jwks.wake();
    });
    registration_ = std::make_unique<discovery::Registration>(
        *client_, clock_, discovery::Registration::Options{options_.pod});
    loop_->post([this] { watch_machines(); });
    ca::RootPublisher roots(*client_, [this] { return root(); });
    // Revocation lists are published once there are some; the plugged-in CA brings them.
    std::unique_ptr<ca::RootPublisher> lists;
    const auto publish_lists = [&] {
      if (lists != nullptr) return lists->republish();
      if (crl().empty()) return;
      lists = std::make_unique<ca::RootPublisher>(
          *client_, [this] { return crl(); }, ca::RootPublisher::crl_place());
      lists->start();
    };
    discovery::WebhookPatcher patcher(*client_, options_.revision, [this] { return root(); });
    ingest.start();
    roots.start();
    publish_lists();
    while (!ingest.wait_synced(10s)) {
      if (is_over(0s)) return;
      LOG(kWarn, "discovery", "the API server has not answered all lists yet");
    }
    // Only a control plane that serves registers itself.
    patcher.start();
    tell_trust_bundle();
    LOG(kInfo, "discovery", "ready: revision {}, namespace {}", options_.revision, options_.ns);
    std::thread election([&] { lead(statuses, deployer); });
    // A plugged-in CA is looked at often: its files are swapped under us. The API server is asked
    // once a minute.
    auto seen = plugged_in();
    published_root_ = root();
    int turn = 0;
    // What only the start needed is given back soon. Later at most once a minute, when nothing was
    // published meanwhile: the pages that a push needs come back one by one.
    if (!is_over(1s)) release_unused_pages();
    std::uint64_t quiet_at = 0, released_at = published_.load();  // counts of publications
    SteadyTime may_release = clock_.steady() + 60s;
    while (!is_over(2s)) {
      const std::uint64_t published = published_.load();
      if (published == std::exchange(quiet_at, published) && published != released_at &&
          clock_.steady() >= may_release) {
        released_at = published;
        may_release = clock_.steady() + 60s;
        release_unused_pages();
      }
      const auto now = plugged_in();
      if (++turn % 30 != 0 && now == seen) continue;
      seen = now;
      const std::string before = published_root_, lists_before = crl();
      const bool is_new = rotate();
      if (crl() != lists_before) publish_lists();
      published_root_ = root();
      if (!is_new && published_root_ == before) continue;
      roots.republish();
      patcher.republish();
      tell_trust_bundle();
    }
    election.join();
    statuses_ = nullptr;
    config_statuses_ = nullptr;
  }

  // On the loop.
  void tell_distribution() {
    auto* configs = config_statuses_.load();
    if (configs != nullptr && ads_.is_ready())
      configs->answer(ads_.snapshot(), ads_.distribution());
  }

  // On the loop.
  void watch_machines() {
    ads_.on_presence([this](const discovery::Proxy& proxy, bool is_connected) {
      registration_->note_presence(proxy, is_connected);
    });
    ads_.on_health([this](const discovery::Proxy& proxy, const std::string& problem) {
      registration_->note_health(proxy, problem);
    });
  }

  // When the plugged-in CA was last written; the epoch when there is none.
  static std::filesystem::file_time_type plugged_in() {
    std::error_code missing;
    auto at = std::filesystem::last_write_time(ca_directory() + "/ca-cert.pem", missing);
    if (missing) return {};
    const auto lists = std::filesystem::last_write_time(ca_directory() + "/ca-crl.pem", missing);
    return missing ? at : std::max(at, lists);
  }

  // Of several replicas one writes statuses.
  void lead(discovery::StatusWriter& statuses, discovery::GatewayDeployer& deployer) {
    op::Leader leader(*client_, clock_, {{options_.ns, "istio-leader"}, options_.pod});
    const auto should_stop = [this] { return is_over(0s); };
    while (leader.acquire(should_stop)) {
      LOG(kInfo, "discovery", "leading: {} writes statuses", options_.pod);
      metrics_.set("istiod_is_leader", 1);
      statuses.set_leading(true);
      deployer.set_leading(true);
      if (auto* configs = config_statuses_.load()) configs->set_leading(true);
      const bool is_over_now = leader.keep(should_stop);
      statuses.set_leading(false);
      deployer.set_leading(false);
      if (auto* configs = config_statuses_.load()) configs->set_leading(false);
      metrics_.set("istiod_is_leader", 0);
      if (is_over_now) return;
    }
  }

  bool is_over(seconds wait) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, wait, [&] { return is_stopped_; });
  }

  // True when the root changed.
  bool rotate() {
    const std::string before = root();
    auto material = ca::renew_if_due(*client_, source(), clock_.wall());
    if (!material.ok()) {
      LOG(kWarn, "ca", "looking for a newer CA: {}", material.error().message());
      return false;
    }
    const ca::Material& own = authority_.get()->material();
    const bool is_new = material->certificate_pem != own.certificate_pem ||
                        material->root_pem != before || material->crl_pem != own.crl_pem;
    if (is_new) {
      if (auto used = use_material(*std::move(material)); !used.ok()) {
        LOG(kWarn, "ca", "the new CA is not used: {}", used.error().message());
        return false;
      }
    }
    if (!is_new && clock_.wall() < serving_expiry_ - 24h * 180) return false;
    auto contexts = make_contexts();
    if (!contexts.ok()) return false;
    loop_->post([this, contexts = *std::move(contexts)] {
      if (secure_ != nullptr) secure_->set_tls(contexts.mutual);
      if (webhook_ != nullptr) webhook_->set_tls(contexts.server);
    });
    return is_new;
  }

  Options options_;
  SystemClock clock_;
  discovery::Metrics metrics_;
  std::unique_ptr<kube::Client> client_;
  std::unique_ptr<event::Loop> loop_;
  Shared<ca::Authority> authority_;
  ca::TokenReviewer reviewer_;
  PeerProof proof_;
  discovery::WebhookKeeper keeper_;
  discovery::Ads ads_;
  discovery::DebugPages pages_;
  discovery::DebugService debug_;
  discovery::ControlService control_;
  discovery::WebhookService hooks_;
  ca::CertificateService certificates_;
  grpc::Service plain_grpc_, secure_grpc_;
  WallTime serving_expiry_{};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_stopped_ = false;
  std::thread worker_;
  std::atomic<discovery::StatusWriter*> statuses_ = nullptr;
  std::atomic<std::uint64_t> published_ = 0;  // snapshots
  std::atomic<discovery::ConfigStatus*> config_statuses_ = nullptr;
  std::unique_ptr<discovery::Registration> registration_;  // outlives the servers
  std::string published_root_;                             // the worker's
  http::Server* secure_ = nullptr;
  http::Server* webhook_ = nullptr;
  std::vector<std::unique_ptr<http::Server>> servers_;
  event::Scope drain_scope_;
};

int fail(const Error& error) {
  LOG(kError, "discovery", "{}", error.message());
  return 1;
}

}  // namespace
}  // namespace lateen::bin

int run_discovery(int argc, char** argv) {
  using namespace lateen;
  // One heap for all threads. A watch's thread makes what another frees, and each thread's own heap
  // keeps what is free in it: 30 MiB of holes after some thousand changes.
  ::mallopt(M_ARENA_MAX, 1);
  event::block_signals({SIGTERM, SIGINT});
  auto options = bin::parse_options(argc, argv);
  if (!options.ok()) return bin::fail(options.error());
  auto client = bin::connect(*options);
  if (!client.ok()) return bin::fail(client.error());
  SystemClock clock;
  auto loop = event::make_epoll_loop(clock, system_random());
  if (!loop.ok()) return bin::fail(loop.error());
  bin::ControlPlane plane(*std::move(options), *std::move(client), *std::move(loop));
  const auto signals =
      event::watch_signals(plane.loop(), {SIGTERM, SIGINT}, [&](int) { plane.stop(); });
  if (!signals.ok()) return bin::fail(signals.error());
  if (auto started = plane.start(); !started.ok()) return bin::fail(started.error());
  return plane.run();
}
