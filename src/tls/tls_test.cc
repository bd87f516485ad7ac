#include <gtest/gtest.h>

#include "event/sim_loop.h"
#include "net/pipe.h"
#include "tls/context.h"
#include "tls/jwt.h"
#include "tls/tls_test_support.h"
#include "tls/x509.h"

namespace lateen::tls {
namespace {

using testing::Ca;

constexpr char kAlice[] = "spiffe://cluster.local/ns/a/sa/alice";
constexpr char kBob[] = "spiffe://cluster.local/ns/b/sa/bob";

struct Outcome {
  Result<std::unique_ptr<net::Stream>> server = internal("unfinished");
  Result<std::unique_ptr<net::Stream>> client = internal("unfinished");
};

Outcome shake(event::SimLoop& loop, event::Scope& scope, const Options& server,
              const Options& client, const std::string& sni = "") {
  auto [a, b] = net::make_pipe(loop);
  Outcome outcome;
  auto server_context = Context::make(Context::Role::kServer, server).value();
  auto client_context = Context::make(Context::Role::kClient, client).value();
  accept(scope, loop, server_context, std::move(a), seconds(5),
         [&](auto r) { outcome.server = std::move(r); });
  connect(scope, loop, client_context, std::move(b), sni, {}, seconds(5),
          [&](auto r) { outcome.client = std::move(r); });
  loop.run_for(milliseconds(100));
  return outcome;
}

Options mutual(const Ca& ca, const Certificate& own) {
  Options options;
  options.certificates = {own};
  options.trusted_ca_pem = ca.certificate;
  options.is_peer_required = true;
  return options;
}

}  // namespace

TEST(Tls, MutualHandshakeTellsNamesAndCarriesBytes) {
  event::SimLoop loop;
  event::Scope scope;
  const Ca ca;
  Options server = mutual(ca, ca.issue_for(kBob)), client = mutual(ca, ca.issue_for(kAlice));
  server.alpn = {"istio-h2", "istio"};
  client.alpn = {"istio-peer-exchange", "istio"};
  client.peer_sans = {{SanMatch::Kind::kExact, SanMatch::Type::kAny, kBob}};
  Outcome outcome = shake(loop, scope, server, client, "outbound_.9080_._.reviews");
  ASSERT_TRUE(outcome.server) << outcome.server.error().message();
  ASSERT_TRUE(outcome.client) << outcome.client.error().message();
  EXPECT_EQ((*outcome.server)->tls()->peer_uri_sans, std::vector<std::string>{kAlice});
  EXPECT_EQ((*outcome.client)->tls()->peer_uri_sans, std::vector<std::string>{kBob});
  EXPECT_EQ((*outcome.server)->tls()->alpn, "istio");
  EXPECT_EQ((*outcome.server)->tls()->server_name, "outbound_.9080_._.reviews");

  const std::string big(100'000, 'z');
  Buffer out(big), in;
  (*outcome.client)->write(out);
  (*outcome.client)->on_ready([&](bool, bool) { (*outcome.client)->write(out); });
  (*outcome.server)->on_ready([&](bool, bool) {
    while ((*outcome.server)->read(in, 4096).state == net::IoState::kOk) {
    }
  });
  loop.run_for(milliseconds(100));
  EXPECT_EQ(in.size(), big.size());
  EXPECT_EQ(in.to_string(), big);
  outcome.client = internal("closed");
  loop.run_for(milliseconds(10));
  EXPECT_EQ((*outcome.server)->read(in, 10).state, net::IoState::kEof);
}

TEST(Tls, WrongIdentityIsNamed) {
  event::SimLoop loop;
  event::Scope scope;
  const Ca ca;
  Options server = mutual(ca, ca.issue_for(kBob)), client = mutual(ca, ca.issue_for(kAlice));
  client.peer_sans = {
      {SanMatch::Kind::kExact, SanMatch::Type::kAny, "spiffe://cluster.local/ns/b/sa/carol"}};
  const Outcome outcome = shake(loop, scope, server, client);
  ASSERT_FALSE(outcome.client);
  EXPECT_NE(outcome.client.error().message().find(kBob), std::string::npos)
      << outcome.client.error().message();
  EXPECT_NE(outcome.client.error().message().find("carol"), std::string::npos);
  EXPECT_EQ(outcome.client.error().code(), Code::kUnauthenticated);
}

TEST(Tls, ForeignCaAndMissingClientCertificateFail) {
  event::SimLoop loop;
  event::Scope scope;
  const Ca ca, other;
  Options server = mutual(ca, ca.issue_for(kBob));
  const Outcome foreign = shake(loop, scope, server, mutual(ca, other.issue_for(kAlice)));
  ASSERT_FALSE(foreign.server);
  Options bare;
  bare.trusted_ca_pem = ca.certificate;
  EXPECT_FALSE(shake(loop, scope, server, bare).server);
}

TEST(Tls, ServerPicksCertificateBySni) {
  event::SimLoop loop;
  event::Scope scope;
  const Ca ca;
  Options server;
  server.certificates = {ca.issue_for(kAlice, "a.example"), ca.issue_for(kBob, "*.b.example")};
  Options client;
  client.trusted_ca_pem = ca.certificate;
  EXPECT_EQ((*shake(loop, scope, server, client, "x.b.example").client)->tls()->peer_uri_sans[0],
            kBob);
  EXPECT_EQ((*shake(loop, scope, server, client, "other").client)->tls()->peer_uri_sans[0], kAlice);
}

TEST(Tls, MismatchedKeyIsRefused) {
  const Ca ca;
  Options options;
  options.certificates = {{ca.issue_for(kBob).chain_pem, generate_key(KeyKind::kEcP256).value()}};
  const auto context = Context::make(Context::Role::kServer, options);
  ASSERT_FALSE(context);
  EXPECT_NE(context.error().message().find("does not belong"), std::string::npos);
}

TEST(X509, CsrRoundTripAndChain) {
  const Ca ca;
  const std::string key = generate_key(KeyKind::kRsa2048).value();
  Names names;
  names.uris = {kAlice};
  names.dns = {"a.example"};
  names.ips = {"10.1.2.3", "::1"};
  const Csr csr = parse_csr(make_csr(key, names).value()).value();
  EXPECT_EQ(csr.names.uris, names.uris);
  IssueOptions options;
  options.names = csr.names;
  options.not_before = SystemClock().wall() - minutes(2);
  options.not_after = SystemClock().wall() + hours(1);
  const std::string leaf = issue(options, csr.public_key_pem, ca.certificate, ca.key).value();
  const CertificateInfo info = parse_certificate(leaf).value();
  EXPECT_EQ(info.names.ips, names.ips);
  EXPECT_FALSE(info.is_ca);
  EXPECT_TRUE(check_key_match(leaf, key));
  EXPECT_TRUE(verify_chain(leaf, ca.certificate, SystemClock().wall()));
  EXPECT_FALSE(verify_chain(leaf, ca.certificate, SystemClock().wall() + hours(2)));
  EXPECT_FALSE(verify_chain(leaf, Ca().certificate, SystemClock().wall()));
  EXPECT_FALSE(
      parse_csr("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"));
}

TEST(Jwt, SignsAndVerifiesWithRsaAndEc) {
  for (const KeyKind kind : {KeyKind::kRsa2048, KeyKind::kEcP256, KeyKind::kEcP384}) {
    const std::string key = generate_key(kind).value();
    const std::string other = public_key_of(generate_key(kind).value()).value();
    const std::string token = sign_jwt(R"({"sub":"x"})", key, "k1").value();
    JwtParts parts = split_jwt(token).value();
    EXPECT_EQ(parts.claims_json, R"({"sub":"x"})");
    const std::string algorithm = kind == KeyKind::kRsa2048  ? "RS256"
                                  : kind == KeyKind::kEcP256 ? "ES256"
                                                             : "ES384";
    EXPECT_TRUE(verify_jws(parts, algorithm, public_key_of(key).value()));
    EXPECT_FALSE(verify_jws(parts, algorithm, other));
    EXPECT_FALSE(verify_jws(parts, "none", public_key_of(key).value()));
    EXPECT_FALSE(verify_jws(parts, kind == KeyKind::kRsa2048 ? "ES256" : "RS256",
                            public_key_of(key).value()));
    parts.signed_text += "x";
    EXPECT_FALSE(verify_jws(parts, algorithm, public_key_of(key).value()));
  }
  EXPECT_FALSE(split_jwt("a.b"));
}

TEST(Jwt, JwkRoundTrip) {
  const std::string pem = public_key_of(generate_key(KeyKind::kEcP256).value()).value();
  const std::string jwk = jwk_of(pem, "k").value();
  const auto field = [&](const std::string& name) {
    const auto at = jwk.find("\"" + name + "\":\"") + name.size() + 4;
    return jwk.substr(at, jwk.find('"', at) - at);
  };
  EXPECT_EQ(ec_jwk_to_pem(field("crv"), field("x"), field("y")).value(), pem);
}

}  // namespace lateen::tls
