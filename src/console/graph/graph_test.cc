// The graph from samples as Prometheus sends them.
#include "console/graph/graph.h"

#include <gtest/gtest.h>

namespace lateen::console {
namespace {

struct Call {
  std::string from, from_version, to, to_version;
  double rate = 1;
  std::string code = "200", flags = "-";
};

Sample sample_of(const Call& call) {
  Sample sample;
  const bool is_gateway = call.from == "istio-ingressgateway";
  auto& l = sample.labels;
  l["source_workload"] =
      is_gateway || call.from == "unknown" ? call.from : call.from + "-" + call.from_version;
  l["source_workload_namespace"] = call.from == "unknown" ? "unknown"
                                   : is_gateway           ? "istio-system"
                                                          : "default";
  l["source_canonical_service"] = call.from;
  l["source_canonical_revision"] = call.from_version;
  l["destination_workload"] = call.to + "-" + call.to_version;
  l["destination_workload_namespace"] = "default";
  l["destination_canonical_service"] = call.to;
  l["destination_canonical_revision"] = call.to_version;
  l["destination_service"] = call.to + ".default.svc.cluster.local";
  l["destination_service_name"] = call.to;
  l["destination_service_namespace"] = "default";
  l["request_protocol"] = "http";
  l["response_code"] = call.code;
  l["response_flags"] = call.flags;
  sample.value = call.rate;
  return sample;
}

GraphSamples bookinfo() {
  GraphSamples samples;
  const Call calls[] = {{"istio-ingressgateway", "latest", "productpage", "v1", 3},
                        {"productpage", "v1", "details", "v1", 3},
                        {"productpage", "v1", "reviews", "v1", 1},
                        {"productpage", "v1", "reviews", "v2", 1},
                        {"productpage", "v1", "reviews", "v3", 1},
                        {"reviews", "v2", "ratings", "v1", 1},
                        {"reviews", "v3", "ratings", "v1", 0.5},
                        {"reviews", "v3", "ratings", "v1", 0.5, "503", "UH"}};
  for (const Call& call : calls) samples.requests.push_back(sample_of(call));
  return samples;
}

const Node* find_node(const Graph& graph, std::string_view app, std::string_view version = "") {
  for (const Node& node : graph.nodes) {
    const bool is_app = node.app == app || node.service == app || node.workload == app;
    if (is_app && (version.empty() || node.version == version)) return &node;
  }
  return nullptr;
}

const Edge* find_edge(const Graph& graph, const Node* from, const Node* to) {
  for (const Edge& edge : graph.edges) {
    if (edge.source == from->id && edge.target == to->id) return &edge;
  }
  return nullptr;
}

TEST(GraphTest, ShowsBookinfoByVersion) {
  const Graph graph = build_graph(bookinfo(), {});
  EXPECT_EQ(graph.nodes.size(), 7u);
  EXPECT_EQ(graph.edges.size(), 7u);
  const Node* page = find_node(graph, "productpage");
  const Node* v3 = find_node(graph, "reviews", "v3");
  const Node* ratings = find_node(graph, "ratings");
  const Node* gateway = find_node(graph, "istio-ingressgateway");
  ASSERT_TRUE(page && v3 && ratings && gateway);
  EXPECT_TRUE(gateway->is_root);
  EXPECT_FALSE(page->is_root);
  EXPECT_DOUBLE_EQ(page->in.http, 3);
  EXPECT_DOUBLE_EQ(page->out.http, 6);
  EXPECT_EQ(page->services.count({"default", "productpage"}), 1u);
  const Edge* edge = find_edge(graph, v3, ratings);
  ASSERT_TRUE(edge);
  EXPECT_DOUBLE_EQ(edge->traffic.http, 1);
  EXPECT_DOUBLE_EQ(edge->traffic.http_5xx, 0.5);
  EXPECT_DOUBLE_EQ(edge->traffic.errors(), 0.5);
  EXPECT_DOUBLE_EQ(edge->responses.at("503").at("UH"), 0.5);
}

TEST(GraphTest, FoldsVersionsAndPutsServicesBetween) {
  GraphOptions options;
  options.type = GraphType::kApp;
  const Graph apps = build_graph(bookinfo(), options);
  EXPECT_EQ(apps.nodes.size(), 5u);
  EXPECT_DOUBLE_EQ(
      find_edge(apps, find_node(apps, "productpage"), find_node(apps, "reviews"))->traffic.http, 3);

  options.type = GraphType::kWorkload;
  EXPECT_EQ(find_node(build_graph(bookinfo(), options), "reviews-v2")->type, NodeType::kWorkload);

  options.type = GraphType::kService;
  const Graph services = build_graph(bookinfo(), options);
  EXPECT_EQ(services.nodes.size(), 5u);
  EXPECT_TRUE(find_edge(services, find_node(services, "reviews"), find_node(services, "ratings")));

  options.type = GraphType::kVersionedApp;
  options.has_service_nodes = true;
  const Graph both = build_graph(bookinfo(), options);
  EXPECT_EQ(both.nodes.size(), 11u);  // and four services
}

TEST(GraphTest, KeepsToTheNamespacesAsked) {
  GraphOptions options;
  options.namespaces = {"istio-system"};
  const Graph graph = build_graph(bookinfo(), options);
  EXPECT_EQ(graph.nodes.size(), 2u);
  EXPECT_EQ(graph.edges.size(), 1u);
}

TEST(GraphTest, CallersOutsideAndUnreachableServices) {
  GraphSamples samples;
  samples.requests.push_back(sample_of({"unknown", "unknown", "ratings", "v1", 2}));
  Sample nowhere = sample_of({"productpage", "v1", "reviews", "v1", 1, "503", "UH"});
  for (const char* label : {"destination_workload", "destination_workload_namespace",
                            "destination_canonical_service", "destination_canonical_revision"}) {
    nowhere.labels[label] = "unknown";
  }
  samples.requests.push_back(nowhere);
  const Graph graph = build_graph(samples, {});
  ASSERT_EQ(graph.nodes.size(), 4u);
  const Node* service = find_node(graph, "reviews");
  EXPECT_EQ(service->type, NodeType::kService);
  EXPECT_DOUBLE_EQ(service->in.errors(), 1);
  EXPECT_TRUE(std::any_of(graph.nodes.begin(), graph.nodes.end(),
                          [](const Node& node) { return node.type == NodeType::kUnknown; }));
}

TEST(GraphTest, DurationsSecurityAndTcp) {
  GraphSamples samples = bookinfo();
  Sample slow = sample_of({"productpage", "v1", "details", "v1", 42});
  samples.p95 = {slow};
  Sample secure = sample_of({"productpage", "v1", "details", "v1", 3});
  secure.labels["connection_security_policy"] = "mutual_tls";
  Sample plain = sample_of({"productpage", "v1", "details", "v1", 1});
  plain.labels["connection_security_policy"] = "none";
  samples.security = {secure, plain};
  samples.tcp_bytes = {sample_of({"ratings", "v1", "mongodb", "v1", 1024})};
  const Graph graph = build_graph(samples, {});
  const Edge* edge = find_edge(graph, find_node(graph, "productpage"), find_node(graph, "details"));
  EXPECT_DOUBLE_EQ(edge->p95_ms, 42);
  EXPECT_DOUBLE_EQ(edge->mtls_percent, 75);
  const Edge* tcp = find_edge(graph, find_node(graph, "ratings"), find_node(graph, "mongodb"));
  ASSERT_TRUE(tcp);
  EXPECT_DOUBLE_EQ(tcp->traffic.tcp, 1024);

  const data::Json json = to_kiali_graph(graph, 1000, 60);
  bool is_found = false;
  for (const data::Json& one : data::get_array(json, {"elements", "edges"})) {
    if (data::get_string(one, {"data", "id"}) != edge->id) continue;
    is_found = true;
    EXPECT_EQ(data::get_string(one, {"data", "responseTime"}), "42");
    EXPECT_EQ(data::get_string(one, {"data", "isMTLS"}), "75");
    EXPECT_EQ(data::get_string(one, {"data", "traffic", "rates", "http"}), "3.00");
    EXPECT_EQ(data::get_string(one, {"data", "traffic", "rates", "httpPercentReq"}), "50.0");
    EXPECT_EQ(data::get_string(one, {"data", "traffic", "responses", "200", "flags", "-"}),
              "100.0");
  }
  EXPECT_TRUE(is_found);
}

TEST(PrometheusTest, ReadsVectorsAndErrors) {
  const auto samples = parse_vector(
      R"({"status":"success","data":{"resultType":"vector","result":[
          {"metric":{"a":"b"},"value":[1,"2.5"]},{"metric":{"a":"c"},"value":[1,"NaN"]}]}})");
  ASSERT_TRUE(samples.ok());
  ASSERT_EQ(samples.value().size(), 1u);
  EXPECT_EQ(samples.value()[0].label("a"), "b");
  EXPECT_DOUBLE_EQ(samples.value()[0].value, 2.5);
  EXPECT_FALSE(parse_vector(R"({"status":"error","error":"parse error"})").ok());
  EXPECT_FALSE(parse_vector("<html>").ok());
}

TEST(PrometheusTest, QueriesNameNamespacesSafely) {
  const auto queries = graph_queries({"default", "a\"}b"}, "60s");
  EXPECT_NE(queries.requests.find(R"(=~"ab|default")"), std::string::npos);
  EXPECT_EQ(graph_queries({}, "60s").requests.find("namespace=~"), std::string::npos);
}

}  // namespace
}  // namespace lateen::console
