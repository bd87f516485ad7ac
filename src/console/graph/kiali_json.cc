// The graph in Kiali's JSON. Rates are text with two digits, as there; shares are percentages.
#include <fmt/core.h>

#include "console/graph/graph.h"

namespace lateen::console {
namespace {

std::string rate(double value) { return fmt::format("{:.2f}", value); }

void put(data::JsonObject& into, std::string_view key, double value) {
  if (value > 0) into[key] = rate(value);
}

std::string_view to_string(NodeType type) {
  switch (type) {
    case NodeType::kApp: return "app";
    case NodeType::kWorkload: return "workload";
    case NodeType::kService: return "service";
    case NodeType::kUnknown: break;
  }
  return "unknown";
}

void add_protocol(data::JsonArray& list, std::string_view protocol, data::JsonObject rates) {
  if (rates.empty()) return;
  list.push_back({{"protocol", data::Json(protocol)}, {"rates", std::move(rates)}});
}

data::JsonArray node_traffic(const Node& node) {
  data::JsonArray list;
  data::JsonObject http;
  put(http, "httpIn", node.in.http);
  put(http, "httpIn3xx", node.in.http_3xx);
  put(http, "httpIn4xx", node.in.http_4xx);
  put(http, "httpIn5xx", node.in.http_5xx);
  put(http, "httpInNoResponse", node.in.http_none);
  put(http, "httpOut", node.out.http);
  add_protocol(list, "http", std::move(http));
  data::JsonObject grpc;
  put(grpc, "grpcIn", node.in.grpc);
  put(grpc, "grpcInErr", node.in.grpc_errors);
  put(grpc, "grpcOut", node.out.grpc);
  add_protocol(list, "grpc", std::move(grpc));
  data::JsonObject tcp;
  put(tcp, "tcpIn", node.in.tcp);
  put(tcp, "tcpOut", node.out.tcp);
  add_protocol(list, "tcp", std::move(tcp));
  return list;
}

data::JsonObject node_data(const Node& node) {
  data::JsonObject out{{"id", node.id},
                       {"nodeType", data::Json(to_string(node.type))},
                       {"cluster", "Kubernetes"},
                       {"namespace", node.ns.empty() ? "unknown" : node.ns},
                       {"traffic", node_traffic(node)}};
  if (!node.app.empty()) out["app"] = node.app;
  if (!node.version.empty()) out["version"] = node.version;
  if (!node.workload.empty()) out["workload"] = node.workload;
  if (!node.service.empty()) out["service"] = node.service;
  data::JsonArray services;
  for (const auto& [ns, name] : node.services) {
    services.push_back({{"cluster", "Kubernetes"}, {"namespace", ns}, {"name", name}});
  }
  if (!services.empty()) out["destServices"] = std::move(services);
  if (node.is_root) out["isRoot"] = true;
  if (node.is_external) out["isOutside"] = true;
  if (node.type == NodeType::kUnknown) out["isInaccessible"] = true;
  return out;
}

data::JsonObject responses_of(const Edge& edge) {
  const double all = edge.traffic.requests();
  data::JsonObject responses;
  for (const auto& [code, flags] : edge.responses) {
    data::JsonObject shares;
    for (const auto& [flag, value] : flags) {
      shares[flag] = fmt::format("{:.1f}", all > 0 ? 100 * value / all : 0);
    }
    data::JsonObject hosts;
    for (const std::string& host : edge.hosts) hosts[host] = "100.0";
    responses[code] = {{"flags", std::move(shares)}, {"hosts", std::move(hosts)}};
  }
  return responses;
}

data::JsonObject edge_traffic(const Edge& edge, double source_out) {
  const Traffic& t = edge.traffic;
  data::JsonObject rates;
  std::string_view protocol = "http";
  if (t.grpc > t.http) {
    protocol = "grpc";
    put(rates, "grpc", t.grpc);
    put(rates, "grpcErr", t.grpc_errors);
    if (t.grpc > 0) rates["grpcPercentErr"] = fmt::format("{:.1f}", 100 * t.grpc_errors / t.grpc);
  } else if (t.http > 0) {
    put(rates, "http", t.http);
    put(rates, "http3xx", t.http_3xx);
    put(rates, "http4xx", t.http_4xx);
    put(rates, "http5xx", t.http_5xx);
    put(rates, "httpNoResponse", t.http_none);
    const double bad = t.http_5xx + t.http_none;
    if (bad > 0) rates["httpPercentErr"] = fmt::format("{:.1f}", 100 * bad / t.http);
    if (source_out > 0) rates["httpPercentReq"] = fmt::format("{:.1f}", 100 * t.http / source_out);
  } else {
    protocol = "tcp";
  }
  put(rates, "tcp", t.tcp);
  return {{"protocol", data::Json(protocol)},
          {"rates", std::move(rates)},
          {"responses", responses_of(edge)}};
}

data::JsonObject edge_data(const Edge& edge, double source_out) {
  data::JsonObject out{{"id", edge.id},
                       {"source", edge.source},
                       {"target", edge.target},
                       {"traffic", edge_traffic(edge, source_out)}};
  if (edge.p95_ms >= 0) out["responseTime"] = fmt::format("{:.0f}", edge.p95_ms);
  data::JsonObject quantiles;
  if (edge.p50_ms >= 0) quantiles["p50"] = edge.p50_ms;
  if (edge.p95_ms >= 0) quantiles["p95"] = edge.p95_ms;
  if (edge.p99_ms >= 0) quantiles["p99"] = edge.p99_ms;
  if (!quantiles.empty()) out["quantiles"] = std::move(quantiles);
  if (edge.mtls_percent >= 0) out["isMTLS"] = fmt::format("{:.0f}", edge.mtls_percent);
  return out;
}

}  // namespace

data::Json to_kiali_graph(const Graph& graph, std::int64_t now_s, std::int64_t window_s) {
  data::JsonArray nodes, edges;
  std::map<std::string, double> out_of;
  for (const Node& node : graph.nodes) {
    out_of[node.id] = node.out.http;
    nodes.push_back(data::JsonObject{{"data", node_data(node)}});
  }
  for (const Edge& edge : graph.edges) {
    edges.push_back(data::JsonObject{{"data", edge_data(edge, out_of[edge.source])}});
  }
  return {{"timestamp", now_s},
          {"duration", window_s},
          {"graphType", data::Json(to_string(graph.type))},
          {"elements", {{"nodes", std::move(nodes)}, {"edges", std::move(edges)}}}};
}

}  // namespace lateen::console
