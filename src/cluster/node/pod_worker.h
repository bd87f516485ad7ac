// PodWorker runs one pod: a thread of its own that brings the pod's containers to what the spec
// says, watches them, and tells the API server. Level-based: each turn looks at the spec and at
// what runs, acts, and waits for the next exit, message or deadline. The parts: pod_worker.cc the
// turn, pod_sync.cc starting, pod_stop.cc stopping, pod_probes.cc probes and hooks.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cluster/node/launch.h"
#include "cluster/node/pod_status.h"
#include "cluster/node/probes.h"

namespace lateen::cluster::node {

// Work for a pod's thread, from any thread. Outlives the worker when probes still hold it; then it
// swallows.
class Mailbox {
 public:
  Mailbox();
  void post(Function<void()> message);
  std::deque<Function<void()>> take();
  void close();
  int wake_fd() const { return wake_.get(); }

 private:
  std::mutex mutex_;
  std::deque<Function<void()>> messages_;
  bool is_closed_ = false;
  Fd wake_;
};

class PodWorker {
 public:
  // `node` outlives us. `pod` is bound to this node.
  PodWorker(NodeContext& node, kube::ObjectPtr pod);
  ~PodWorker();  // kills what runs, joins
  void start();

  // Any thread.
  void update(kube::ObjectPtr pod);
  void remove();  // the object is gone: end at once
  void config_changed(std::string kind, std::string name);
  bool is_over() const { return is_over_; }  // destroy it now

  struct LogSource {
    std::string path;
    std::shared_ptr<const RunningContainer> running;  // null: nothing more will be written
  };
  // BadRequest-like errors name the container and why.
  Result<std::shared_ptr<const RunningContainer>> running(std::string_view container) const;
  Result<LogSource> log_source(std::string_view container, bool is_previous) const;
  int net_fd() const;  // -1 without a sandbox; stays open as long as we do
  struct Process {
    std::string container;
    pid_t pid;
  };
  std::vector<Process> processes() const;
  const kube::Key& key() const { return key_; }
  const std::string& uid() const { return uid_; }

 private:
  enum class ProbeKind : unsigned char { kStartup, kLiveness, kReadiness };
  struct Probe {
    ProbeKind kind;
    Json spec;
    SteadyTime due;         // of the next try that counts
    SteadyTime next_try;    // no later than `due`: early tries count only when they succeed
    bool is_eager = false;  // until the first success
    bool is_in_flight = false;
    int successes = 0;
    int failures = 0;
  };
  struct Container {
    Json spec;
    std::string name;
    std::string image_id;  // once launched
    Role role = Role::kMain;
    std::shared_ptr<const RunningContainer> running;
    std::shared_ptr<const RunningContainer> previous;  // the last ended instance: its log
    Json state, last_state;
    int attempts = 0;  // launches so far; also the number of the next log file
    int restart_count = 0;
    int crashes = 0;  // in a row, for the back-off
    SteadyTime start_allowed_at{};
    SteadyTime started_at{};
    std::string started_stamp;
    int pull_failures = 0;
    bool is_hook_pending = false;  // postStart under way
    bool is_started = false;
    bool is_ready = false;
    bool is_stopping = false;
    bool is_term_sent = false;
    bool is_kill_sent = false;
    SteadyTime kill_at{};
    std::vector<Probe> probes;
  };

  void run();
  void turn();
  void ask_to_end();
  void wait();
  void adopt_spec();
  void restore_from_status();
  void publish();
  PodReport report() const;
  void wake_at(SteadyTime when) {
    if (when < next_wake_) next_wake_ = when;
  }
  SteadyTime now() const { return node_.clock.steady(); }
  std::string stamp() const { return format_rfc3339(node_.clock.wall()); }
  void event(Events::Type type, std::string_view reason, std::string message,
             const Container* about = nullptr);

  // pod_sync.cc
  bool ensure_sandbox();
  bool ensure_volumes();
  void sync_containers();
  bool sync_init(Container& container);
  void start_when_allowed(Container& container);
  void launch(Container& container);
  void launch_failed(Container& container, const LaunchError& error);
  bool may_restart(const Container& container) const;
  bool are_mains_done() const;
  void reap();
  void ended(Container& container, os::ExitStatus status);
  void set_back_off(Container& container);
  std::string termination_message(const Container& container, int exit_code) const;

  // pod_stop.cc
  void begin_stop(Container& container, seconds grace, std::string_view why);
  void enforce_stops();
  bool stop_all(seconds grace, std::string_view why);  // true once nothing runs
  void kill_all();
  void terminate();
  void finish();
  seconds grace_period() const;

  // pod_probes.cc
  void begin_probes(Container& container);
  void drive_probes();
  void probe_done(const std::string& container, int attempt, ProbeKind kind, bool is_early,
                  Outcome outcome);
  void run_hook(Container& container, const Json& handler, bool is_post_start);
  void hook_done(const std::string& container, int attempt, bool is_post_start, Outcome outcome);
  ProbeTarget target_for(const Container& container) const;
  void update_readiness(Container& container);
  Container* find(std::string_view name);

  NodeContext& node_;
  kube::ObjectPtr pod_;
  const kube::Key key_;
  const std::string uid_;
  const std::string pod_dir_;
  Launcher launcher_;
  Volumes volumes_;
  PodFacts facts_;
  std::shared_ptr<Mailbox> mailbox_ = std::make_shared<Mailbox>();
  std::vector<Container> containers_;
  std::unique_ptr<Sandbox> sandbox_;
  SteadyTime sandbox_retry_{};
  SteadyTime volumes_retry_{};
  bool are_volumes_ready_ = false;
  bool is_removed_ = false;
  bool is_finished_ = false;  // Succeeded or Failed
  bool is_failed_ = false;
  std::string reason_, message_;
  std::string start_time_;
  std::string pod_ip_;
  SteadyTime active_until_{SteadyTime::max()};
  SteadyTime next_wake_{};
  SteadyTime terminate_by_{SteadyTime::max()};
  Json published_;
  SteadyTime publish_retry_{};
  mutable std::mutex shared_mutex_;  // guards what other threads read: running, previous, sandbox_
  std::atomic<bool> is_over_ = false;
  std::atomic<bool> is_abandoned_ = false;  // the destructor wants the thread back
  std::thread thread_;
};

}  // namespace lateen::cluster::node
