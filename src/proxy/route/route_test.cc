// Virtual host and route selection, rewrites of paths, header rules, retry conditions.

#include "proxy/route/route.h"

#include <gtest/gtest.h>

#include "envoy/config/route/v3/route.pb.h"
#include "xds/json.h"

namespace lateen::proxy {
namespace {

std::shared_ptr<const RouteTable> table_of(const std::string& json) {
  envoy::config::route::v3::RouteConfiguration config;
  const auto read = xds::from_json(*data::parse_json(json), config);
  EXPECT_TRUE(read.ok()) << (read.ok() ? "" : read.error().message());
  auto table =
      RouteTable::compile(config, [](const std::string&, const void*) -> Result<RouteFilterEntry> {
        return RouteFilterEntry();
      });
  EXPECT_TRUE(table.ok()) << (table.ok() ? "" : table.error().message());
  return table.ok() ? *table : nullptr;
}

const data::JsonObject kNoMetadata;
const std::map<std::string, std::string, std::less<>> kNoState;

std::string find(const RouteTable& table, std::string_view authority, std::string_view path,
                 const std::vector<std::pair<std::string_view, std::string_view>>& headers = {},
                 std::uint64_t random = 0) {
  Arena arena;
  http::Request request(arena);
  request.method = "GET";
  request.authority = authority;
  request.path = path;
  for (const auto& [name, value] : headers) request.headers.add(name, value);
  const VirtualHost* host = table.find_host(authority);
  if (host == nullptr) return "no host";
  const Route* route = table.find_route(*host, request, {kNoMetadata, kNoState, nullptr, random});
  return route == nullptr ? host->name + "/none" : host->name + "/" + route->name;
}

std::string host(const std::string& name, const std::string& domains) {
  return R"({"name": ")" + name + R"(", "domains": )" + domains +
         R"(, "routes": [{"name": "r", "match": {"prefix": "/"}, "direct_response": {"status": 200}}]})";
}

TEST(Routes, PickTheMostSpecificDomain) {
  const auto table = table_of(
      R"({"virtual_hosts": [)" + host("exact", R"(["a.example.com", "a.example.com:80"])") + "," +
      host("suffix", R"(["*.example.com"])") + "," + host("longer", R"(["*.b.example.com"])") +
      "," + host("prefix", R"(["reviews.*"])") + "," + host("any", R"(["*"])") + "]}");
  EXPECT_EQ(find(*table, "a.example.com", "/"), "exact/r");
  EXPECT_EQ(find(*table, "A.Example.COM:80", "/"), "exact/r");
  EXPECT_EQ(find(*table, "x.example.com", "/"), "suffix/r");
  EXPECT_EQ(find(*table, "x.b.example.com", "/"), "longer/r");
  EXPECT_EQ(find(*table, ".example.com", "/"), "any/r");
  EXPECT_EQ(find(*table, "reviews.default", "/"), "prefix/r");
  EXPECT_EQ(find(*table, "other", "/"), "any/r");
}

TEST(Routes, RefuseTheSameDomainTwice) {
  envoy::config::route::v3::RouteConfiguration config;
  ASSERT_TRUE(
      xds::from_json(*data::parse_json(R"({"name": "x", "virtual_hosts": [)" +
                                       host("a", R"(["d"])") + "," + host("b", R"(["d"])") + "]}"),
                     config)
          .ok());
  const auto table =
      RouteTable::compile(config, [](const std::string&, const void*) -> Result<RouteFilterEntry> {
        return RouteFilterEntry();
      });
  ASSERT_FALSE(table.ok());
  EXPECT_NE(table.error().message().find("Duplicate entry of domain d"), std::string::npos);
}

TEST(Routes, MatchPathHeadersAndQueryInOrder) {
  const auto table = table_of(R"({"virtual_hosts": [{"name": "h", "domains": ["*"], "routes": [
    {"name": "jason", "match": {"prefix": "/", "headers": [{"name": "end-user", "string_match": {"exact": "jason"}}]}, "direct_response": {"status": 200}},
    {"name": "no-cookie", "match": {"path": "/c", "headers": [{"name": "cookie", "present_match": true, "invert_match": true}]}, "direct_response": {"status": 200}},
    {"name": "query", "match": {"path": "/q", "query_parameters": [{"name": "v", "string_match": {"exact": "2"}}]}, "direct_response": {"status": 200}},
    {"name": "exact", "match": {"path": "/q"}, "direct_response": {"status": 200}},
    {"name": "regex", "match": {"safe_regex": {"regex": "/api/v[0-9]+/.*"}}, "direct_response": {"status": 200}},
    {"name": "dir", "match": {"path_separated_prefix": "/dir"}, "direct_response": {"status": 200}},
    {"name": "grpc", "match": {"prefix": "/g", "grpc": {}}, "direct_response": {"status": 200}},
    {"name": "half", "match": {"prefix": "/half", "runtime_fraction": {"default_value": {"numerator": 50}}}, "direct_response": {"status": 200}}]}]})");
  EXPECT_EQ(find(*table, "x", "/q", {{"end-user", "jason"}}), "h/jason");
  EXPECT_EQ(find(*table, "x", "/c"), "h/no-cookie");
  EXPECT_EQ(find(*table, "x", "/c", {{"cookie", "a=b"}}), "h/none");
  EXPECT_EQ(find(*table, "x", "/q?a=1&v=2"), "h/query");
  EXPECT_EQ(find(*table, "x", "/q?v=3"), "h/exact");
  EXPECT_EQ(find(*table, "x", "/api/v1/x?y"), "h/regex");
  EXPECT_EQ(find(*table, "x", "/dir/a"), "h/dir");
  EXPECT_EQ(find(*table, "x", "/directory"), "h/none");
  EXPECT_EQ(find(*table, "x", "/g"), "h/none");
  EXPECT_EQ(find(*table, "x", "/g", {{"content-type", "application/grpc"}}), "h/grpc");
  EXPECT_EQ(find(*table, "x", "/half", {}, 499'999), "h/half");
  EXPECT_EQ(find(*table, "x", "/half", {}, 500'000), "h/none");
}

TEST(Routes, NameWhatIsWrong) {
  envoy::config::route::v3::RouteConfiguration config;
  ASSERT_TRUE(xds::from_json(*data::parse_json(
                                 R"({"virtual_hosts": [{"name": "h", "domains": ["*"], "routes": [
    {"name": "bad", "match": {"safe_regex": {"regex": "("}}, "direct_response": {"status": 200}}]}]})"),
                             config)
                  .ok());
  const auto table =
      RouteTable::compile(config, [](const std::string&, const void*) -> Result<RouteFilterEntry> {
        return RouteFilterEntry();
      });
  ASSERT_FALSE(table.ok());
  EXPECT_NE(table.error().message().find("virtual host h: route bad: regex '('"), std::string::npos)
      << table.error().message();
}

TEST(Retries, ReadEveryConditionOfIstiosDefault) {
  EXPECT_EQ(RetryPolicy::parse_on(
                "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"),
            RetryPolicy::kConnectFailure | RetryPolicy::kRefusedStream |
                RetryPolicy::kGrpcUnavailable | RetryPolicy::kGrpcCancelled |
                RetryPolicy::kRetriableStatusCodes);
  EXPECT_EQ(RetryPolicy::parse_on("5xx, nonsense"), RetryPolicy::k5xx);
}

}  // namespace
}  // namespace lateen::proxy
