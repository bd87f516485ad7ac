// The document is up to date, rows name real fields, and no field is ignored in silence.

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/strings.h"
#include "proxy/api/field_check.h"
#include "proxy/filters/filter_test_support.h"

namespace lateen::proxy {
namespace {

constexpr const char* kDocument = "docs/envoy-api.md";  // tests run in the tree's root

TEST(EnvoyApi, TheDocumentIsUpToDate) {
  if (std::getenv("LATEEN_WRITE_DOCS") != nullptr) std::ofstream(kDocument) << api_document();
  std::ifstream file(kDocument);
  ASSERT_TRUE(file) << kDocument;
  std::ostringstream held;
  held << file.rdbuf();
  EXPECT_TRUE(held.str() == api_document())
      << "run this test with LATEEN_WRITE_DOCS=1 to write " << kDocument;
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
