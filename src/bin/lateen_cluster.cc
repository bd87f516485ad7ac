// `lateen cluster`: API server, controllers, node agent, DNS and balancer in one process, started
// by the supervisor of `lateen up` inside the cluster's namespaces. Wiring only.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <mutex>
#include <string>

#include "base/log.h"
#include "bin/up.h"
#include "cluster/apiserver/server.h"
#include "cluster/balancer/balancer.h"
#include "cluster/controllers/controllers.h"
#include "cluster/dns/server.h"
#include "cluster/node/node_agent.h"
#include "linux/fd_passing.h"
#include "linux/files.h"
#include "linux/ports.h"

namespace lateen::bin {
namespace {

using data::Json;
using data::JsonObject;

constexpr std::uint16_t kInnerApiPort = 6443;
constexpr int kAnswerLimitMs = 2'000;
constexpr int kMostAttempts = 5;

struct ClusterOptions {
  std::string data_dir;
  int control_fd = -1;
  int api_fd = -1;
  int api_port = 6443;
  bool is_single_user = false;
};

Result<ClusterOptions> parse_options(int argc, char** argv) {
  ClusterOptions options;
  CLI::App app("API server, controllers, node agent, DNS and balancer of `lateen up`.",
               "lateen cluster");
  app.add_option("--data-dir", options.data_dir, "where all its data is")->required();
  app.add_option("--control-fd", options.control_fd, "socket to the supervisor");
  app.add_option("--api-fd", options.api_fd, "listening socket of the API server");
  app.add_option("--api-port", options.api_port, "its port on the machine")->capture_default_str();
  app.add_flag("--single-user", options.is_single_user, "there are no user ids but 0");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& wrong) {
    return invalid(wrong.what());
  }
  return options;
}

// The supervisor's end of LoadBalancer ports. Thread-safe.
class SupervisedPorts final : public cluster::balancer::HostPorts {
 public:
  explicit SupervisedPorts(int control_fd) : control_fd_(control_fd) {}

  // Asked again when no answer comes: a supervisor may have died with the question.
  Result<Fd> listen(int port) override {
    const std::lock_guard lock(mutex_);
    for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
      const std::int64_t id = ++last_id_;
      TRY(os::send_message(
          control_fd_, data::dump_json(JsonObject{{"op", "listen"}, {"port", port}, {"id", id}})));
      pollfd answered{control_fd_, POLLIN, 0};
      while (::poll(&answered, 1, kAnswerLimitMs) > 0) {
        os::Message answer = TRY(os::receive_message(control_fd_));
        const Json json = TRY(data::parse_json(answer.text));
        if (data::get_int(json, {"id"}) != id) continue;  // late, or of a cluster process before us
        if (const auto error = data::get_string(json, {"error"}); !error.empty())
          return unavailable(std::string(error));
        if (answer.fds.empty()) return internal("the supervisor sent no socket");
        return std::move(answer.fds.front());
      }
    }
    return unavailable("the supervisor of `lateen up` does not answer");
  }
  void close(int port) override {
    const std::lock_guard lock(mutex_);
    (void)os::send_message(control_fd_,
                           data::dump_json(JsonObject{{"op", "close"}, {"port", port}}));
  }
  void tell(const JsonObject& message) {
    const std::lock_guard lock(mutex_);
    if (auto sent = os::send_message(control_fd_, data::dump_json(message)); !sent.ok())
      LOG(kWarn, "cluster", "{}", sent.error().message());
  }

 private:
  const int control_fd_;
  std::mutex mutex_;
  // Distinct from those of an earlier process on the same socket.
  std::int64_t last_id_ = SystemClock().wall().time_since_epoch().count() / 1000;
};

std::string directory_of(const std::string& path) { return path.substr(0, path.find_last_of('/')); }

class Cluster {
 public:
  Cluster(ClusterOptions options, SupervisedPorts* ports)
      : options_(std::move(options)), ports_(ports) {}

  Result<> start() {
    TRY(cluster::node::set_up_node_network().at("setting up the cluster's network"));
    TRY(start_api());
    client_ = std::make_unique<kube::Client>(api_->local_transport("system:node:lateen"));
    balancer_ = std::make_unique<cluster::balancer::Balancer>(*client_, clock_, ports_);
    TRY(balancer_->start());
    dns_ = std::make_unique<cluster::dns::DnsServer>(*client_, clock_);
    const net::Ip dns_ip = net::Ip::v4(cluster::node::kDnsIp);
    TRY(dns_->start({net::Address(node_ip(), 53), net::Address(dns_ip, 53)}, dns_ip));
    cluster::node::NodeOptions node;
    node.data_dir = options_.data_dir;
    node.programs_dir = directory_of(os::own_program());
    node.is_single_user = options_.is_single_user;
    agent_ = std::make_unique<cluster::node::NodeAgent>(*client_, clock_, std::move(node));
    TRY(agent_->start());
    api_->set_streams(agent_.get());
    // After the node has said that it is back, lest they take it for lost.
    cluster::controllers::ControllersOptions controllers;
    controllers.root_ca_pem = api_->ca_pem();
    controllers_ = std::make_unique<cluster::controllers::Controllers>(*client_, clock_,
                                                                       std::move(controllers));
    TRY(controllers_->start());
    const std::string kubeconfig =
        TRY(api_->kubeconfig(fmt::format("https://127.0.0.1:{}", options_.api_port), "lateen"));
    return os::write_file_atomic(cluster_kubeconfig_path(options_.data_dir), kubeconfig, 0600);
  }

  // Containers first, while there is still an API to tell.
  void stop() {
    if (api_ != nullptr) api_->set_streams(nullptr);
    agent_.reset();
    if (controllers_ != nullptr) controllers_->stop();
    controllers_.reset();
    dns_.reset();
    balancer_.reset();
    client_.reset();
    if (api_ != nullptr) api_->stop();
    api_.reset();
  }

 private:
  static net::Ip node_ip() { return net::Ip::v4(cluster::node::kNodeIp); }

  Result<> start_api() {
    cluster::apiserver::ApiServerOptions api;
    api.data_dir = options_.data_dir;
    if (options_.api_fd >= 0) {
      ::fcntl(options_.api_fd, F_SETFL, ::fcntl(options_.api_fd, F_GETFL) | O_NONBLOCK);
      api.listening.emplace_back(options_.api_fd);
    } else {
      api.listening.push_back(TRY(net::listen_on(
          net::Address(net::Ip::v4(0x7f000001), static_cast<std::uint16_t>(options_.api_port)))));
    }
    const net::Address inner(node_ip(), kInnerApiPort);
    api.listening.push_back(TRY(net::listen_on(inner)));
    api.advertised = inner;
    api.extra_sans = {node_ip().to_string(), "lateen"};
    api_ = std::make_unique<cluster::apiserver::ApiServer>(std::move(api), clock_);
    return api_->start();
  }

  const ClusterOptions options_;
  SupervisedPorts* ports_;
  SystemClock clock_;
  std::unique_ptr<cluster::apiserver::ApiServer> api_;
  std::unique_ptr<kube::Client> client_;
  std::unique_ptr<cluster::controllers::Controllers> controllers_;
  std::unique_ptr<cluster::node::NodeAgent> agent_;
  std::unique_ptr<cluster::dns::DnsServer> dns_;
  std::unique_ptr<cluster::balancer::Balancer> balancer_;
};

int cluster_command(int argc, char** argv) {
  const auto options = parse_options(argc, argv);
  if (!options.ok()) {
    std::fprintf(stderr, "lateen cluster: %s\n", options.error().message().c_str());
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  sigset_t ending;
  sigemptyset(&ending);
  for (const int number : {SIGTERM, SIGINT}) sigaddset(&ending, number);
  sigprocmask(SIG_BLOCK, &ending, nullptr);  // inherited by every thread
  if (options->control_fd >= 0) fcntl(options->control_fd, F_SETFD, FD_CLOEXEC);
  if (options->api_fd >= 0) fcntl(options->api_fd, F_SETFD, FD_CLOEXEC);
  std::unique_ptr<SupervisedPorts> ports;
  if (options->control_fd >= 0) ports = std::make_unique<SupervisedPorts>(options->control_fd);
  Cluster cluster(*options, ports.get());
  const auto started = cluster.start();
  if (!started.ok()) {
    LOG(kError, "cluster", "{}", started.error().message());
    if (ports != nullptr) ports->tell({{"op", "failed"}, {"error", started.error().message()}});
    cluster.stop();
    return 1;
  }
  LOG(kInfo, "cluster", "ready");
  if (ports != nullptr) ports->tell({{"op", "ready"}});
  int number = 0;
  sigwait(&ending, &number);
  LOG(kInfo, "cluster", "told to end");
  cluster.stop();
  return 0;
}

}  // namespace
}  // namespace lateen::bin

int run_cluster(int argc, char** argv) { return lateen::bin::cluster_command(argc, argv); }
