// The document is up to date, rows name real fields, and no field is ignored in silence.

#include <google/protobuf/descriptor.h>
#include <google/protobuf/unknown_field_set.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>

#include "base/strings.h"
#include "proxy/api/field_check.h"
#include "proxy/filters/filter_test_support.h"

namespace lateen::proxy {
namespace {

const google::protobuf::Descriptor* descriptor_of(std::string_view type) {
  return google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(
      std::string(type));
}

constexpr const char* kDocument = "docs/envoy-api.md";  // tests run in the tree's root

TEST(EnvoyApi, TheDocumentIsUpToDate) {
  const std::string made = api_document();
  if (std::getenv("LATEEN_WRITE_DOCS") != nullptr) std::ofstream(kDocument) << made;
  std::ifstream file(kDocument);
  ASSERT_TRUE(file) << kDocument;
  const std::string held(std::istreambuf_iterator<char>(file), {});
  EXPECT_EQ(held, made) << "run this test with LATEEN_WRITE_DOCS=1 to write " << kDocument;
}

TEST(EnvoyApi, RowsNameRealFieldsOnce) {
  std::set<std::string_view> seen;
  for (const auto& table : field_tables())
    for (const auto& row : table.rows) {
      EXPECT_TRUE(seen.insert(row.type).second) << row.type << " has two rows";
      const auto* type = descriptor_of(row.type);
      ASSERT_NE(type, nullptr) << row.type;
      std::set<std::string_view> fields;
      for (const auto list : {row.honoured, row.harmless})
        for (const auto name : split(list, ' ')) {
          if (name.empty()) continue;
          EXPECT_NE(type->FindFieldByName(std::string(name)), nullptr) << row.type << "." << name;
          EXPECT_TRUE(fields.insert(name).second) << row.type << "." << name << " twice";
        }
    }
}

// Whatever a message with a row holds and honours has a row itself: else its fields would be
// ignored in silence.
TEST(EnvoyApi, WhatAHonouredFieldHoldsHasARow) {
  std::set<std::string_view> rows;
  for (const auto& table : field_tables())
    for (const auto& row : table.rows) rows.insert(row.type);
  for (const auto& table : field_tables())
    for (const auto& row : table.rows)
      for (const auto name : split(row.honoured, ' ')) {
        const auto* type = descriptor_of(row.type);
        const auto* field = type == nullptr ? nullptr : type->FindFieldByName(std::string(name));
        const auto* held = field == nullptr ? nullptr : field->message_type();
        if (held == nullptr || held->file()->package() == "google.protobuf" ||
            held->options().map_entry() || held->file()->package().starts_with("google.api"))
          continue;
        EXPECT_TRUE(rows.contains(held->full_name()))
            << row.type << "." << name << ": " << held->full_name() << " has no row";
      }
}

TEST(EnvoyApi, FieldsWithoutEffectAreRefusedByName) {
  using testing::filter;
  testing::FilterBench bench;
  const std::string error =
      bench.configure(filter("rl", "envoy.extensions.filters.http.router.v3.Router",
                             R"("strict_check_headers": ["x-envoy-max-retries"])"));
  EXPECT_NE(error.find("field 'strict_check_headers' of envoy.extensions.filters.http.router.v3"),
            std::string::npos)
      << error;
  // Deep inside, with the way to it.
  const std::string deep = bench.configure(
      filter("p", "envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
             R"("grpc_service": {"envoy_grpc": {"cluster_name": "c", "retry_policy": {}}})"));
  EXPECT_NE(deep.find("'grpc_service.envoy_grpc.retry_policy'"), std::string::npos) << deep;
  EXPECT_NE(bench.configure(filter("w", "envoy.extensions.filters.http.wasm.v3.Wasm", ""))
                .find("wasm.v3.Wasm is not supported"),
            std::string::npos);
}

// What fields of the core ask and is not done here.
TEST(EnvoyApi, TheCoreRefusesByName) {
  testing::FilterBench bench;
  const auto refused = [&](const std::string& error, const std::string& field) {
    EXPECT_NE(error.find("'" + field + "'"), std::string::npos) << field << ": " << error;
  };
  refused(bench.configure("", "", R"("route": {"cluster": "app"})", R"("proxy_status_config": {})"),
          "proxy_status_config");
  refused(bench.configure("", R"("filter_action": {})", R"("name": "x")"),
          "route_config.virtual_hosts[0].routes[0].filter_action");
  refused(bench.configure("", "", R"("route": {"cluster": "app", "retry_policy": {
      "retry_options_predicates": [{"name": "a"}]}})"),
          "route_config.virtual_hosts[0].routes[0].route.retry_policy.retry_options_predicates");
  const auto cluster_error = [](const std::string& fields) {
    envoy::config::cluster::v3::Cluster config;
    testing::FilterBench::read(R"({"name": "c", )" + fields + "}", config);
    const auto made = ClusterConfig::compile(config);
    return made.ok() ? std::string() : made.error().message();
  };
  refused(cluster_error(R"("lrs_server": {"self": {}})"), "lrs_server");
  refused(cluster_error(R"("load_assignment": {"endpoints": [{"lb_endpoints": [{"endpoint":
      {"health_check_config": {"port_value": 1}}}]}]})"),
          "load_assignment.endpoints[0].lb_endpoints[0].endpoint.health_check_config.port_value");
  refused(cluster_error(R"("transport_socket": {"name": "t", "typed_config": {"@type":
      "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
      "common_tls_context": {"key_log": {"path": "/tmp/k"}}}})"),
          "common_tls_context.key_log");
  EXPECT_NE(cluster_error(R"("type": "EDS", "eds_cluster_config": {"eds_config":
      {"api_config_source": {"api_type": "GRPC"}}})")
                .find("eds_config: only the aggregated stream"),
            std::string::npos);
  // Without effect: accepted.
  EXPECT_EQ(cluster_error(R"("track_cluster_stats": {"per_endpoint_stats": true})"), "");
}

// A field of a later API, which these descriptors do not know.
TEST(EnvoyApi, UnknownFieldsAreRefusedByNumber) {
  envoy::config::cluster::v3::Cluster config;
  config.set_name("c");
  config.GetReflection()->MutableUnknownFields(&config)->AddVarint(4711, 1);
  const auto made = ClusterConfig::compile(config);
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.error().message().find("field number 4711 of envoy.config.cluster.v3.Cluster"),
            std::string::npos)
      << made.error().message();
}

}  // namespace
}  // namespace lateen::proxy
