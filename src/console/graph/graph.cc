// From labelled samples to nodes and edges.
#include "console/graph/graph.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/strings.h"

namespace lateen::console {
namespace {

constexpr std::string_view kEdgeLabels =
    "source_workload_namespace,source_workload,source_canonical_service,source_canonical_revision,"
    "source_app,source_version,destination_workload_namespace,destination_workload,"
    "destination_canonical_service,destination_canonical_revision,destination_app,"
    "destination_version,destination_service,destination_service_name,"
    "destination_service_namespace";

std::string_view known(std::string_view value) {
  return value == "unknown" ? std::string_view() : value;
}

std::string_view first_known(const Sample& sample, std::string_view first,
                             std::string_view second) {
  const auto value = known(sample.label(first));
  return value.empty() ? known(sample.label(second)) : value;
}

class Builder {
 public:
  explicit Builder(const GraphOptions& options) : options_(options) {}

  void add_requests(const Sample& sample) {
    if (sample.value <= 0 || !is_wanted(sample)) return;
    Traffic traffic;
    const bool is_grpc = sample.label("request_protocol") == "grpc";
    const auto code = sample.label("response_code");
    if (is_grpc) {
      traffic.grpc = sample.value;
      const auto status = sample.label("grpc_response_status");
      const bool is_bad = status.empty() ? code != "200" : status != "0";
      if (is_bad) traffic.grpc_errors = sample.value;
    } else {
      traffic.http = sample.value;
      if (code.starts_with('3')) traffic.http_3xx = sample.value;
      if (code.starts_with('4')) traffic.http_4xx = sample.value;
      if (code.starts_with('5')) traffic.http_5xx = sample.value;
      if (code == "0" || code.empty()) traffic.http_none = sample.value;
    }
    for (Edge* edge : edges_of(sample)) {
      add(edge->traffic, traffic);
      auto flags = sample.label("response_flags");
      edge->responses[std::string(code.empty() ? "-" : code)]
                     [std::string(flags.empty() ? "-" : flags)] += sample.value;
      edge->hosts.insert(std::string(sample.label("destination_service")));
    }
  }

  void add_tcp(const Sample& sample) {
    if (sample.value <= 0 || !is_wanted(sample)) return;
    Traffic traffic;
    traffic.tcp = sample.value;
    for (Edge* edge : edges_of(sample)) add(edge->traffic, traffic);
  }

  // Several versions of a source may share an edge: the slowest is shown.
  void add_quantile(const Sample& sample, double Edge::*quantile) {
    if (!is_wanted(sample)) return;
    for (Edge* edge : existing_edges_of(sample)) {
      edge->*quantile = std::max(edge->*quantile, sample.value);
    }
  }

  void add_security(const Sample& sample) {
    if (sample.value <= 0 || !is_wanted(sample)) return;
    for (Edge* edge : existing_edges_of(sample)) {
      auto& [secure, all] = security_[edge->id];
      all += sample.value;
      if (sample.label("connection_security_policy") == "mutual_tls") secure += sample.value;
    }
  }

  Graph finish() {
    Graph graph;
    graph.type = options_.type;
    for (auto& [id, edge] : edges_) {
      const auto found = security_.find(id);
      if (found != security_.end() && found->second.second > 0) {
        edge.mtls_percent = 100 * found->second.first / found->second.second;
      }
      add(nodes_[edge.source].out, edge.traffic);
      add(nodes_[edge.target].in, edge.traffic);
      nodes_[edge.target].is_root = false;
      graph.edges.push_back(std::move(edge));
    }
    for (auto& [id, node] : nodes_) graph.nodes.push_back(std::move(node));
    return graph;
  }

 private:
  static void add(Traffic& to, const Traffic& more) {
    to.http += more.http;
    to.http_3xx += more.http_3xx;
    to.http_4xx += more.http_4xx;
    to.http_5xx += more.http_5xx;
    to.http_none += more.http_none;
    to.grpc += more.grpc;
    to.grpc_errors += more.grpc_errors;
    to.tcp += more.tcp;
  }

  bool is_wanted(const Sample& sample) const {
    if (options_.namespaces.empty()) return true;
    for (const auto label : {"source_workload_namespace", "destination_workload_namespace",
                             "destination_service_namespace"}) {
      if (options_.namespaces.contains(std::string(sample.label(label)))) return true;
    }
    return false;
  }

  Node workload_node(const Sample& sample, std::string_view side) const {
    const auto label = [&](std::string_view name) { return fmt::format("{}_{}", side, name); };
    Node node;
    node.workload = known(sample.label(label("workload")));
    node.ns = known(sample.label(label("workload_namespace")));
    node.app = first_known(sample, label("canonical_service"), label("app"));
    node.version = first_known(sample, label("canonical_revision"), label("version"));
    if (node.workload.empty() && node.app.empty()) return Node();
    if (options_.type == GraphType::kWorkload || node.app.empty()) {
      node.type = NodeType::kWorkload;
    } else {
      node.type = NodeType::kApp;
      if (options_.type == GraphType::kApp) node.version.clear();
      if (options_.type == GraphType::kApp) node.workload.clear();
    }
    return node;
  }

  static Node service_node(const Sample& sample) {
    Node node;
    node.service = known(sample.label("destination_service_name"));
    if (node.service.empty()) node.service = known(sample.label("destination_service"));
    if (node.service.empty()) return Node();
    node.type = NodeType::kService;
    node.ns = known(sample.label("destination_service_namespace"));
    node.is_external = node.service == "PassthroughCluster" || node.service == "BlackHoleCluster" ||
                       known(sample.label("destination_workload")).empty();
    return node;
  }

  static std::string key_of(const Node& node) {
    switch (node.type) {
      case NodeType::kApp: return fmt::format("app/{}/{}/{}", node.ns, node.app, node.version);
      case NodeType::kWorkload: return fmt::format("workload/{}/{}", node.ns, node.workload);
      case NodeType::kService: return fmt::format("service/{}/{}", node.ns, node.service);
      case NodeType::kUnknown: break;
    }
    return "unknown";
  }

  std::string intern(Node node, const Sample& sample, bool is_destination) {
    const std::string id = fmt::format("{:016x}", fnv1a64(key_of(node)));
    auto [entry, is_new] = nodes_.try_emplace(id, std::move(node));
    entry->second.id = id;
    if (!is_new) entry->second.is_external &= node.is_external;
    if (is_destination) {
      const auto service = known(sample.label("destination_service_name"));
      if (!service.empty()) {
        entry->second.services.emplace(known(sample.label("destination_service_namespace")),
                                       service);
      }
    }
    return id;
  }

  // The nodes that a call passes: caller, perhaps the service, callee.
  std::vector<Node> path_of(const Sample& sample) const {
    Node source = workload_node(sample, "source");
    Node service = service_node(sample);
    Node target = workload_node(sample, "destination");
    if (options_.type == GraphType::kService) {
      // A caller is shown as the service of its app's name.
      if (source.type != NodeType::kUnknown) {
        source.service = source.app.empty() ? source.workload : source.app;
        source.type = NodeType::kService;
        source.app = source.version = source.workload = "";
      }
      return {source, service.type == NodeType::kUnknown ? target : service};
    }
    if (target.type == NodeType::kUnknown) return {source, service};
    if (options_.has_service_nodes && service.type == NodeType::kService) {
      service.is_external = false;
      return {source, service, target};
    }
    return {source, target};
  }

  std::vector<Edge*> edges_of(const Sample& sample) {
    std::vector<Edge*> found;
    const auto path = path_of(sample);
    for (std::size_t i = 0; i + 1 < path.size(); ++i) {
      const std::string source = intern(path[i], sample, false);
      const std::string target = intern(path[i + 1], sample, true);
      const std::string id = fmt::format("{:016x}", fnv1a64(source + target));
      Edge& edge = edges_[id];
      edge.id = id;
      edge.source = source;
      edge.target = target;
      found.push_back(&edge);
    }
    return found;
  }

  std::vector<Edge*> existing_edges_of(const Sample& sample) {
    std::vector<Edge*> found;
    const auto path = path_of(sample);
    for (std::size_t i = 0; i + 1 < path.size(); ++i) {
      const std::string source = fmt::format("{:016x}", fnv1a64(key_of(path[i])));
      const std::string target = fmt::format("{:016x}", fnv1a64(key_of(path[i + 1])));
      const auto edge = edges_.find(fmt::format("{:016x}", fnv1a64(source + target)));
      if (edge != edges_.end()) found.push_back(&edge->second);
    }
    return found;
  }

  const GraphOptions& options_;
  std::map<std::string, Node> nodes_;
  std::map<std::string, Edge> edges_;
  std::map<std::string, std::pair<double, double>> security_;  // edge -> mTLS, all
};

// Regular expression of the names; they are DNS labels, so only '.' could need care and has none.
std::string alternatives(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    if (!text.empty()) text += "|";
    for (const char c : name) {
      const bool is_plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
      if (is_plain) text += c;
    }
  }
  return text;
}

}  // namespace

GraphType graph_type(std::string_view name) {
  if (name == "app") return GraphType::kApp;
  if (name == "workload") return GraphType::kWorkload;
  if (name == "service") return GraphType::kService;
  return GraphType::kVersionedApp;
}

std::string_view to_string(GraphType type) {
  switch (type) {
    case GraphType::kApp: return "app";
    case GraphType::kWorkload: return "workload";
    case GraphType::kService: return "service";
    case GraphType::kVersionedApp: break;
  }
  return "versionedApp";
}

Graph build_graph(const GraphSamples& samples, const GraphOptions& options) {
  Builder builder(options);
  for (const Sample& sample : samples.requests) builder.add_requests(sample);
  for (const Sample& sample : samples.tcp_bytes) builder.add_tcp(sample);
  for (const Sample& sample : samples.p50) builder.add_quantile(sample, &Edge::p50_ms);
  for (const Sample& sample : samples.p95) builder.add_quantile(sample, &Edge::p95_ms);
  for (const Sample& sample : samples.p99) builder.add_quantile(sample, &Edge::p99_ms);
  for (const Sample& sample : samples.security) builder.add_security(sample);
  return builder.finish();
}

GraphQueries graph_queries(const std::set<std::string>& namespaces, std::string_view window) {
  // The source's report is taken where there is one; a caller outside of the mesh is known only to
  // the destination.
  const auto selectors = [&](std::string_view reporter) {
    std::vector<std::string> list;
    if (namespaces.empty()) return std::vector<std::string>{std::string(reporter)};
    const std::string names = alternatives(namespaces);
    list.push_back(fmt::format("{},source_workload_namespace=~\"{}\"", reporter, names));
    list.push_back(
        fmt::format("{},source_workload_namespace!~\"{}\",destination_service_namespace=~\"{}\"",
                    reporter, names, names));
    return list;
  };
  const auto rates = [&](std::string_view metric, const std::vector<std::string>& reporters,
                         std::string_view by) {
    std::string text;
    for (const std::string& reporter : reporters) {
      for (const std::string& selector : selectors(reporter)) {
        if (!text.empty()) text += " or ";
        text += fmt::format("sum by ({}) (rate({}{{{}}}[{}]))", by, metric, selector, window);
      }
    }
    return text;
  };
  const std::vector<std::string> both = {"reporter=\"source\"",
                                         "reporter=\"destination\",source_workload=\"unknown\""};
  const std::string edge(kEdgeLabels);
  const auto quantile = [&](std::string_view q) {
    return fmt::format("histogram_quantile({}, {})", q,
                       rates("istio_request_duration_milliseconds_bucket", both, edge + ",le"));
  };
  GraphQueries queries;
  queries.requests =
      rates("istio_requests_total", both,
            edge + ",request_protocol,response_code,grpc_response_status,response_flags");
  queries.tcp_bytes = fmt::format("({}) + ({})", rates("istio_tcp_sent_bytes_total", both, edge),
                                  rates("istio_tcp_received_bytes_total", both, edge));
  queries.p50 = quantile("0.5");
  queries.p95 = quantile("0.95");
  queries.p99 = quantile("0.99");
  queries.security = rates("istio_requests_total", {"reporter=\"destination\""},
                           edge + ",connection_security_policy");
  return queries;
}

}  // namespace lateen::console
