// CSRF, gRPC-Web, the gRPC bridge, rate limits, stateful sessions: each as Envoy's manual has it.

#include <gtest/gtest.h>

#include "envoy/service/ratelimit/v3/rls.pb.h"
#include "grpc/framing.h"
#include "proxy/filters/filter_test_support.h"

namespace lateen::proxy {
namespace {

using testing::answering;
using testing::App;
using testing::Fields;
using testing::filter;
using testing::FilterBench;
using testing::Reply;
using testing::Seen;

TEST(Csrf, OnlyTheOwnHostMayChange) {
  FilterBench bench;
  Seen seen;
  App app(answering(seen, {}, "ok"));
  bench.serve("app", app);
  ASSERT_EQ(bench.configure(filter("csrf", "envoy.extensions.filters.http.csrf.v3.CsrfPolicy",
                                   R"("filter_enabled": {"default_value": {"numerator": 100}},
                                      "additional_origins": [{"suffix": ".friend.org"}])")),
            "");
  const auto status = [&](const char* method, const Fields& headers) {
    return bench.call(method, "/", headers).status;
  };
  EXPECT_EQ(status("GET", {{"origin", "http://evil.com"}}), 200);
  EXPECT_EQ(status("POST", {{"origin", "http://example.com"}}), 200);
  EXPECT_EQ(status("POST", {{"origin", "https://www.friend.org"}}), 200);
  EXPECT_EQ(status("POST", {{"referer", "http://example.com/page"}}), 200);
  EXPECT_EQ(status("POST", {{"origin", "http://evil.com"}}), 403);
  EXPECT_EQ(status("DELETE", {}), 403);
  const Reply reply = bench.call("PUT", "/", {{"origin", "http://example.com.evil.com"}});
  EXPECT_EQ(reply.body, "Invalid origin");
  EXPECT_EQ(reply.details, "csrf_origin_mismatch");
}

std::string frame(const std::string& message) {
  Buffer out;
  grpc::append_frame(out, message);
  return out.to_string();
}

class GrpcWeb : public ::testing::Test {
 protected:
  GrpcWeb() {
    bench.serve("app", app, true);
    EXPECT_EQ(
        bench.configure(filter("web", "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb", "")),
        "");
  }
  Seen seen;
  App app{answering(seen, {{"content-type", "application/grpc"}}, frame("answer"), 200,
                    {{"grpc-status", "0"}, {"grpc-message", "fine"}})};
  FilterBench bench;
};

TEST_F(GrpcWeb, TrailersBecomeTheLastFrame) {
  const Reply reply = bench.call("POST", "/s/m", {{"content-type", "application/grpc-web+proto"}},
                                 frame("question"));
  EXPECT_EQ(seen.get("content-type"), "application/grpc");
  EXPECT_EQ(seen.get("te"), "trailers");
  EXPECT_EQ(seen.body, frame("question"));
  EXPECT_EQ(reply.get("content-type"), "application/grpc-web+proto");
  const std::string text = "grpc-status:0\r\ngrpc-message:fine\r\n";
  EXPECT_EQ(reply.body,
            frame("answer") + std::string("\x80\0\0\0", 4) + static_cast<char>(text.size()) + text);
  EXPECT_TRUE(reply.trailers.empty());
}

TEST_F(GrpcWeb, TextIsBase64BothWays) {
  // Two messages that were coded apart: padding in the middle.
  const std::string body = base64_encode(frame("a")) + base64_encode(frame("bb"));
  const Reply reply = bench.call(
      "POST", "/s/m",
      {{"content-type", "application/grpc-web-text"}, {"accept", "application/grpc-web-text"}},
      body);
  EXPECT_EQ(seen.body, frame("a") + frame("bb"));
  EXPECT_EQ(reply.get("content-type"), "application/grpc-web-text+proto");
  const auto plain = base64_decode(reply.body);
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->rfind(frame("answer"), 0), 0u);
}

TEST_F(GrpcWeb, OtherRequestsPass) {
  const Reply reply = bench.call("POST", "/", {{"content-type", "text/plain"}}, "x");
  EXPECT_EQ(seen.get("content-type"), "text/plain");
  EXPECT_EQ(reply.body, frame("answer"));
}

TEST(GrpcBridge, TrailersBecomeHeaders) {
  FilterBench bench;
  Seen seen;
  App app(answering(seen, {{"content-type", "application/grpc"}}, frame("answer"), 200,
                    {{"grpc-status", "5"}, {"grpc-message", "gone"}}));
  bench.serve("app", app, true);
  ASSERT_EQ(
      bench.configure(filter("bridge", "envoy.extensions.filters.http.grpc_http1_bridge.v3.Config",
                             "\"upgrade_protobuf_to_grpc\": true")),
      "");
  const Reply reply =
      bench.call("POST", "/s/m", {{"content-type", "application/x-protobuf"}}, "question");
  EXPECT_EQ(seen.body, frame("question"));
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(reply.get("grpc-status"), "5");
  EXPECT_EQ(reply.get("grpc-message"), "gone");
  EXPECT_EQ(reply.body, "answer");
}

class GlobalLimit : public ::testing::Test {
 protected:
  using Request = envoy::service::ratelimit::v3::RateLimitRequest;
  using Response = envoy::service::ratelimit::v3::RateLimitResponse;
  GlobalLimit() {
    service.add("/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit",
                [this](grpc::ServerCall& call) {
                  grpc::CallEvents events;
                  events.on_message = [this, &call](std::string bytes) {
                    asked.Clear();
                    ASSERT_TRUE(asked.ParseFromString(bytes));
                    ++count;
                    if (is_broken) return call.finish(Code::kUnavailable, "down");
                    call.send(answer.SerializeAsString());
                    call.finish(Code::kOk, "");
                  };
                  return events;
                });
    bench.serve("limits", service, true);
    bench.serve("app", app);
  }
  std::string configure(const std::string& actions, const std::string& more = "") {
    return bench.configure(
        filter("rl", "envoy.extensions.filters.http.ratelimit.v3.RateLimit",
               R"("domain": "d", "timeout": "5s", "rate_limit_service": {"grpc_service":
                  {"envoy_grpc": {"cluster_name": "limits"}}, "transport_api_version": "V3"})" +
                   more),
        "", R"("route": {"cluster": "app", "rate_limits": [{"actions": [)" + actions + "]}]}");
  }
  std::string entries() const {
    std::string text;
    for (const auto& descriptor : asked.descriptors())
      for (const auto& entry : descriptor.entries())
        text += entry.key() + "=" + entry.value() + ";";
    return text;
  }
  Seen seen;
  App app{answering(seen, {}, "ok")};
  grpc::Service service;
  Request asked;
  Response answer;
  bool is_broken = false;
  int count = 0;
  FilterBench bench;
};

TEST_F(GlobalLimit, AsksByActions) {
  answer.set_overall_code(Response::OK);
  auto& header = *answer.add_request_headers_to_add();
  header.set_key("x-quota");
  header.set_value("7");
  ASSERT_EQ(configure(R"({"generic_key": {"descriptor_value": "all"}},
      {"request_headers": {"header_name": "x-user", "descriptor_key": "user"}},
      {"remote_address": {}}, {"destination_cluster": {}},
      {"masked_remote_address": {"v4_prefix_mask_len": 8}},
      {"header_value_match": {"descriptor_value": "get", "headers":
         [{"name": ":method", "string_match": {"exact": "GET"}}]}},
      {"query_parameters": {"query_parameter_name": "q", "descriptor_key": "q"}})"),
            "");
  EXPECT_EQ(bench.call("GET", "/?q=1", {{"x-user", "jason"}}).status, 200);
  EXPECT_EQ(asked.domain(), "d");
  EXPECT_EQ(entries(),
            "generic_key=all;user=jason;remote_address=10.0.0.1;destination_cluster=app;"
            "masked_remote_address=10.0.0.0/8;header_match=get;q=1;");
  EXPECT_EQ(seen.get("x-quota"), "7");
  // An action with nothing to say: the limit does not count.
  EXPECT_EQ(bench.call("GET", "/?q=1").status, 200);
  EXPECT_EQ(count, 1);
}

TEST_F(GlobalLimit, OverTheLimit) {
  answer.set_overall_code(Response::OVER_LIMIT);
  answer.set_raw_body("slow down");
  auto& status = *answer.add_statuses();
  status.mutable_current_limit()->set_requests_per_unit(10);
  status.mutable_current_limit()->set_unit(Response::RateLimit::MINUTE);
  status.set_limit_remaining(0);
  status.mutable_duration_until_reset()->set_seconds(31);
  ASSERT_EQ(configure(R"({"generic_key": {"descriptor_value": "all"}})",
                      R"(, "enable_x_ratelimit_headers": "DRAFT_VERSION_03")"),
            "");
  const Reply reply = bench.call("GET", "/");
  EXPECT_EQ(reply.status, 429);
  EXPECT_EQ(reply.body, "slow down");
  EXPECT_EQ(reply.get("x-envoy-ratelimited"), "true");
  EXPECT_EQ(reply.get("x-ratelimit-limit"), "10, 10;w=60");
  EXPECT_EQ(reply.get("x-ratelimit-remaining"), "0");
  EXPECT_EQ(reply.get("x-ratelimit-reset"), "31");
  EXPECT_EQ(reply.details, "request_rate_limited");
  EXPECT_EQ(seen.count, 0);
}

TEST_F(GlobalLimit, AServiceThatFailsLetsPassUnlessDenied) {
  is_broken = true;
  const std::string action = R"({"generic_key": {"descriptor_value": "all"}})";
  ASSERT_EQ(configure(action), "");
  EXPECT_EQ(bench.call("GET", "/").status, 200);
  ASSERT_EQ(configure(action, R"(, "failure_mode_deny": true)"), "");
  const Reply reply = bench.call("GET", "/");
  EXPECT_EQ(reply.status, 500);
  EXPECT_EQ(reply.details, "rate_limiter_error");
}

TEST(StatefulSession, CookiesStickToAHost) {
  FilterBench bench;
  Seen seen_a, seen_b;
  App a(answering(seen_a, {}, "a")), b(answering(seen_b, {}, "b"));
  const auto at_a = bench.serve("a", a), at_b = bench.serve("b", b);
  bench.add_cluster("app", {at_a, at_b}, false);
  ASSERT_EQ(bench.configure(filter(
                "session", "envoy.extensions.filters.http.stateful_session.v3.StatefulSession",
                R"("session_state": {"name": "cookie", "typed_config": {"@type":
                   "type.googleapis.com/envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState",
                   "cookie": {"name": "sid", "path": "/", "ttl": "60s"}}})")),
            "");
  const Reply first = bench.call("GET", "/");
  const std::string cookie = first.get("set-cookie");
  EXPECT_EQ(cookie.rfind("sid=\"", 0), 0u) << cookie;
  EXPECT_NE(cookie.find("; Max-Age=60; Path=/; HttpOnly"), std::string::npos) << cookie;
  const std::string pair = cookie.substr(0, cookie.find(';'));
  for (int i = 0; i < 6; ++i) {
    const Reply again = bench.call("GET", "/", {{"cookie", "x=1; " + pair}});
    EXPECT_EQ(again.body, first.body);
    EXPECT_EQ(again.get("set-cookie"), "-");
  }
  // A session of a host that is gone, or that nobody can read, starts anew.
  EXPECT_NE(bench.call("GET", "/", {{"cookie", "sid=\"bm9uc2Vuc2U=\""}}).get("set-cookie"), "-");
}

TEST(StatefulSession, HeadersAndStrictness) {
  FilterBench bench;
  Seen seen;
  App app(answering(seen, {}, "a"));
  const auto at = bench.serve("app", app);
  const auto session = [](const std::string& more) {
    return filter("session", "envoy.extensions.filters.http.stateful_session.v3.StatefulSession",
                  R"("session_state": {"name": "header", "typed_config": {"@type":
           "type.googleapis.com/envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState",
           "name": "x-session"}})" +
                      more);
  };
  ASSERT_EQ(bench.configure(session("")), "");
  EXPECT_EQ(bench.call("GET", "/").get("x-session"), base64_encode(at.to_string()));
  const Fields gone = {{"x-session", base64_encode("127.0.0.1:1")}};
  EXPECT_EQ(bench.call("GET", "/", gone).status, 200);
  ASSERT_EQ(bench.configure(session(R"(, "strict": true)")), "");
  EXPECT_EQ(bench.call("GET", "/", gone).status, 503);
}

TEST(LocalLimit, DescriptorsHaveBucketsOfTheirOwn) {
  FilterBench bench;
  Seen seen;
  App app(answering(seen, {}, "ok"));
  bench.serve("app", app);
  ASSERT_EQ(
      bench.configure(
          filter(
              "limit", "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
              R"("stat_prefix": "x", "token_bucket": {"max_tokens": 100, "fill_interval": "3600s"},
          "filter_enabled": {"default_value": {"numerator": 100}},
          "filter_enforced": {"default_value": {"numerator": 100}},
          "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
          "descriptors": [
            {"entries": [{"key": "user", "value": "jason"}],
             "token_bucket": {"max_tokens": 1, "fill_interval": "3600s"}},
            {"entries": [{"key": "plan"}],
             "token_bucket": {"max_tokens": 2, "fill_interval": "3600s"}}])"),
          "", R"("route": {"cluster": "app", "rate_limits": [
            {"actions": [{"request_headers": {"header_name": "x-user", "descriptor_key": "user"}}]},
            {"actions": [{"request_headers": {"header_name": "x-plan", "descriptor_key": "plan"}}]}]})"),
      "");
  const auto status = [&](const char* name, const char* value) {
    return bench.call("GET", "/", {{name, value}}).status;
  };
  EXPECT_EQ(status("x-user", "jason"), 200);
  EXPECT_EQ(status("x-user", "jason"), 429);
  EXPECT_EQ(status("x-user", "other"), 200);
  // A descriptor without a value has a bucket per value.
  for (const char* plan : {"gold", "silver"}) {
    EXPECT_EQ(status("x-plan", plan), 200);
    EXPECT_EQ(status("x-plan", plan), 200);
    EXPECT_EQ(status("x-plan", plan), 429);
  }
  const Reply reply = bench.call("GET", "/", {{"x-user", "jason"}});
  EXPECT_EQ(reply.get("x-ratelimit-limit"), "1");
  EXPECT_EQ(reply.get("x-ratelimit-remaining"), "0");
}

TEST(Metadata, HeadersBecomeMetadata) {
  FilterBench bench;
  Seen seen;
  App app(answering(seen, {}, "ok"));
  bench.serve("app", app);
  ASSERT_EQ(bench.configure(
                filter("set", "envoy.extensions.filters.http.set_metadata.v3.Config",
                       R"("metadata": [{"metadata_namespace": "fixed", "value": {"n": 7}}])") +
                    filter("h2m", "envoy.extensions.filters.http.header_to_metadata.v3.Config",
                           R"("request_rules": [
             {"header": "x-version", "remove": true, "on_header_present":
               {"metadata_namespace": "ns", "key": "version",
                "regex_value_rewrite": {"pattern": {"regex": "^v([0-9]+)$"}, "substitution": "\\1"}}},
             {"cookie": "sid", "on_header_present": {"metadata_namespace": "ns", "key": "sid"},
              "on_header_missing": {"metadata_namespace": "ns", "key": "sid", "value": "none"}}])"),
                R"("request_headers_to_add": [
             {"header": {"key": "x-seen", "value":
               "%DYNAMIC_METADATA(ns:version)%/%DYNAMIC_METADATA(ns:sid)%/%DYNAMIC_METADATA(fixed:n)%"}}])"),
            "");
  bench.call("GET", "/", {{"x-version", "v42"}, {"cookie", "a=b; sid=\"s1\""}});
  EXPECT_EQ(seen.get("x-seen").rfind("42/s1/7", 0), 0u) << seen.get("x-seen");
  EXPECT_EQ(seen.get("x-version"), "-");
  bench.call("GET", "/");
  EXPECT_EQ(seen.get("x-seen").rfind("/none/7", 0), 0u) << seen.get("x-seen");
}

}  // namespace
}  // namespace lateen::proxy
