// Puts the parts together in order of dependence and takes them apart in reverse.
#include "cluster/apiserver/server.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "base/strings.h"
#include "cluster/apiserver/admission_chain.h"
#include "cluster/apiserver/api.h"
#include "cluster/apiserver/bootstrap.h"
#include "cluster/apiserver/housekeeping.h"
#include "cluster/apiserver/local_transport.h"
#include "cluster/apiserver/network.h"
#include "cluster/apiserver/service_addresses.h"
#include "cluster/apiserver/webhooks.h"
#include "data/yaml.h"
#include "event/epoll_loop.h"
#include "http/server.h"
#include "tls/context.h"

namespace lateen::cluster::apiserver {

struct ApiServer::State {
  State(ApiServerOptions options_in, const Clock& clock_in)
      : options(std::move(options_in)), clock(clock_in) {}

  Result<> open();
  Result<> listen();
  void run_loop();
  void ensure_basics();

  ApiServerOptions options;
  std::mutex advertised_mutex;  // options.advertised, once started
  const Clock& clock;
  std::shared_ptr<std::atomic<bool>> is_stopping = std::make_shared<std::atomic<bool>>(false);
  SharedRandom random;
  std::unique_ptr<Pki> pki;
  std::unique_ptr<Store> store;
  std::unique_ptr<Catalog> catalog;
  std::unique_ptr<ServiceAddresses> addresses;
  std::unique_ptr<Authenticator> authenticator;
  std::unique_ptr<Rbac> rbac;
  std::unique_ptr<Webhooks> webhooks;
  std::unique_ptr<AdmissionChain> admission;
  std::unique_ptr<Resources> resources;
  std::unique_ptr<Subresources> subresources;
  OpenApi open_api;
  std::unique_ptr<Api> api;
  std::unique_ptr<Housekeeping> housekeeping;
  WorkerPool pool;
  std::unique_ptr<NetworkService> service;
  std::unique_ptr<event::Loop> loop;
  std::vector<std::unique_ptr<http::Server>> servers;  // loop thread only
  std::thread loop_thread;
  bool is_started = false;
};

ApiServer::ApiServer(ApiServerOptions options, const Clock& clock)
    : state_(std::make_unique<State>(std::move(options), clock)) {}
ApiServer::~ApiServer() { stop(); }

namespace {

std::vector<std::string> server_names(const ApiServerOptions& options,
                                      const std::string& kubernetes_ip) {
  std::vector<std::string> names{"localhost",
                                 "127.0.0.1",
                                 kubernetes_ip,
                                 "kubernetes",
                                 "kubernetes.default",
                                 "kubernetes.default.svc",
                                 "kubernetes.default.svc." + options.cluster_domain};
  if (!options.advertised.ip().is_unspecified())
    names.push_back(options.advertised.ip().to_string());
  for (const auto& extra : options.extra_sans) {
    if (std::find(names.begin(), names.end(), extra) == names.end()) names.push_back(extra);
  }
  return names;
}

Result<> make_directory(const std::string& path) {
  for (std::size_t at = 1; at != std::string::npos;) {
    at = path.find('/', at + 1);
    const std::string part = path.substr(0, at);
    if (::mkdir(part.c_str(), 0700) != 0 && errno != EEXIST)
      return errno_error(fmt::format("making {}", part), errno);
  }
  return {};
}

}  // namespace

Result<> ApiServer::State::open() {
  TRY(make_directory(options.data_dir));
  addresses = std::make_unique<ServiceAddresses>(options.service_cidr, options.first_node_port,
                                                 options.last_node_port, random);
  pki = std::make_unique<Pki>(TRY(
      Pki::open(options.data_dir + "/pki", server_names(options, addresses->nth_ip(1)), clock)));
  StoreOptions store_options;
  store_options.kept_revisions = options.kept_revisions;
  store = TRY(Store::open(options.data_dir + "/state.db", store_options));
  catalog = std::make_unique<Catalog>(*store);
  addresses->load(*store);
  authenticator =
      std::make_unique<Authenticator>(*pki, *store, clock, random, options.cluster_domain);
  rbac = std::make_unique<Rbac>(*store);
  webhooks =
      std::make_unique<Webhooks>(*store, *catalog, random, std::move(options.resolve_service));
  admission = std::make_unique<AdmissionChain>(*store, random, webhooks.get());
  admission->set_token_source(authenticator.get(), pki->ca_pem());
  resources =
      std::make_unique<Resources>(Resources::Parts{*store, clock, random, *admission, *addresses});
  subresources = std::make_unique<Subresources>(*resources, *authenticator, pool);
  api = std::make_unique<Api>(Api::Parts{*store, clock, *catalog, *resources, *subresources,
                                         *authenticator, *rbac, open_api});
  TRY(bootstrap(*resources, *catalog, addresses->nth_ip(1)));
  if (options.advertised.port() != 0)
    TRY(publish_kubernetes(*resources, *catalog, options.advertised));
  housekeeping = std::make_unique<Housekeeping>(*resources, *catalog, [this] { ensure_basics(); });
  return {};
}

void ApiServer::State::ensure_basics() {
  auto done = bootstrap(*resources, *catalog, addresses->nth_ip(1));
  std::lock_guard lock(advertised_mutex);
  if (done.ok() && options.advertised.port() != 0) {
    done = publish_kubernetes(*resources, *catalog, options.advertised);
  }
  if (!done.ok()) LOG(kWarn, "apiserver", "{}; will try again", done.error().message());
}

Result<> ApiServer::State::listen() {
  tls::Options tls_options;
  tls_options.certificates = {{pki->server_chain_pem(), pki->server_key_pem()}};
  tls_options.trusted_ca_pem = pki->ca_pem();
  tls_options.alpn = {"h2", "http/1.1"};
  auto context = TRY(tls::Context::make(tls::Context::Role::kServer, tls_options));
  loop = TRY(event::make_epoll_loop(clock, system_random()));
  service = std::make_unique<NetworkService>(*api, *authenticator, pool);
  http::ServerOptions http_options;
  http_options.max_concurrent_streams = 250;
  http_options.server_name = "";
  for (auto& fd : options.listening) {
    servers.push_back(
        std::make_unique<http::Server>(*loop, std::move(fd), *service, http_options, context));
  }
  options.listening.clear();
  return {};
}

Result<> ApiServer::start() {
  auto& state = *state_;
  TRY(state.open());
  if (!state.options.listening.empty()) {
    TRY(state.listen());
    for (const auto& server : state.servers) {
      LOG(kInfo, "apiserver", "serving on {}", server->address().to_string());
    }
    state.loop_thread = std::thread([&state] { state.run_loop(); });
  }
  state.housekeeping->start();
  state.is_started = true;
  return {};
}

void ApiServer::State::run_loop() {
  loop->run();
  servers.clear();  // Ends exchanges, and with them watches, on their own thread.
}

void ApiServer::stop() {
  auto& state = *state_;
  if (!state.is_started) return;
  state.is_started = false;
  state.is_stopping->store(true);
  state.housekeeping->stop();
  if (state.loop != nullptr) {
    state.loop->stop();
    if (state.loop_thread.joinable()) state.loop_thread.join();
  }
  state.pool.stop();
}

void ApiServer::set_streams(PodStreams* streams) {
  if (state_->subresources != nullptr) state_->subresources->set_streams(streams);
}

Result<> ApiServer::set_advertised(const net::Address& address) {
  std::lock_guard lock(state_->advertised_mutex);
  state_->options.advertised = address;
  return publish_kubernetes(*state_->resources, *state_->catalog, address);
}

std::unique_ptr<kube::Transport> ApiServer::local_transport(std::string user) {
  User made;
  made.name = std::move(user);
  made.groups = {"system:masters", "system:authenticated"};
  return make_local_transport(*state_->api, std::move(made), state_->is_stopping);
}

std::string ApiServer::ca_pem() const { return state_->pki->ca_pem(); }

Result<std::string> ApiServer::kubeconfig(const std::string& server_url,
                                          const std::string& context) const {
  const auto admin =
      TRY(state_->pki->issue_client("kubernetes-admin", {"system:masters"}, state_->clock));
  const JsonObject cluster{{"server", server_url},
                           {"certificate-authority-data", base64_encode(state_->pki->ca_pem())}};
  const JsonObject user{{"client-certificate-data", base64_encode(admin.certificate_pem)},
                        {"client-key-data", base64_encode(admin.key_pem)}};
  return data::dump_yaml(JsonObject{
      {"apiVersion", "v1"},
      {"kind", "Config"},
      {"current-context", context},
      {"preferences", JsonObject{}},
      {"clusters", JsonArray{JsonObject{{"name", context}, {"cluster", cluster}}}},
      {"contexts",
       JsonArray{JsonObject{{"name", context},
                            {"context", JsonObject{{"cluster", context}, {"user", context}}}}}},
      {"users", JsonArray{JsonObject{{"name", context}, {"user", user}}}}});
}

}  // namespace lateen::cluster::apiserver
