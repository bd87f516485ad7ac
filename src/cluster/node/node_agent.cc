// The node agent: pods in, workers out.
#include "cluster/node/node_agent.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <vector>

#include "base/log.h"
#include "base/strings.h"
#include "cluster/node/exec.h"
#include "linux/files.h"
#include "linux/namespaces.h"

namespace lateen::cluster::node {

namespace {
constexpr milliseconds kHousePeriod{250};
constexpr seconds kBeatPeriod{10};
constexpr seconds kSyncLimit{30};
}  // namespace

NodeAgent::NodeAgent(kube::Client& client, const Clock& clock, NodeOptions options)
    : client_(client),
      clock_(clock),
      options_(std::move(options)),
      catalog_(options_.data_dir + "/images.json"),
      roots_(options_.data_dir + "/images", options_.programs_dir),
      pump_(clock),
      events_(client, clock, "kubelet", options_.name) {}

NodeAgent::~NodeAgent() { stop(); }

Result<> NodeAgent::start() {
  TRY(os::make_directories(options_.data_dir + "/pods"));
  TRY(os::make_directories(options_.data_dir + "/run"));
  TRY(set_up_node_network().at("setting up the cluster's network"));
  TRY(pump_.start());
  context_ = std::make_unique<NodeContext>(NodeContext{.client = client_,
                                                       .clock = clock_,
                                                       .catalog = catalog_,
                                                       .roots = roots_,
                                                       .pump = pump_,
                                                       .tasks = tasks_,
                                                       .events = events_,
                                                       .ips = ips_,
                                                       .data_dir = options_.data_dir,
                                                       .facts = {},
                                                       .services = {}});
  context_->layering = find_layering(options_.data_dir + "/run");
  context_->is_single_user = options_.is_single_user;
  context_->cgroups = Cgroups::find(fmt::format("lateen-{:016x}", fnv1a64(options_.data_dir)));
  if (!context_->cgroups->is_enforcing()) LOG(kInfo, "node", "{}", context_->cgroups->why_not());
  context_->facts.host_ip = os::format_ipv4(kNodeIp);
  context_->facts.node_name = options_.name;
  context_->facts.node_cpu_millis = machine_cpus() * 1000;
  context_->facts.node_memory_bytes = machine_memory_bytes();
  context_->services = [this] { return services_->list(); };
  TRY(register_node().at("registering the node"));
  TRY(remove_strangers());

  services_ = std::make_unique<kube::Informer>(client_, kube::resources::services());
  services_->start();
  config_maps_ = std::make_unique<kube::Informer>(client_, kube::resources::config_maps());
  secrets_ = std::make_unique<kube::Informer>(client_, kube::resources::secrets());
  for (auto* informer : {config_maps_.get(), secrets_.get()}) {
    informer->on_change([this](const kube::Change& change) { config_changed(change); });
    informer->start();
  }
  if (!services_->wait_synced(kSyncLimit))
    return unavailable("the API server does not list services");
  kube::ListOptions ours;
  ours.field_selector = "spec.nodeName=" + options_.name;
  pods_ = std::make_unique<kube::Informer>(client_, kube::resources::pods(), "", ours);
  pods_->on_change([this](const kube::Change& change) { pod_changed(change); });
  pods_->start();
  house_ = std::thread([this] { keep_house(); });
  return {};
}

void NodeAgent::stop() {
  {
    const std::lock_guard lock(mutex_);
    if (is_stopping_) return;
    is_stopping_ = true;
  }
  changed_.notify_all();
  if (house_.joinable()) house_.join();
  pods_.reset();
  config_maps_.reset();
  secrets_.reset();
  // In parallel, as each waits for its containers to be gone.
  std::vector<std::thread> enders;
  for (auto& [uid, worker] : workers_) enders.emplace_back([&worker = worker] { worker.reset(); });
  for (std::thread& ender : enders) ender.join();
  workers_.clear();
  services_.reset();
}

void NodeAgent::pod_changed(const kube::Change& change) {
  const std::string uid(kube::uid_of(change.object()));
  std::shared_ptr<PodWorker> worker;
  bool is_new = false;
  {
    const std::lock_guard lock(mutex_);
    const auto found = workers_.find(uid);
    if (found != workers_.end()) {
      worker = found->second;
    } else if (change.after != nullptr && !is_stopping_) {
      worker = std::make_shared<PodWorker>(*context_, change.after);
      workers_[uid] = worker;
      is_new = true;
    }
  }
  if (worker == nullptr) return;
  if (is_new) return worker->start();
  if (change.after == nullptr) worker->remove();
  else worker->update(change.after);
}

void NodeAgent::config_changed(const kube::Change& change) {
  if (change.before != nullptr && change.after != nullptr &&
      kube::resource_version_of(*change.before) == kube::resource_version_of(*change.after))
    return;
  const std::string kind(kube::kind_of(change.object()));
  const kube::Key key = kube::key_of(change.object());
  const std::lock_guard lock(mutex_);
  for (auto& [uid, worker] : workers_)
    if (worker->key().ns == key.ns) worker->config_changed(kind, key.name);
}

std::shared_ptr<PodWorker> NodeAgent::find(const kube::Key& pod) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<PodWorker> found;
  const auto current = pods_ == nullptr ? nullptr : pods_->find(pod);
  for (auto& [uid, worker] : workers_)
    if (worker->key() == pod &&
        (found == nullptr || (current != nullptr && kube::uid_of(*current) == uid)))
      found = worker;
  return found;
}

// Directories of pods that were deleted while nobody looked.
Result<> NodeAgent::remove_strangers() {
  const Json list = TRY(client_.list(kube::resources::pods(), ""));
  std::set<std::string> uids;
  for (const Json& pod : data::get_array(list, {"items"})) uids.emplace(kube::uid_of(pod));
  const std::string directory = options_.data_dir + "/pods";
  for (const std::string& uid : os::list_directory(directory)) {
    if (uids.contains(uid)) continue;
    if (auto removed = os::remove_tree(directory + "/" + uid); !removed.ok())
      LOG(kWarn, "node", "{}", removed.error().message());
  }
  return {};
}

void NodeAgent::keep_house() {
  roots_.remove_old();
  SteadyTime beat_due{};
  WallTime last_beat{};
  std::unique_lock lock(mutex_);
  while (!is_stopping_) {
    lock.unlock();
    bury();
    write_process_table();
    // By the wall clock too: a machine that slept must say at once that it is back.
    if (clock_.steady() >= beat_due || clock_.wall() - last_beat >= kBeatPeriod) {
      beat_due = clock_.steady() + kBeatPeriod;
      last_beat = clock_.wall();
      if (auto beat = heartbeat(); !beat.ok())
        LOG(kWarn, "node", "the node's heartbeat failed: {}", beat.error().message());
    }
    lock.lock();
    changed_.wait_for(lock, kHousePeriod, [this] { return is_stopping_; });
  }
}

void NodeAgent::bury() {
  std::vector<std::shared_ptr<PodWorker>> dead;
  const std::lock_guard lock(mutex_);
  for (auto at = workers_.begin(); at != workers_.end();) {
    if (!at->second->is_over()) {
      ++at;
      continue;
    }
    dead.push_back(std::move(at->second));
    at = workers_.erase(at);
  }
}

// For `lateen status`, which sees the processes from outside.
void NodeAgent::write_process_table() {
  // Looked at four times a second, and nearly always as it was: pids alone tell, before any text is
  // made.
  std::vector<std::int64_t> pids;
  std::vector<std::pair<std::shared_ptr<PodWorker>, PodWorker::Process>> running;
  {
    const std::lock_guard lock(mutex_);
    for (auto& [uid, worker] : workers_) {
      for (auto& process : worker->processes()) {
        pids.push_back(process.pid);
        running.emplace_back(worker, std::move(process));
      }
    }
  }
  if (pids == written_pids_) return;
  data::JsonArray rows;
  for (const auto& [worker, process] : running) {
    rows.push_back(data::JsonObject{{"namespace", worker->key().ns},
                                    {"pod", worker->key().name},
                                    {"container", process.container},
                                    {"pid", process.pid}});
  }
  const auto written =
      os::write_file_atomic(options_.data_dir + "/run/containers.json",
                            data::dump_json(data::JsonObject{{"containers", std::move(rows)}}));
  if (written.ok()) written_pids_ = std::move(pids);
}

Result<std::unique_ptr<ExecSession>> NodeAgent::exec(const ExecRequest& request) {
  const auto worker = find(request.pod);
  if (worker == nullptr)
    return not_found(fmt::format("pod {} is not running on this node", request.pod.to_string()));
  return start_exec(TRY(worker->running(request.container)), request);
}

Result<std::unique_ptr<ExecSession>> NodeAgent::attach(const ExecRequest& request) {
  const auto worker = find(request.pod);
  if (worker == nullptr)
    return not_found(fmt::format("pod {} is not running on this node", request.pod.to_string()));
  return start_attach(TRY(worker->running(request.container)), request, pump_);
}

Result<> NodeAgent::logs(const LogRequest& request, const Function<bool(std::string_view)>& sink,
                         const Function<bool()>& should_stop) {
  const auto worker = find(request.pod);
  if (worker == nullptr)
    return invalid(
        fmt::format("container \"{}\" in pod \"{}\" is waiting to start: ContainerCreating",
                    request.container, request.pod.name));
  const auto source = TRY(worker->log_source(request.container, request.is_previous));
  return read_log(source.path, request, sink, should_stop,
                  [&] { return source.running == nullptr || source.running->ending->has_come(); });
}

Result<Fd> NodeAgent::port_forward(const kube::Key& pod, int port) {
  const auto worker = find(pod);
  if (worker == nullptr)
    return not_found(fmt::format("pod {} is not running on this node", pod.to_string()));
  const int namespace_fd = worker->net_fd();
  if (namespace_fd < 0)
    return Error(Code::kFailedPrecondition, fmt::format("pod {} has no network yet", pod.name));
  std::optional<Result<Fd>> connected;
  std::thread inside([&] {
    connected = [&]() -> Result<Fd> {
      TRY(os::join_namespace(namespace_fd, CLONE_NEWNET));
      Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      if (!fd.is_open()) return errno_error("making a socket", errno);
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(static_cast<std::uint16_t>(port));
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return unavailable(fmt::format("failed to connect to localhost:{} inside pod {}: {}", port,
                                       pod.to_string(), std::strerror(errno)),
                           Blame::kUpstream);
      TRY(os::set_nonblocking(fd.get(), true));
      return fd;
    }();
  });
  inside.join();
  return std::move(*connected);
}

}  // namespace lateen::cluster::node
