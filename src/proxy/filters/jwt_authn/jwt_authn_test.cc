// Tokens against keys in the configuration and keys that are fetched: answers, headers, metadata,
// failure modes. The words and codes are those of Envoy 1.40 for the same requests.

#include "proxy/filters/filter_test_support.h"
#include "tls/jwt.h"
#include "tls/x509.h"

namespace lateen::proxy {
namespace {

using testing::App;
using testing::Fields;
using testing::filter;
using testing::FilterBench;
using testing::Reply;
using testing::Seen;

class JwtAuthn : public ::testing::Test {
 protected:
  void SetUp() override {
    bench.serve("app", app);
    const auto made = tls::generate_key(tls::KeyKind::kEcP256);
    ASSERT_TRUE(made.ok());
    key = *made;
    const auto jwk = tls::jwk_of(*tls::public_key_of(key), "k1");
    ASSERT_TRUE(jwk.ok());
    keys = R"({"keys": [)" + *jwk + "]}";
  }
  std::string token(const std::string& claims, const std::string& id = "k1") {
    return *tls::sign_jwt(claims, key, id);
  }
  static std::string quoted(const std::string& text) { return data::dump_json(data::Json(text)); }
  std::string provider(const std::string& more) const {
    return R"({"issuer": "i", "local_jwks": {"inline_string": )" + quoted(keys) + "}" +
           (more.empty() ? "" : ", " + more) + "}";
  }
  void configure(const std::string& one, const std::string& requires_ = R"("provider_name": "p")",
                 const std::string& more = "") {
    ASSERT_EQ(bench.configure(filter("envoy.filters.http.jwt_authn",
                                     "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
                                     R"("providers": {"p": )" + one +
                                         R"(}, "rules": [{"match": {"prefix": "/"},
                         "requires": {)" +
                                         requires_ + "}}]" + more)),
              "");
  }
  Reply ask(const std::string& claims) {
    return bench.call("GET", "/a?x=1", {{"authorization", "Bearer " + token(claims)}});
  }
  std::string later(int by = 100) {
    const auto now =
        std::chrono::duration_cast<seconds>(bench.loop->clock().wall().time_since_epoch());
    return std::to_string(now.count() + by);
  }

  Seen seen;
  App app{testing::answering(seen, {}, "ok")};
  FilterBench bench;
  std::string key, keys;
};

TEST_F(JwtAuthn, TheChallengeSaysWhatIsWrong) {
  configure(provider(R"("audiences": ["a1"])"));
  Reply reply = bench.call("GET", "/a?x=1");
  EXPECT_EQ(reply.status, 401);
  EXPECT_EQ(reply.body, "Jwt is missing");
  EXPECT_EQ(reply.get("www-authenticate"), R"(Bearer realm="http://example.com/a")");
  reply = bench.call("GET", "/", {{"authorization", "Bearer "}});
  EXPECT_EQ(reply.body, "Jwt is missing");
  reply = bench.call("GET", "/", {{"authorization", "Bearer abc"}});
  EXPECT_EQ(reply.body,
            "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections");
  EXPECT_EQ(reply.get("www-authenticate"),
            R"(Bearer realm="http://example.com/", error="invalid_token")");
  reply = ask(R"({"iss": "i", "aud": "zz"})");
  EXPECT_EQ(reply.status, 403);
  EXPECT_EQ(reply.body, "Audiences in Jwt are not allowed");
  EXPECT_EQ(reply.get("www-authenticate"),
            R"(Bearer realm="http://example.com/a", error="invalid_token")");
  EXPECT_EQ(ask(R"({"iss": "j"})").body, "Jwt issuer is not configured");
  EXPECT_EQ(ask(R"({"iss": "i", "exp": "soon"})").body,
            "Jwt payload [exp] field is not an integer");
  EXPECT_EQ(ask(R"({"iss": "i", "exp": -1})").body,
            "Jwt payload [exp] field is not a positive 64 bit integer");
  EXPECT_EQ(ask(R"({"iss": "i", "aud": 3})").body,
            "Jwt payload [aud] field is not a string or string list");
  EXPECT_EQ(ask(R"({"iss": "i", "nbf": )" + later(900) + "}").body, "Jwt not yet valid");
  EXPECT_EQ(ask(R"({"iss": "i", "exp": )" + later(-90) + "}").body, "Jwt is expired");
  reply = bench.call("GET", "/",
                     {{"authorization", "Bearer " + token(R"({"iss": "i", "aud": "a1"})", "k9")}});
  EXPECT_EQ(reply.body, "Jwks doesn't have key to match kid or alg from Jwt");
  EXPECT_EQ(ask(R"({"iss": "i", "aud": "a1", "exp": )" + later(-30) + "}").status, 200);  // skew
}

TEST_F(JwtAuthn, TheExplanationNamesProviderAndRule) {
  configure(provider(R"("audiences": ["a1"])"));
  const auto told = [this] {
    const auto last = bench.shared.failures.last(1);
    return last.empty() ? std::string() : last[0].reason;
  };
  ASSERT_EQ(ask(R"({"iss": "i", "aud": "zz"})").status, 403);
  EXPECT_EQ(
      told(),
      "the token was not accepted: Audiences in Jwt are not allowed; provider 'p' (issuer i); "
      "demanded by rule 0 (prefix /)");
  // None of several: each is named.
  configure(
      provider(
          R"("from_headers": [{"name": "x-a"}]}, "q": {"issuer": "j", "local_jwks": {"inline_string": )" +
          quoted(keys) + "}"),
      R"("requires_any": {"requirements": [{"provider_name": "p"}, {"provider_name": "q"}]})");
  ASSERT_EQ(bench.call("GET", "/").status, 401);
  EXPECT_EQ(
      told(),
      "the token was not accepted: Jwt is missing; provider 'p' (issuer i) or 'q' (issuer j); "
      "demanded by rule 0 (prefix /)");
}

TEST_F(JwtAuthn, SubjectsLifetimesAndExpirationAreDemanded) {
  configure(provider(R"("subjects": {"prefix": "good"})"));
  EXPECT_EQ(ask(R"({"iss": "i", "sub": "good1"})").status, 200);
  EXPECT_EQ(ask(R"({"iss": "i", "sub": "bad"})").body, "Jwt verification fails");
  EXPECT_EQ(ask(R"({"iss": "i"})").body, "Jwt verification fails");
  configure(provider(R"("require_expiration": true)"));
  EXPECT_EQ(ask(R"({"iss": "i"})").body, "Jwt verification fails");
  EXPECT_EQ(ask(R"({"iss": "i", "exp": )" + later() + "}").status, 200);
  configure(provider(R"("max_lifetime": "60s")"));
  EXPECT_EQ(ask(R"({"iss": "i", "exp": )" + later() + "}").status, 401);
  EXPECT_EQ(ask(R"({"iss": "i", "iat": )" + later(0) + R"(, "exp": )" + later(50) + "}").status,
            200);
  EXPECT_EQ(ask(R"({"iss": "i", "iat": )" + later(0) + R"(, "exp": )" + later(100) + "}").status,
            401);
}

TEST_F(JwtAuthn, WhatTheTokenSaysGoesOn) {
  configure(provider(R"("forward_payload_header": "x-payload", "pad_forward_payload_header": true,
      "claim_to_headers": [{"header_name": "x-c", "claim_name": "a.b"},
                           {"header_name": "x-list", "claim_name": "l"},
                           {"header_name": "x-flag", "claim_name": "f"}])"));
  const std::string claims = R"({"iss": "i",  "a": {"b": "cc"}, "l": ["x","y"], "f": true})";
  Reply reply = bench.call(
      "GET", "/",
      {{"authorization", "Bearer " + token(claims)}, {"x-c", "forged"}, {"x-payload", "forged"}});
  EXPECT_EQ(reply.status, 200);
  std::string payload = base64url_encode(claims);  // byte for byte, spaces included
  while (payload.size() % 4 != 0) payload += '=';
  EXPECT_EQ(seen.get("x-payload"), payload);
  EXPECT_EQ(seen.get("x-c"), "cc");
  EXPECT_EQ(seen.get("x-list"), base64url_encode(R"(["x","y"])"));
  EXPECT_EQ(seen.get("x-flag"), "true");
  EXPECT_EQ(seen.get("authorization"), "-");  // not forwarded
}

TEST_F(JwtAuthn, TokensAreTakenFromWhereTheyAreConfigured) {
  configure(provider(R"("from_headers": [{"name": "x-tok", "value_prefix": "Tok "}],
      "from_params": ["q"], "from_cookies": ["ck"])"));
  const std::string good = token(R"({"iss": "i"})");
  EXPECT_EQ(bench.call("GET", "/", {{"x-tok", "Tok " + good}}).status, 200);
  EXPECT_EQ(seen.get("x-tok"), "-");
  EXPECT_EQ(bench.call("GET", "/p?a=1&q=" + good + "&b=2").status, 200);
  EXPECT_EQ(seen.path, "/p?a=1&b=2");
  EXPECT_EQ(bench.call("GET", "/", {{"cookie", "z=1; ck=" + good}}).status, 200);
  EXPECT_EQ(bench.call("GET", "/", {{"authorization", "Bearer " + good}}).status, 401);
  configure(provider(R"("forward": true, "from_headers": [{"name": "x-tok"}])"));
  EXPECT_EQ(bench.call("GET", "/", {{"x-tok", good}}).status, 200);
  EXPECT_EQ(seen.get("x-tok"), good);
}

TEST_F(JwtAuthn, AFailureThatIsForgivenLeavesItsStatus) {
  configure(
      provider(R"("failed_status_in_metadata": "why", "header_in_metadata": "head",
      "payload_in_metadata": "claims")"),
      R"("requires_any": {"requirements": [{"provider_name": "p"}, {"allow_missing_or_failed": {}}]})");
  EXPECT_EQ(bench.call("GET", "/").status, 200);
  EXPECT_EQ(ask(R"({"iss": "i", "exp": 1})").status, 200);
  configure(provider(""),
            R"("requires_any": {"requirements": [{"provider_name": "p"}, {"allow_missing": {}}]})");
  EXPECT_EQ(bench.call("GET", "/").status, 200);
  EXPECT_EQ(ask(R"({"iss": "i", "exp": 1})").status, 401);
  configure(provider(R"("forward": true)"),
            R"("requires_all": {"requirements": [{"provider_name": "p"}, {"provider_and_audiences":
      {"provider_name": "p", "audiences": ["z"]}}]})");
  EXPECT_EQ(ask(R"({"iss": "i"})").status, 403);
  EXPECT_EQ(ask(R"({"iss": "i", "aud": ["z"]})").status, 200);
}

class RemoteKeys : public JwtAuthn {
 protected:
  void SetUp() override {
    JwtAuthn::SetUp();
    bench.serve("issuer", issuer);
  }
  static std::string remote(const std::string& more = "", const std::string& cluster = "issuer") {
    return R"({"issuer": "i", "remote_jwks": {"http_uri": {"uri": "http://keys.example/jwks",
        "cluster": ")" +
           cluster + R"(", "timeout": "5s"})" + (more.empty() ? "" : ", " + more) + "}}";
  }
  int fetches = 0;
  int status = 200;
  std::string path, authority;
  App issuer{[this](http::Exchange& exchange, http::Request request, http::Done done) {
    ++fetches;
    path = request.path;
    authority = request.authority;
    done(http::Response::text(exchange.arena, status, keys));
  }};
};

TEST_F(RemoteKeys, AreFetchedByTheFirstTokenAndKept) {
  configure(remote());
  EXPECT_EQ(bench.call("GET", "/").body, "Jwt is missing");
  EXPECT_EQ(fetches, 0);
  EXPECT_EQ(ask(R"({"iss": "i"})").status, 200);
  EXPECT_EQ(ask(R"({"iss": "i"})").status, 200);
  EXPECT_EQ(fetches, 1);
  EXPECT_EQ(path, "/jwks");
  EXPECT_EQ(authority, "keys.example");
}

TEST_F(RemoteKeys, AreFetchedAgainWhenTheirTimeIsOver) {
  configure(remote(R"("cache_duration": "0.05s")"));
  const SteadyTime end = bench.clock.steady() + seconds(20);
  while (fetches < 3 && bench.clock.steady() < end) ask(R"({"iss": "i"})");
  EXPECT_EQ(fetches, 3);
}

TEST_F(RemoteKeys, AFailedFetchRefusesTheTokenOnly) {
  status = 500;
  configure(remote());
  const Reply reply = ask(R"({"iss": "i"})");
  EXPECT_EQ(reply.status, 401);
  EXPECT_EQ(reply.body, "Jwks remote fetch is failed");
  status = 200;
  EXPECT_EQ(ask(R"({"iss": "i"})").status, 200);
  EXPECT_EQ(fetches, 2);
}

TEST_F(RemoteKeys, RetriesAsThePolicySays) {
  status = 503;
  configure(remote(
      R"("retry_policy": {"num_retries": 2, "retry_back_off": {"base_interval": "0.001s"}})"));
  EXPECT_EQ(ask(R"({"iss": "i"})").status, 401);
  EXPECT_EQ(fetches, 3);
}

TEST_F(RemoteKeys, AnUnknownClusterIsAFailure) {
  configure(remote("", "nowhere"));
  EXPECT_EQ(ask(R"({"iss": "i"})").body, "Jwks remote fetch is failed");
}

TEST_F(RemoteKeys, ComeAheadWithAsyncFetch) {
  configure(remote(R"("async_fetch": {})"));
  // The fetch begins with the loop: the first call finds it done, or waits for it.
  EXPECT_EQ(ask(R"({"iss": "i"})").status, 200);
  EXPECT_EQ(fetches, 1);
}

}  // namespace
}  // namespace lateen::proxy
