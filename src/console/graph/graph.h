// The service graph: who calls whom, how often, how well. Built from Istio's standard metrics, pure
// and without I/O: samples in, graph out.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "console/graph/prometheus.h"

namespace lateen::console {

enum class GraphType : unsigned char { kVersionedApp, kApp, kWorkload, kService };
// "versionedApp" (also for unknown words), "app", "workload", "service": Kiali's names.
GraphType graph_type(std::string_view name);
std::string_view to_string(GraphType type);

enum class NodeType : unsigned char { kApp, kWorkload, kService, kUnknown };

// Requests per second by how they ended; bytes per second for TCP.
struct Traffic {
  double http = 0, http_3xx = 0, http_4xx = 0, http_5xx = 0, http_none = 0;
  double grpc = 0, grpc_errors = 0;
  double tcp = 0;
  double requests() const { return http + grpc; }
  // What counts against health: 5xx, no response at all, failed gRPC calls.
  double errors() const { return http_5xx + http_none + grpc_errors; }
};

struct Node {
  std::string id;  // stable between two looks at the mesh
  NodeType type = NodeType::kUnknown;
  std::string ns, app, version, workload, service;
  std::set<std::pair<std::string, std::string>> services;  // (namespace, name) it was called under
  Traffic in, out;
  bool is_root = true;       // nothing calls it
  bool is_external = false;  // PassthroughCluster, BlackHoleCluster, ServiceEntry hosts
};

struct Edge {
  std::string id, source, target;
  Traffic traffic;
  // code -> response flags -> requests per second.
  std::map<std::string, std::map<std::string, double>> responses;
  std::set<std::string> hosts;
  double p50_ms = -1, p95_ms = -1, p99_ms = -1;  // -1: unknown
  double mtls_percent = -1;                      // -1: unknown
};

struct Graph {
  GraphType type = GraphType::kVersionedApp;
  std::vector<Node> nodes;  // by id
  std::vector<Edge> edges;  // by id
};

// All by the labels in kEdgeLabels; durations one list per quantile.
struct GraphSamples {
  std::vector<Sample>
      requests;  // + request_protocol, response_code, grpc_response_status, response_flags
  std::vector<Sample> tcp_bytes;  // sent and received
  std::vector<Sample> p50, p95, p99;
  std::vector<Sample> security;  // + connection_security_policy, from the destination's reports
};

struct GraphOptions {
  GraphType type = GraphType::kVersionedApp;
  std::set<std::string> namespaces;  // empty: all; else edges with an end in one of them
  bool has_service_nodes = false;    // source -> service -> workload
};

Graph build_graph(const GraphSamples& samples, const GraphOptions& options);

// The PromQL for GraphSamples: `window` as "60s".
struct GraphQueries {
  std::string requests, tcp_bytes, p50, p95, p99, security;
};
GraphQueries graph_queries(const std::set<std::string>& namespaces, std::string_view window);

// Kiali's answer to api/namespaces/graph: cytoscape elements.
data::Json to_kiali_graph(const Graph& graph, std::int64_t now_s, std::int64_t window_s);

}  // namespace lateen::console
