// Versions that are no longer kept: 410 for lists and watches, and old lists while they are kept.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "cluster/apiserver/server.h"

namespace lateen::cluster::apiserver {
namespace {

using data::Json;

TEST(Expiry, OldVersionsAreListedUntilTheyAreCompacted) {
  char name[] = "/tmp/lateen-expiry-XXXXXX";
  const std::string directory = mkdtemp(name);
  SystemClock clock;
  {
    ApiServerOptions options;
    options.data_dir = directory;
    options.kept_revisions = 20;
    ApiServer server(std::move(options), clock);
    ASSERT_TRUE(server.start().ok());
    const auto transport = server.local_transport();
    const auto call = [&](const std::string& method, const std::string& url,
                          const std::string& body = {}) {
      http::PlainRequest request;
      request.method = method;
      request.url = url;
      request.body = body;
      if (method == "PATCH") request.headers = {{"content-type", "application/merge-patch+json"}};
      auto response = transport->call(request);
      EXPECT_TRUE(response.ok());
      if (!response.ok()) return std::pair(0, Json());
      return std::pair(response->status, data::parse_json(response->body).value_or(Json()));
    };
    const std::string maps = "/api/v1/namespaces/default/configmaps";
    ASSERT_EQ(call("POST", maps, R"({"metadata":{"name":"m"},"data":{"n":"first"}})").first, 201);
    const std::string old(
        data::get_string(call("GET", maps).second, {"metadata", "resourceVersion"}));
    ASSERT_EQ(call("PATCH", maps + "/m", R"({"data":{"n":"second"}})").first, 200);
    const std::string exact = maps + "?resourceVersionMatch=Exact&resourceVersion=" + old;
    const auto [status, listing] = call("GET", exact);
    ASSERT_EQ(status, 200);
    EXPECT_EQ(data::get_string(data::get_array(listing, {"items"})[0], {"data", "n"}), "first");
    EXPECT_EQ(data::get_string(listing, {"metadata", "resourceVersion"}), old);
    const auto watch = maps + "?watch=true&timeoutSeconds=1&resourceVersion=" + old;
    for (int i = 0; i < 250; ++i)
      ASSERT_EQ(call("PATCH", maps + "/m", fmt::format(R"({{"data":{{"n":"{}"}}}})", i)).first,
                200);
    const auto [late, refusal] = call("GET", exact);
    EXPECT_EQ(late, 410);
    EXPECT_EQ(data::get_string(refusal, {"reason"}), "Expired");
    EXPECT_EQ(data::get_int(refusal, {"code"}), 410);
    const auto [too_late, watch_refusal] = call("GET", watch);
    EXPECT_EQ(too_late, 410);
    EXPECT_EQ(data::get_string(watch_refusal, {"reason"}), "Expired");
  }
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace lateen::cluster::apiserver
