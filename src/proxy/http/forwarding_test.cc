// What routes do beyond matching a path: templates, redirects that are followed, bodies of our own
// answers, aggregates; and answers of filters on their way through the others.

#include "proxy/filters/filter_test_support.h"

namespace lateen::proxy {
namespace {

using testing::App;
using testing::filter;
using testing::FilterBench;
using testing::Reply;
using testing::Seen;

constexpr const char* kTemplate =
    R"("match": {"path_match_policy": {"name": "t", "typed_config": {"@type":
    "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
    "path_template": "/api/{who}/{rest=**}"}}}, )";

// A route table of its own: `routes` are whole routes.
std::string configure(FilterBench& bench, const std::string& routes,
                      const std::string& filters = "", const std::string& more = "") {
  return bench.configure_routes(filters, routes, more);
}

TEST(Forwarding, TemplatesAreMatchedAndRewritten) {
  FilterBench bench;
  Seen seen;
  App app(testing::answering(seen, {}, "ok"));
  bench.serve("app", app);
  const auto rewritten = [&](const std::string& to) {
    return configure(bench, "{" + std::string(kTemplate) + R"("route": {"cluster": "app",
        "path_rewrite_policy": {"name": "r", "typed_config": {"@type":
        "type.googleapis.com/envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig",
        "path_template_rewrite": ")" +
                                to + R"("}}}})");
  };
  ASSERT_EQ(rewritten("/v2/{rest}/of/{who}"), "");
  EXPECT_EQ(bench.call("GET", "/api/me/a/b?q=1").status, 200);
  EXPECT_EQ(seen.path, "/v2/a/b/of/me?q=1");
  EXPECT_EQ(seen.get("x-envoy-original-path"), "/api/me/a/b?q=1");
  EXPECT_EQ(bench.call("GET", "/other/me/a").status, 404);
  EXPECT_NE(rewritten("/v2/{nobody}").find("no variable 'nobody'"), std::string::npos);
}

TEST(Forwarding, TheHostComesFromThePath) {
  FilterBench bench;
  Seen seen;
  App app([&](http::Exchange& exchange, http::Request request, http::Done done) {
    seen.path = request.authority;
    done(http::Response::text(exchange.arena, 200, ""));
  });
  bench.serve("app", app);
  ASSERT_EQ(bench.configure("", "", R"("route": {"cluster": "app", "host_rewrite_path_regex": {
      "pattern": {"regex": "^/([^/]+)/.*$"}, "substitution": "\\1.example"}})"),
            "");
  EXPECT_EQ(bench.call("GET", "/shop/a?x").status, 200);
  EXPECT_EQ(seen.path, "shop.example");
}

TEST(Forwarding, RedirectsAreFollowedInside) {
  FilterBench bench;
  std::vector<std::string> asked;
  App app([&](http::Exchange& exchange, http::Request request, http::Done done) {
    asked.push_back(std::string(request.authority) + std::string(request.path) + " " +
                    std::string(request.headers.get("x-envoy-original-url").value_or("-")));
    auto response =
        http::Response::text(exchange.arena, request.path == "/end" ? 200 : 302, "body");
    if (request.path == "/twice") response.headers.add("location", "/from");
    else if (request.path == "/secure") response.headers.add("location", "https://b.example/end");
    else if (request.path != "/end") response.headers.add("location", "http://b.example/end");
    done(std::move(response));
  });
  bench.serve("app", app);
  const std::string action = R"("route": {"cluster": "app", "internal_redirect_policy": {
      "max_internal_redirects": 1, "redirect_response_codes": [302]}})";
  ASSERT_EQ(bench.configure("", "", action), "");
  EXPECT_EQ(bench.call("GET", "/from").status, 200);
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_EQ(asked[1], "b.example/end http://example.com/from");
  // One only; not to another scheme; not with a body.
  EXPECT_EQ(bench.call("GET", "/twice").status, 302);
  EXPECT_EQ(bench.call("GET", "/secure").status, 302);
  EXPECT_EQ(bench.call("POST", "/from", {}, "x").status, 302);
}

TEST(Forwarding, AnswersOfOurOwnLookAsConfigured) {
  FilterBench bench;
  const std::string config = R"("local_reply_config": {"mappers": [
      {"filter": {"status_code_filter": {"comparison": {"op": "EQ", "value": {"default_value": 503,
       "runtime_key": "k"}}}}, "status_code": 599, "body": {"inline_string": "gone"},
       "headers_to_add": [{"header": {"key": "x-why", "value": "%RESPONSE_FLAGS%"}}]}],
      "body_format": {"json_format": {"code": "%RESPONSE_CODE%", "what": "%LOCAL_REPLY_BODY%"}}})";
  ASSERT_EQ(bench.configure("", "", R"("route": {"cluster": "nowhere"})", config), "");
  Reply reply = bench.call("GET", "/");
  EXPECT_EQ(reply.status, 599);
  EXPECT_EQ(reply.get("x-why"), "NC");
  EXPECT_EQ(reply.get("content-type"), "application/json");
  const auto json = data::parse_json(reply.body);
  ASSERT_TRUE(json.ok()) << reply.body;
  EXPECT_EQ(data::get_string(*json, {"what"}), "gone");
  ASSERT_EQ(bench.configure("", "", R"("direct_response": {"status": 404, "body": {"inline_string":
      "no"}, "body_format": {"text_format_source": {"inline_string": "<%LOCAL_REPLY_BODY%>"},
      "content_type": "text/html"}})"),
            "");
  reply = bench.call("GET", "/");
  EXPECT_EQ(reply.body, "<no>");
  EXPECT_EQ(reply.get("content-type"), "text/html");
}

TEST(Forwarding, AnAggregateUsesTheFirstClusterThatCan) {
  FilterBench bench;
  Seen first, second;
  App one(testing::answering(first, {}, "one")), two(testing::answering(second, {}, "two"));
  bench.serve("two", two);
  bench.add_cluster("one", {}, false);
  envoy::config::cluster::v3::Cluster config;
  FilterBench::read(R"({"name": "app", "lb_policy": "CLUSTER_PROVIDED", "cluster_type": {"name":
      "envoy.clusters.aggregate", "typed_config": {"@type":
      "type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig",
      "clusters": ["missing", "one", "two"]}}})",
                    config);
  auto made = ClusterConfig::compile(config);
  ASSERT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message());
  bench.worker.put_cluster(*made, nullptr);
  ASSERT_EQ(bench.configure(""), "");
  EXPECT_EQ(bench.call("GET", "/").body, "two");
  bench.serve("one", one);
  EXPECT_EQ(bench.call("GET", "/").body, "one");
}

TEST(Forwarding, AFiltersOwnAnswerPassesThoseBehindIt) {
  FilterBench bench;
  Seen seen;
  App app(testing::answering(seen, {}, "ok"));
  bench.serve("app", app);
  const std::string deny = filter("rbac", "envoy.extensions.filters.http.rbac.v3.RBAC",
                                  R"("rules": {"action": "DENY", "policies": {"p": {
      "permissions": [{"header": {"name": ":path", "string_match": {"exact": "/no"}}}],
      "principals": [{"any": true}]}}})");
  const auto add = [](const std::string& name, const std::string& value) {
    return filter(name, "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
                  R"("mutations": {"response_mutations": [{"append": {"header": {"key": "x-by",
      "value": ")" + value +
                      R"("}, "append_action": "APPEND_IF_EXISTS_OR_ADD"}}]})");
  };
  ASSERT_EQ(bench.configure(add("before", "1") + deny + add("after", "2")), "");
  const auto by = [&](const std::string& path) {
    std::string all;
    for (const auto& [name, value] : bench.call("GET", path).headers)
      if (name == "x-by") all += value;
    return all;
  };
  EXPECT_EQ(by("/yes"), "21");
  EXPECT_EQ(by("/no"), "21");  // each once, the last filter first
}

TEST(Forwarding, VirtualHostsAndTablesMirrorForTheirRoutes) {
  FilterBench bench;
  Seen seen, mirrored;
  App app(testing::answering(seen, {}, "ok"));
  std::string host;
  App shadow([&](http::Exchange& exchange, http::Request request, http::Done done) {
    ++mirrored.count;
    host = request.authority;
    done(http::Response::text(exchange.arena, 200, ""));
  });
  bench.serve("app", app);
  bench.serve("shadow", shadow);
  ASSERT_EQ(
      bench.configure_routes("", R"({"match": {"prefix": "/"}, "route": {"cluster": "app"}})", "",
                             R"("request_mirror_policies": [{"cluster": "shadow",
                                   "host_rewrite_literal": "m.example"}])"),
      "");
  EXPECT_EQ(bench.call("GET", "/").status, 200);
  // The mirrored request is on its own; each call turns the loop.
  for (int i = 0; i < 1000 && mirrored.count == 0; ++i) bench.call("GET", "/");
  EXPECT_GT(mirrored.count, 0);
  EXPECT_EQ(host, "m.example");
}

}  // namespace
}  // namespace lateen::proxy
