// External authorization: yes with changes, no with an answer, and services that fail.

#include <gtest/gtest.h>

#include "envoy/service/auth/v3/external_auth.pb.h"
#include "proxy/filters/filter_test_support.h"

namespace lateen::proxy {
namespace {

namespace auth = envoy::service::auth::v3;

using testing::answering;
using testing::App;
using testing::Fields;
using testing::filter;
using testing::FilterBench;
using testing::Reply;
using testing::Seen;

const char kType[] = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz";

class GrpcAuthz : public ::testing::Test {
 protected:
  GrpcAuthz() {
    service.add("/envoy.service.auth.v3.Authorization/Check", [this](grpc::ServerCall& call) {
      grpc::CallEvents events;
      events.on_message = [this, &call](std::string bytes) {
        ASSERT_TRUE(asked.ParseFromString(bytes));
        if (is_broken) return call.finish(Code::kUnavailable, "down");
        call.send(answer.SerializeAsString());
        call.finish(Code::kOk, "");
      };
      return events;
    });
    bench.serve("authz", service, true);
    bench.serve("app", app);
  }
  std::string configure(const std::string& more, const std::string& route = "") {
    return bench.configure(filter("authz", kType,
                                  R"("transport_api_version": "V3", "grpc_service":
               {"envoy_grpc": {"cluster_name": "authz"}, "timeout": "5s"})" +
                                      more),
                           route);
  }
  Seen seen;
  App app{answering(seen, {{"x-app", "yes"}}, "ok")};
  grpc::Service service;
  auth::CheckRequest asked;
  auth::CheckResponse answer;
  bool is_broken = false;
  FilterBench bench;
};

TEST_F(GrpcAuthz, YesWithChanges) {
  auto& ok = *answer.mutable_ok_response();
  auto& header = *ok.add_headers();
  header.mutable_header()->set_key("x-user");
  header.mutable_header()->set_value("jason");
  ok.add_headers_to_remove("x-secret");
  auto& back = *ok.add_response_headers_to_add();
  back.mutable_header()->set_key("x-checked");
  back.mutable_header()->set_value("1");
  auto& query = *ok.add_query_parameters_to_set();
  query.set_key("user");
  query.set_value("j");
  ASSERT_EQ(configure("", R"("typed_per_filter_config": {"authz": {"@type":
      "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
      "check_settings": {"context_extensions": {"k": "v"}}}})"),
            "");
  const Reply reply = bench.call("GET", "/a?x=1", {{"x-secret", "s"}});
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.get("x-checked"), "1");
  EXPECT_EQ(seen.get("x-user"), "jason");
  EXPECT_EQ(seen.get("x-secret"), "-");
  EXPECT_EQ(seen.path, "/a?x=1&user=j");
  const auto& attributes = asked.attributes();
  EXPECT_EQ(attributes.request().http().path(), "/a?x=1");
  EXPECT_EQ(attributes.request().http().headers().at("x-secret"), "s");
  EXPECT_EQ(attributes.source().address().socket_address().address(), "10.0.0.1");
  EXPECT_EQ(attributes.context_extensions().at("k"), "v");
}

TEST_F(GrpcAuthz, NoWithAnAnswer) {
  answer.mutable_status()->set_code(7);
  auto& denied = *answer.mutable_denied_response();
  denied.mutable_status()->set_code(envoy::type::v3::StatusCode::Unauthorized);
  denied.set_body("who are you");
  auto& header = *denied.add_headers();
  header.mutable_header()->set_key("www-authenticate");
  header.mutable_header()->set_value("Bearer");
  ASSERT_EQ(configure(""), "");
  const Reply reply = bench.call("GET", "/");
  EXPECT_EQ(reply.status, 401);
  EXPECT_EQ(reply.body, "who are you");
  EXPECT_EQ(reply.get("www-authenticate"), "Bearer");
  EXPECT_EQ(reply.details, "ext_authz_denied");
  EXPECT_EQ(seen.count, 0);
}

TEST_F(GrpcAuthz, FailuresDenyUnlessAllowed) {
  is_broken = true;
  ASSERT_EQ(configure(R"(, "status_on_error": {"code": 503})"), "");
  const Reply denied = bench.call("GET", "/");
  EXPECT_EQ(denied.status, 503);
  EXPECT_EQ(denied.details, "ext_authz_error");
  ASSERT_EQ(configure(R"(, "failure_mode_allow": true, "failure_mode_allow_header_add": true)"),
            "");
  EXPECT_EQ(bench.call("GET", "/").status, 200);
  EXPECT_EQ(seen.get("x-envoy-auth-failure-mode-allowed"), "true");
}

TEST_F(GrpcAuthz, BodiesAreShownAndPassWhole) {
  answer.mutable_ok_response();
  ASSERT_EQ(configure(R"(, "with_request_body": {"max_request_bytes": 4,
                                                  "allow_partial_message": true})"),
            "");
  bench.call("POST", "/", {}, "a longer body");
  EXPECT_EQ(asked.attributes().request().http().body(), "a lo");
  EXPECT_EQ(seen.body, "a longer body");
  EXPECT_EQ(seen.get("x-envoy-auth-partial-body"), "true");
  ASSERT_EQ(configure(R"(, "with_request_body": {"max_request_bytes": 4})"), "");
  EXPECT_EQ(bench.call("POST", "/", {}, "a longer body").status, 413);
}

TEST(HttpAuthz, HeadersGoBothWays) {
  FilterBench bench;
  Seen seen, asked;
  int verdict = 200;
  App app(answering(seen, {}, "ok"));
  App authz([&](http::Exchange& exchange, http::Request request, http::Done done) {
    answering(asked,
              {{"x-user", "jason"}, {"x-hidden", "h"}, {"x-reason", "r"}, {"location", "/login"}},
              "checked", verdict)(exchange, std::move(request), std::move(done));
  });
  bench.serve("app", app);
  bench.serve("authz", authz);
  ASSERT_EQ(bench.configure(filter("authz", kType, R"("transport_api_version": "V3",
      "http_service": {"server_uri": {"uri": "http://authz", "cluster": "authz", "timeout": "5s"},
        "path_prefix": "/check",
        "authorization_request": {"allowed_headers": {"patterns": [{"prefix": "x-ask"}]},
                                  "headers_to_add": [{"key": "x-from", "value": "proxy"}]},
        "authorization_response": {"allowed_upstream_headers": {"patterns": [{"exact": "x-user"}]},
                                   "allowed_client_headers": {"patterns": [{"exact": "x-reason"}]},
                                   "allowed_client_headers_on_success":
                                      {"patterns": [{"exact": "x-reason"}]}}})")),
            "");
  const Fields headers = {{"x-ask-me", "1"}, {"x-other", "2"}, {"authorization", "Basic x"}};
  const Reply allowed = bench.call("GET", "/a", headers);
  EXPECT_EQ(allowed.status, 200);
  EXPECT_EQ(allowed.get("x-reason"), "r");
  EXPECT_EQ(seen.get("x-user"), "jason");
  EXPECT_EQ(seen.get("x-hidden"), "-");
  EXPECT_EQ(asked.path, "/check/a");
  EXPECT_EQ(asked.get("x-ask-me"), "1");
  EXPECT_EQ(asked.get("x-other"), "-");
  EXPECT_EQ(asked.get("authorization"), "Basic x");
  EXPECT_EQ(asked.get("x-from"), "proxy");
  verdict = 302;
  const Reply denied = bench.call("GET", "/a", headers);
  EXPECT_EQ(denied.status, 302);
  EXPECT_EQ(denied.body, "checked");
  EXPECT_EQ(denied.get("location"), "/login");
  EXPECT_EQ(denied.get("x-reason"), "r");
  EXPECT_EQ(denied.get("x-hidden"), "-");
  verdict = 500;
  EXPECT_EQ(bench.call("GET", "/a", headers).status, 403);
}

}  // namespace
}  // namespace lateen::proxy
