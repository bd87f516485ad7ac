// The embedded cluster's API server: Kubernetes' REST API on SQLite, over TLS for kubectl and
// in-cluster clients, and straight through function calls for the components of the same process.
//
// Threads: one network loop, a bounded pool for handlers, one thread per exec/attach/logs stream.
// Callers of local_transport() run handlers on their own thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "cluster/node/streams.h"
#include "kube/client.h"
#include "net/socket.h"

namespace lateen::cluster::apiserver {

struct ApiServerOptions {
  std::string data_dir;       // made when missing; holds state.db and pki/
  std::vector<Fd> listening;  // bound and listening; all serve the same TLS API
  std::vector<std::string>
      extra_sans;  // DNS names and IPs besides localhost, 127.0.0.1, 10.96.0.1, kubernetes.default…
  net::Address
      advertised;  // what Service default/kubernetes points to (its Endpoints); port 0: none yet
  std::string service_cidr =
      "10.96.0.0/16";  // ClusterIPs; .0.1 is kubernetes, .0.10 is left for kube-dns
  std::string cluster_domain = "cluster.local";
  int first_node_port = 30000;
  int last_node_port = 32767;
  std::int64_t kept_revisions = 10'000;  // older ones are compacted: watches from them get 410
  // Where webhooks' service references lead: "ip:port" for a Service's port. Empty: a ready
  // endpoint of the Service.
  Function<Result<std::string>(std::string_view ns, std::string_view name, int port)>
      resolve_service;
};

class ApiServer {
 public:
  // `clock` outlives the server.
  ApiServer(ApiServerOptions options, const Clock& clock);
  ~ApiServer();  // stops

  // Opens the state, makes the cluster CA and keys when missing, bootstraps namespaces, roles and
  // the kubernetes Service, then serves. Fails with a message for the user when the data directory
  // is unusable.
  Result<> start();
  // Ends watches and connections and joins all threads. Idempotent.
  void stop();

  // Exec, attach, logs and port-forward fail with 503 until set. `streams` outlives the server or
  // the next call.
  void set_streams(PodStreams* streams);
  // The Endpoints of Service default/kubernetes; callable after start().
  Result<> set_advertised(const net::Address& address);

  // Calls this server without a socket, as `user` of group system:masters. Valid while the server
  // lives.
  std::unique_ptr<kube::Transport> local_transport(std::string user = "system:lateen");

  // An admin kubeconfig with an embedded client certificate (group system:masters), current-context
  // `context`.
  Result<std::string> kubeconfig(const std::string& server_url, const std::string& context) const;
  std::string ca_pem() const;  // the cluster CA (kube-root-ca.crt)

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lateen::cluster::apiserver
