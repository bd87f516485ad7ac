// Istio's authorization policies as they reach the proxy: who, what, and claims; ALLOW and DENY.

#include <gtest/gtest.h>

#include "envoy/config/rbac/v3/rbac.pb.h"
#include "event/sim_loop.h"
#include "proxy/filters/rbac/matcher.h"
#include "proxy/worker/worker.h"
#include "xds/json.h"

namespace lateen::proxy {
namespace {

class Rbac : public ::testing::Test {
 protected:
  Rbac() {
    connection_.local = *net::Address::parse("10.0.0.9:9080");
    connection_.remote = connection_.direct_remote = *net::Address::parse("10.0.0.1:5000");
    tls_.has_peer_certificate = true;
    tls_.peer_uri_sans = {"spiffe://cluster.local/ns/default/sa/reviews"};
    request_.method = "GET";
    request_.path = "/ratings/0?x=/admin";
    request_.authority = "ratings:9080";
  }
  // "allowed", "denied" and the policy; "refused: …" when it does not compile.
  std::string decide(const std::string& json, bool is_tcp = false) {
    envoy::config::rbac::v3::RBAC config;
    const auto read = xds::from_json(*data::parse_json(json), config);
    EXPECT_TRUE(read.ok()) << (read.ok() ? "" : read.error().message());
    const auto rules = RbacRules::compile(config);
    if (!rules.ok()) return "refused: " + rules.error().message();
    const auto decision = (*rules)->decide({connection_, info_, is_tcp ? nullptr : &request_});
    return (decision.is_allowed ? "allowed " : "denied ") + std::string(decision.policy);
  }
  static std::string rules(const std::string& action, const std::string& permission,
                           const std::string& principal) {
    return R"({"action": ")" + action + R"(", "policies": {"p": {"permissions": [)" + permission +
           R"(], "principals": [)" + principal + "]}}}";
  }
  static constexpr const char* kReviews =
      R"({"authenticated": {"principal_name": {"exact": "spiffe://cluster.local/ns/default/sa/reviews"}}})";
  static constexpr const char* kAny = R"({"any": true})";

  event::SimLoop loop_;
  Shared shared_;
  Worker worker_{loop_, shared_, 0};
  Connection connection_;
  net::TlsInfo tls_;
  Arena arena_;
  http::Request request_{arena_};
  StreamInfo info_{worker_, connection_};
};

TEST_F(Rbac, AllowsByPrincipalOnlyOverMutualTls) {
  const auto policy = rules("ALLOW", kAny, kReviews);
  EXPECT_EQ(decide(policy), "denied ");
  connection_.tls = &tls_;
  EXPECT_EQ(decide(policy), "allowed p");
  tls_.peer_uri_sans = {"spiffe://cluster.local/ns/default/sa/other"};
  EXPECT_EQ(decide(policy), "denied ");
}

TEST_F(Rbac, DeniesWhatMatches) {
  const auto policy =
      rules("DENY", R"({"header": {"name": ":method", "string_match": {"exact": "GET"}}})", kAny);
  EXPECT_EQ(decide(policy), "denied p");
  request_.method = "POST";
  EXPECT_EQ(decide(policy), "allowed ");
}

TEST_F(Rbac, LooksAtThePathWithoutItsQuery) {
  EXPECT_EQ(decide(rules("ALLOW", R"({"url_path": {"path": {"prefix": "/ratings"}}})", kAny)),
            "allowed p");
  EXPECT_EQ(decide(rules("DENY", R"({"url_path": {"path": {"suffix": "/admin"}}})", kAny)),
            "allowed ");
}

TEST_F(Rbac, CombinesRules) {
  const std::string both =
      R"({"and_rules": {"rules": [{"destination_port": 9080}, {"not_rule": {"header": {"name": "x", "present_match": true}}}]}})";
  EXPECT_EQ(decide(rules("ALLOW", both, kAny)), "allowed p");
  request_.headers.add("x", "1");
  EXPECT_EQ(decide(rules("ALLOW", both, kAny)), "denied ");
}

TEST_F(Rbac, ReadsClaimsAndAddresses) {
  info_.metadata["envoy.filters.http.jwt_authn"] =
      *data::parse_json(R"({"payload": {"iss": "me", "groups": ["a", "b"]}})");
  const std::string claim =
      R"({"metadata": {"filter": "envoy.filters.http.jwt_authn", "path": [{"key": "payload"}, {"key": "groups"}],
    "value": {"list_match": {"one_of": {"string_match": {"exact": "b"}}}}}})";
  EXPECT_EQ(decide(rules("ALLOW", kAny, claim)), "allowed p");
  EXPECT_EQ(
      decide(rules("ALLOW", kAny,
                   R"({"direct_remote_ip": {"address_prefix": "10.0.0.0", "prefix_len": 24}})")),
      "allowed p");
  EXPECT_EQ(
      decide(rules("ALLOW", kAny,
                   R"({"direct_remote_ip": {"address_prefix": "10.1.0.0", "prefix_len": 24}})")),
      "denied ");
}

TEST_F(Rbac, HttpRulesNeverMatchTcp) {
  EXPECT_EQ(decide(rules("ALLOW", R"({"url_path": {"path": {"prefix": "/"}}})", kAny), true),
            "denied ");
  EXPECT_EQ(decide(rules("ALLOW", R"({"destination_port": 9080})", kAny), true), "allowed p");
}

TEST_F(Rbac, NoPolicyAllowsNothingAndDeniesNothing) {
  EXPECT_EQ(decide(R"({"action": "ALLOW"})"), "denied ");
  EXPECT_EQ(decide(R"({"action": "DENY"})"), "allowed ");
}

}  // namespace
}  // namespace lateen::proxy
