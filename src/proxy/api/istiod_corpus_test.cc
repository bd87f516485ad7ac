// What a stock istiod sent in `./dev peers`, one of each shape (tests/corpus/istiod), is taken: no
// field of it is refused.

#include <gtest/gtest.h>

#include <fstream>

#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "proxy/api/field_check.h"
#include "proxy/filters/filter_test_support.h"
#include "proxy/filters/registry.h"
#include "proxy/listener/config.h"
#include "xds/any.h"

namespace lateen::proxy {
namespace {

Result<> compile(testing::FilterBench& bench, const google::protobuf::Any& any) {
  const std::string type = xds::carried_type(any);
  CompileContext context;
  context.logs = &bench.logs;
  context.shared = &bench.shared;
  context.main = &bench.worker;
  if (type.ends_with(".Cluster")) {
    TRY(ClusterConfig::compile(TRY(xds::unpack<envoy::config::cluster::v3::Cluster>(any))));
    return {};
  }
  if (type.ends_with(".Listener")) {
    TRY(ListenerConfig::compile(TRY(xds::unpack<envoy::config::listener::v3::Listener>(any)),
                                context, nullptr));
    return {};
  }
  if (type.ends_with(".RouteConfiguration")) {
    const auto filter = [&](const std::string& name, const void* settings) {
      return compile_route_filter(name, *static_cast<const google::protobuf::Any*>(settings),
                                  context);
    };
    TRY(RouteTable::compile(TRY(xds::unpack<envoy::config::route::v3::RouteConfiguration>(any)),
                            filter));
    return {};
  }
  return check_fields(any);
}

TEST(EnvoyApi, WhatAStockIstiodSendsIsTaken) {
  std::ifstream file("tests/corpus/istiod/resources.jsonl");
  ASSERT_TRUE(file);
  testing::FilterBench bench;
  std::string line;
  int count = 0;
  while (std::getline(file, line)) {
    google::protobuf::Any any;
    testing::FilterBench::read(line, any);
    const auto done = compile(bench, any);
    // Filters of extension discovery come beside their listeners.
    if (!done.ok() && done.error().message().find("(ECDS)") != std::string::npos) continue;
    EXPECT_TRUE(done.ok()) << (done.ok() ? "" : done.error().message()) << "\n"
                           << line.substr(0, 300);
    ++count;
  }
  EXPECT_GT(count, 30);
}

}  // namespace
}  // namespace lateen::proxy
