// The pod worker's turn: take messages, reap, act, publish, wait.
#include "cluster/node/pod_worker.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/log.h"
#include "linux/files.h"

namespace lateen::cluster::node {

namespace {
constexpr seconds kLongestWait{60};
constexpr milliseconds kPublishRetry{500};
constexpr seconds kGoodbyeLimit{2};
}  // namespace

Mailbox::Mailbox() : wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

void Mailbox::post(Function<void()> message) {
  const std::lock_guard lock(mutex_);
  if (is_closed_) return;
  messages_.push_back(std::move(message));
  const std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
}

std::deque<Function<void()>> Mailbox::take() {
  const std::lock_guard lock(mutex_);
  std::uint64_t count;
  (void)!::read(wake_.get(), &count, sizeof count);
  return std::exchange(messages_, {});
}

void Mailbox::close() {
  const std::lock_guard lock(mutex_);
  is_closed_ = true;
  messages_.clear();
}

PodWorker::PodWorker(NodeContext& node, kube::ObjectPtr pod)
    : node_(node),
      pod_(std::move(pod)),
      key_(kube::key_of(*pod_)),
      uid_(kube::uid_of(*pod_)),
      pod_dir_(fmt::format("{}/pods/{}", node.data_dir, uid_)),
      launcher_(node, pod_dir_),
      volumes_(node.client, node.clock, pod_dir_, node.data_dir + "/claims"),
      facts_(node.facts) {
  adopt_spec();
  restore_from_status();
}

PodWorker::~PodWorker() {
  is_abandoned_ = true;
  mailbox_->post([] {});
  if (thread_.joinable()) thread_.join();
  mailbox_->close();
}

void PodWorker::start() {
  thread_ = std::thread([this] { run(); });
}

void PodWorker::adopt_spec() {
  for (const char* list : {"initContainers", "containers"})
    for (const Json& spec : data::get_array(*pod_, {"spec", list})) {
      Container container;
      container.spec = spec;
      container.name = data::get_string(spec, {"name"});
      container.role = std::string_view(list) == "containers"                  ? Role::kMain
                       : data::get_string(spec, {"restartPolicy"}) == "Always" ? Role::kSidecar
                                                                               : Role::kInit;
      const bool has_init = !data::get_array(*pod_, {"spec", "initContainers"}).empty();
      container.state = waiting_state(has_init ? "PodInitializing" : "ContainerCreating");
      container.last_state = data::JsonObject{};
      containers_.push_back(std::move(container));
    }
  const auto limit = data::get_int(*pod_, {"spec", "activeDeadlineSeconds"}, -1);
  if (limit >= 0) active_until_ = now() + seconds(limit);
}

// What an earlier cluster process said about this pod. Its containers ended with it: they count as
// killed.
void PodWorker::restore_from_status() {
  start_time_ = data::get_string(*pod_, {"status", "startTime"}, stamp());
  const auto phase = data::get_string(*pod_, {"status", "phase"});
  is_finished_ = phase == "Succeeded" || phase == "Failed";
  is_failed_ = phase == "Failed";
  reason_ = data::get_string(*pod_, {"status", "reason"});
  message_ = data::get_string(*pod_, {"status", "message"});
  if (is_finished_) pod_ip_ = data::get_string(*pod_, {"status", "podIP"});
  for (const char* list : {"initContainerStatuses", "containerStatuses"})
    for (const Json& status : data::get_array(*pod_, {"status", list})) {
      Container* container = find(data::get_string(status, {"name"}));
      if (container == nullptr) continue;
      container->restart_count = static_cast<int>(data::get_int(status, {"restartCount"}));
      container->attempts = container->restart_count;
      container->image_id = data::get_string(status, {"imageID"});
      if (const Json* last = data::find(status, {"lastState"})) container->last_state = *last;
      const Json* state = data::find(status, {"state"});
      if (state == nullptr) continue;
      if (is_terminated(*state)) {
        container->state = *state;
        container->attempts = container->restart_count + 1;
      } else if (is_running(*state)) {
        container->attempts = container->restart_count + 1;
        container->state = terminated_state(
            {.exit_code = 137,
             .signal = SIGKILL,
             .reason = "Error",
             .message = "The node restarted while the container ran.",
             .started_at = std::string(data::get_string(*state, {"running", "startedAt"})),
             .finished_at = stamp()});
      }
    }
  if (is_finished_) return;
  // A new sandbox: initialization starts over.
  for (Container& container : containers_)
    if (container.role != Role::kMain && is_terminated(container.state)) {
      container.last_state = container.state;
      container.state = waiting_state("PodInitializing");
    }
}

void PodWorker::update(kube::ObjectPtr pod) {
  mailbox_->post([this, pod = std::move(pod)] { pod_ = pod; });
}

void PodWorker::remove() {
  mailbox_->post([this] { is_removed_ = true; });
}

void PodWorker::config_changed(std::string kind, std::string name) {
  mailbox_->post([this, kind = std::move(kind), name = std::move(name)] {
    // Also a container that waits for a missing object may have it now.
    for (Container& container : containers_)
      if (!container.running &&
          data::get_string(container.state, {"waiting", "reason"}) == "CreateContainerConfigError")
        container.start_allowed_at = now();
    if (!volumes_.follows(*pod_, kind, name)) return;
    are_volumes_ready_ = false;
    volumes_retry_ = now();
  });
}

void PodWorker::run() {
  while (!is_over_ && !is_abandoned_) {
    for (const auto& message : mailbox_->take()) message();
    next_wake_ = now() + kLongestWait;
    reap();
    turn();
    publish();
    if (!is_over_ && !is_abandoned_) wait();
  }
  if (is_abandoned_) ask_to_end();
  kill_all();
  for (Container& container : containers_)
    if (container.running) {
      auto status = container.running->child.wait();
      container.running->ending->set(status.ok() ? status->code : 137);
    }
  const std::lock_guard lock(shared_mutex_);
  sandbox_.reset();
}

// The node goes down: containers may finish what they do, within a bound for all of them.
void PodWorker::ask_to_end() {
  for (Container& container : containers_)
    if (container.running) container.running->child.signal(SIGTERM);
  const SteadyTime deadline = now() + kGoodbyeLimit;
  for (Container& container : containers_) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - now()).count();
    if (container.running && left > 0) container.running->child.wait_ended(static_cast<int>(left));
  }
}

void PodWorker::turn() {
  if (is_removed_) {
    kill_all();
    const bool is_any_running =
        std::any_of(containers_.begin(), containers_.end(),
                    [](const Container& container) { return container.running != nullptr; });
    if (is_any_running) return;
    {
      const std::lock_guard lock(shared_mutex_);
      sandbox_.reset();
    }
    volumes_.remove(*pod_);
    if (auto removed = os::remove_tree(pod_dir_); !removed.ok())
      LOG(kWarn, "node", "cleaning up after pod {}: {}", key_.to_string(),
          removed.error().message());
    is_over_ = true;
    return;
  }
  if (kube::is_deleting(*pod_)) return terminate();
  if (is_finished_) return;
  if (now() >= active_until_ && !is_failed_) {
    is_failed_ = true;
    reason_ = "DeadlineExceeded";
    message_ = "Pod was active on the node longer than the specified deadline";
  }
  if (is_failed_ || are_mains_done()) return finish();
  if (active_until_ != SteadyTime::max()) wake_at(active_until_);
  if (!ensure_sandbox() || !ensure_volumes()) return;
  sync_containers();
  enforce_stops();
  drive_probes();
}

void PodWorker::wait() {
  std::vector<pollfd> watched{{mailbox_->wake_fd(), POLLIN, 0}};
  for (const Container& container : containers_)
    if (container.running) watched.push_back({container.running->child.pidfd(), POLLIN, 0});
  const auto left = std::chrono::ceil<milliseconds>(next_wake_ - now());
  if (left.count() > 0) ::poll(watched.data(), watched.size(), static_cast<int>(left.count()));
}

PodReport PodWorker::report() const {
  PodReport report;
  report.pod_ip = pod_ip_;
  report.host_ip = facts_.host_ip;
  report.start_time = start_time_;
  report.now = stamp();
  report.is_failed = is_failed_;
  report.reason = reason_;
  report.message = message_;
  for (const Container& container : containers_)
    report.containers.push_back(
        {.name = container.name,
         .image = std::string(data::get_string(container.spec, {"image"})),
         .role = container.role,
         .state = container.state,
         .last_state = container.last_state,
         .restart_count = container.restart_count,
         .is_ready = container.role == Role::kInit
                         ? is_terminated(container.state) && exit_code_of(container.state) == 0
                         : container.is_ready,
         .is_started = container.is_started,
         .image_id = container.image_id,
         .container_id =
             container.attempts > 0
                 ? fmt::format("lateen://{}-{}-{}", uid_, container.name, container.attempts - 1)
                 : std::string()});
  return report;
}

void PodWorker::publish() {
  if (is_over_ || is_removed_) return;
  if (is_finished_ && published_.is_null() && !kube::is_deleting(*pod_))
    return;  // said by an earlier process
  if (now() < publish_retry_) return wake_at(publish_retry_);
  Json status = pod_status(*pod_, report());
  if (data::equal(status, published_)) return;
  auto patched = node_.client.patch(
      kube::resources::pods(), key_, kube::Patch::kMerge,
      data::JsonObject{{"metadata", data::JsonObject{{"uid", uid_}}}, {"status", status}},
      {.field_manager = "kubelet", .subresource = "status"});
  if (patched.ok()) {
    // Transition times are kept from what the server has.
    pod_ = std::make_shared<const Json>(std::move(patched).value());
    published_ = std::move(status);
    return;
  }
  if (patched.error().code() == Code::kNotFound) {
    is_removed_ = true;
    next_wake_ = now();
    return;
  }
  LOG(kWarn, "node", "status of pod {} not written, will try again: {}", key_.to_string(),
      patched.error().message());
  publish_retry_ = now() + kPublishRetry;
  wake_at(publish_retry_);
}

void PodWorker::event(Events::Type type, std::string_view reason, std::string message,
                      const Container* about) {
  std::string field;
  if (about != nullptr)
    field = fmt::format("spec.{}{{{}}}",
                        about->role == Role::kMain ? "containers" : "initContainers", about->name);
  node_.events.record(*pod_, type, reason, std::move(message), field);
}

PodWorker::Container* PodWorker::find(std::string_view name) {
  for (Container& container : containers_)
    if (container.name == name) return &container;
  return nullptr;
}

Result<std::shared_ptr<const RunningContainer>> PodWorker::running(std::string_view name) const {
  const std::lock_guard lock(shared_mutex_);
  for (const Container& container : containers_) {
    if (container.name != name) continue;
    if (container.running) return container.running;
    return Error(Code::kFailedPrecondition,
                 fmt::format("container {} of pod {} is not running", name, key_.name));
  }
  return not_found(fmt::format("container {} is not valid for pod {}", name, key_.name));
}

Result<PodWorker::LogSource> PodWorker::log_source(std::string_view name, bool is_previous) const {
  const std::lock_guard lock(shared_mutex_);
  for (const Container& container : containers_) {
    if (container.name != name) continue;
    // The number of the newest log file, or of the one before it.
    const int last = container.attempts - 1;
    const int wanted =
        is_previous
            ? (container.running ? last - 1 : last - (is_terminated(container.state) ? 1 : 0))
            : last;
    if (is_previous && wanted < 0)
      return invalid(fmt::format("previous terminated container \"{}\" in pod \"{}\" not found",
                                 name, key_.name));
    if (wanted < 0) {
      const auto reason =
          data::get_string(container.state, {"waiting", "reason"}, "ContainerCreating");
      return invalid(fmt::format("container \"{}\" in pod \"{}\" is waiting to start: {}", name,
                                 key_.name, reason));
    }
    return LogSource{launcher_.log_path(name, wanted), is_previous ? nullptr : container.running};
  }
  return not_found(fmt::format("container {} is not valid for pod {}", name, key_.name));
}

int PodWorker::net_fd() const {
  const std::lock_guard lock(shared_mutex_);
  return sandbox_ == nullptr ? -1 : sandbox_->net_fd();
}

std::vector<PodWorker::Process> PodWorker::processes() const {
  const std::lock_guard lock(shared_mutex_);
  std::vector<Process> list;
  for (const Container& container : containers_)
    if (container.running) list.push_back({container.name, container.running->child.pid()});
  return list;
}

}  // namespace lateen::cluster::node
