// NodeAgent is the cluster's only node: it registers itself, keeps its lease, runs the pods bound
// to it, each on a thread of its own, and serves exec, attach, logs and port-forward to the API
// server.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "cluster/node/node_context.h"
#include "cluster/node/pod_worker.h"
#include "cluster/node/streams.h"
#include "kube/informer.h"

namespace lateen::cluster::node {

struct NodeOptions {
  std::string name = "lateen";
  std::string data_dir;
  std::string programs_dir;         // holds lateen, lateen-proxy, bookinfo
  std::string version = "v1.32.4";  // what `kubectl get nodes` shows
  bool is_single_user = false;
};

class NodeAgent final : public PodStreams {
 public:
  // `client` and `clock` outlive us. The calling thread's network namespace is the node's.
  NodeAgent(kube::Client& client, const Clock& clock, NodeOptions options);
  ~NodeAgent() override;

  // Sets up the network, registers the node, starts running pods.
  Result<> start();
  // Kills all containers and joins all threads; pods keep their status and start again with the
  // next agent.
  void stop();

  Result<std::unique_ptr<ExecSession>> exec(const ExecRequest& request) override;
  Result<std::unique_ptr<ExecSession>> attach(const ExecRequest& request) override;
  Result<> logs(const LogRequest& request, const Function<bool(std::string_view)>& sink,
                const Function<bool()>& should_stop) override;
  Result<Fd> port_forward(const kube::Key& pod, int port) override;

  images::Catalog& catalog() { return catalog_; }

 private:
  void pod_changed(const kube::Change& change);
  void config_changed(const kube::Change& change);
  std::shared_ptr<PodWorker> find(const kube::Key& pod);
  Result<> remove_strangers();
  Result<> register_node();
  Result<> post_status();
  Result<> renew_lease();
  Result<> heartbeat();
  void keep_house();
  void bury();
  void write_process_table();
  data::Json node_object() const;
  data::Json node_status() const;

  kube::Client& client_;
  const Clock& clock_;
  const NodeOptions options_;
  images::Catalog catalog_;
  images::Roots roots_;
  LogPump pump_;
  TaskPool tasks_;
  Events events_;
  IpPool ips_;
  std::unique_ptr<NodeContext> context_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::shared_ptr<PodWorker>> workers_;  // by pod uid
  bool is_stopping_ = false;
  std::optional<std::vector<std::int64_t>> written_pids_;  // of run/containers.json
  std::unique_ptr<kube::Informer> pods_, services_, config_maps_, secrets_;
  std::thread house_;
};

// `kubectl describe node`'s facts about this machine.
std::int64_t machine_memory_bytes();
int machine_cpus();

}  // namespace lateen::cluster::node
