// The document is up to date, rows name real fields, and no field is ignored in silence.

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/strings.h"
#include "proxy/api/field_check.h"
#include "proxy/filters/filter_test_support.h"

namespace lateen::proxy {
namespace {

constexpr const char* kDocument = "docs/envoy-api.md";  // tests run in the tree's root

// The messages that the core compiles, and the folders whose sources read them.
struct CoreType {
  const char* type;
  std::vector<std::string> folders;
};
const CoreType kCore[] = {
    {"envoy.config.bootstrap.v3.Bootstrap", {"server"}},
    {"envoy.config.listener.v3.Listener", {"listener"}},
    {"envoy.config.listener.v3.FilterChain", {"listener"}},
    {"envoy.config.listener.v3.FilterChainMatch", {"listener"}},
    {"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", {"network"}},
    {"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
     {"http", "trace"}},
    {"envoy.config.route.v3.RouteConfiguration", {"route"}},
    {"envoy.config.route.v3.VirtualHost", {"route"}},
    {"envoy.config.route.v3.Route", {"route"}},
    {"envoy.config.route.v3.RouteMatch", {"route"}},
    {"envoy.config.route.v3.RouteAction", {"route"}},
    {"envoy.config.route.v3.RouteAction.HashPolicy", {"route"}},
    {"envoy.config.route.v3.RouteAction.RequestMirrorPolicy", {"route"}},
    {"envoy.config.route.v3.RedirectAction", {"route"}},
    {"envoy.config.route.v3.WeightedCluster.ClusterWeight", {"route"}},
    {"envoy.config.route.v3.RetryPolicy", {"route"}},
    {"envoy.config.route.v3.HeaderMatcher", {"match"}},
    {"envoy.config.route.v3.QueryParameterMatcher", {"match"}},
    {"envoy.config.cluster.v3.Cluster", {"cluster"}},
    {"envoy.config.cluster.v3.Cluster.LbSubsetConfig", {"cluster"}},
    {"envoy.config.cluster.v3.CircuitBreakers.Thresholds", {"cluster"}},
    {"envoy.config.cluster.v3.OutlierDetection", {"cluster"}},
    {"envoy.config.core.v3.HealthCheck", {"cluster"}},
    {"envoy.config.endpoint.v3.LocalityLbEndpoints", {"cluster"}},
    {"envoy.config.endpoint.v3.LbEndpoint", {"cluster"}},
    {"envoy.config.endpoint.v3.Endpoint", {"cluster"}},
    {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions", {"cluster"}},
    {"envoy.config.core.v3.HttpProtocolOptions", {"cluster", "http"}},
    {"envoy.config.core.v3.Http2ProtocolOptions", {"cluster", "http"}},
    {"envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", {"secret", "cluster"}},
    {"envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", {"secret", "listener"}},
    {"envoy.extensions.transport_sockets.tls.v3.CommonTlsContext", {"secret"}},
    {"envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext", {"secret"}},
};

std::string sources_of(const std::vector<std::string>& folders) {
  std::string text;
  for (const auto& folder : folders)
    for (const auto& entry : std::filesystem::directory_iterator("src/proxy/" + folder)) {
      const std::string name = entry.path().filename();
      if (!name.ends_with(".cc") || name.ends_with("_test.cc")) continue;
      std::ifstream file(entry.path());
      text += std::string(std::istreambuf_iterator<char>(file), {});
    }
  return text;
}

// Whether the sources call an accessor of a field with that name, or look at its case of a oneof.
bool is_read(const std::string& sources, const std::string& field) {
  for (const std::string before : {".", "->", ".has_", "->has_"})
    for (const char* suffix : {"(", "_size("})
      if (sources.find(before + field + suffix) != std::string::npos) return true;
  std::string camel = "::k";
  for (const auto part : split(field, '_')) {
    if (part.empty()) continue;
    camel += static_cast<char>(part[0] >= 'a' && part[0] <= 'z' ? part[0] - 'a' + 'A' : part[0]);
    camel += part.substr(1);
  }
  return sources.find(camel + ":") != std::string::npos;
}

std::string core_section() {
  std::string out =
      "## Messages of the core\n\nBy the accessors that the sources of their compilers call. A "
      "field that is not read has no effect.\n\n| message | read | not read |\n| --- | --- | --- "
      "|\n";
  for (const CoreType& core : kCore) {
    const auto* type =
        google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(core.type);
    if (type == nullptr) {
      ADD_FAILURE() << core.type;
      continue;
    }
    const std::string sources = sources_of(core.folders);
    std::string read, unread;
    for (int i = 0; i < type->field_count(); ++i) {
      const std::string& name = type->field(i)->name();
      std::string& list = is_read(sources, name) ? read : unread;
      list += (list.empty() ? "" : ", ") + name;
    }
    out += "| `" + std::string(core.type) + "` | " + read + " | " + unread + " |\n";
  }
  return out;
}

// The tables of filters have to be exact. The core's section follows sources that change for other
// reasons: it is rewritten with the rest, and has to name each message.
TEST(EnvoyApi, TheDocumentIsUpToDate) {
  const std::string tables = api_document();
  const std::string core = core_section();
  if (std::getenv("LATEEN_WRITE_DOCS") != nullptr) std::ofstream(kDocument) << tables << core;
  std::ifstream file(kDocument);
  ASSERT_TRUE(file) << kDocument;
  const std::string held(std::istreambuf_iterator<char>(file), {});
  EXPECT_TRUE(held.starts_with(tables))
      << "run this test with LATEEN_WRITE_DOCS=1 to write " << kDocument;
  for (const CoreType& one : kCore) {
    EXPECT_NE(held.find("| `" + std::string(one.type) + "` | "), std::string::npos) << one.type;
    EXPECT_NE(core.find("| `" + std::string(one.type) + "` | "), std::string::npos) << one.type;
  }
}

TEST(EnvoyApi, RowsNameRealFields) {
  for (const auto table : {filter_fields(), common_fields(), log_fields()})
    for (const auto& row : table) {
      const auto* type = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(
          std::string(row.type));
      ASSERT_NE(type, nullptr) << row.type;
      for (const auto list : {row.honoured, row.harmless})
        for (const auto name : split(list, ' '))
          EXPECT_TRUE(name.empty() || type->FindFieldByName(std::string(name)) != nullptr)
              << row.type << "." << name;
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

}  // namespace
}  // namespace lateen::proxy
