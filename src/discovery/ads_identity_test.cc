// Who is served at the secure door, what the others are told, and that each refusal is counted.
#include "discovery/ads_test_support.h"
#include "xds/wire.h"

namespace lateen::discovery {
namespace {

class AdsIdentity : public AdsTest {
 protected:
  // What becomes of a proxy of default/web with these credentials.
  Code outcome(const std::string& token, const std::vector<std::string>& uris,
               const std::string& ns = "default") {
    net::TlsInfo tls;
    tls.has_peer_certificate = !uris.empty();
    tls.peer_uri_sans = uris;
    auto client = connect(secure_, token, &tls);
    send(*client, xds::kClusterType, {}, "", ns);
    const Code code = client->ended ? client->ended->code : Code::kOk;
    EXPECT_EQ(client->responses.empty(), code != Code::kOk);
    client.reset();
    loop_.run_for(milliseconds(5));
    served_.clear();  // they look at `tls`
    return code;
  }
  double refused() const { return metrics_.value("pilot_total_xds_internal_errors"); }
};

TEST_F(AdsIdentity, CertificatesOfThisMeshProveTheirOwner) {
  EXPECT_EQ(outcome("", {"spiffe://cluster.local/ns/default/sa/web"}), Code::kOk);
  EXPECT_EQ(refused(), 0);
  // Another account's, another namespace's.
  EXPECT_EQ(outcome("", {"spiffe://cluster.local/ns/default/sa/other"}), Code::kPermissionDenied);
  EXPECT_EQ(outcome("", {"spiffe://cluster.local/ns/other/sa/web"}), Code::kPermissionDenied);
  EXPECT_EQ(outcome("", {"spiffe://cluster.local/ns/default/sa/web"}, "other"),
            Code::kPermissionDenied);
  EXPECT_EQ(refused(), 3);
}

// As istiod: the names of other trust domains are not of this mesh's nodes, whoever signed them.
TEST_F(AdsIdentity, CertificatesOfForeignTrustDomainsProveNothing) {
  EXPECT_EQ(outcome("", {"spiffe://elsewhere/ns/default/sa/web"}), Code::kUnauthenticated);
  EXPECT_EQ(outcome("", {"spiffe://cluster.local.evil/ns/default/sa/web"}), Code::kUnauthenticated);
  EXPECT_EQ(outcome("", {"https://cluster.local/ns/default/sa/web"}), Code::kUnauthenticated);
  EXPECT_EQ(refused(), 3);
  // Beside a token that proves who it is they do no harm.
  EXPECT_EQ(outcome("default/web", {"spiffe://elsewhere/ns/other/sa/root"}), Code::kOk);
  EXPECT_EQ(refused(), 3);
}

TEST_F(AdsIdentity, TokensProveTheirOwnerOnly) {
  EXPECT_EQ(outcome("default/web", {}), Code::kOk);
  EXPECT_EQ(outcome("default/other", {}), Code::kPermissionDenied);
  EXPECT_EQ(outcome("forged", {}), Code::kUnauthenticated);
  EXPECT_EQ(outcome("", {}), Code::kUnauthenticated);
  EXPECT_EQ(refused(), 3);
}

TEST_F(AdsIdentity, ABadRequestIsCountedAndHarmsNobodyElse) {
  auto good = connect(plain_);
  send(*good, xds::kClusterType);
  auto torn = connect(plain_);
  torn->call->send(std::string("\x0a\xff\xff\xff\xff\x0f", 6));
  loop_.run_for(milliseconds(5));
  ASSERT_TRUE(torn->ended);
  EXPECT_EQ(torn->ended->code, Code::kInvalidArgument);
  auto nameless = connect(plain_);
  xds_v3::DiscoveryRequest request;
  request.set_type_url(std::string(xds::kClusterType));
  nameless->call->send(request.SerializeAsString());
  loop_.run_for(milliseconds(5));
  ASSERT_TRUE(nameless->ended);
  EXPECT_EQ(nameless->ended->code, Code::kInvalidArgument);
  EXPECT_EQ(refused(), 2);
  EXPECT_FALSE(good->ended);
  mesh_.service("ratings", "10.96.0.2", 9080, "http", {"v1"});
  publish(full());
  EXPECT_EQ(good->responses.size(), 2u);
}

constexpr const char* kProxyConfig = "type.googleapis.com/istio.mesh.v1alpha1.ProxyConfig";

std::vector<std::string> roots_in(const xds_v3::DiscoveryResponse& response) {
  std::vector<std::string> out;
  for (const auto& any : response.resources()) {
    EXPECT_EQ(any.type_url(), kProxyConfig);
    xds::wire::Reader reader(any.value());
    while (const auto field = reader.next()) {
      EXPECT_EQ(field->number, 34);  // ca_certificates_pem
      out.emplace_back(field->bytes);
    }
  }
  return out;
}

using Roots = std::vector<std::string>;

TEST_F(AdsTest, TellsAgentsTheRootsToTrust) {
  ads_.set_trust_bundle({"one"});
  auto agent = connect(plain_);
  auto proxy = connect(plain_);
  send(*proxy, xds::kClusterType);
  send(*agent, kProxyConfig);
  ASSERT_EQ(agent->responses.size(), 1u);
  EXPECT_EQ(roots_in(agent->responses[0]), Roots{"one"});
  send(*agent, kProxyConfig, {}, agent->responses[0].nonce());
  EXPECT_EQ(agent->responses.size(), 1u);

  // The root is rotated: both for a while, then the new one.
  ads_.set_trust_bundle({"one", "two"});
  loop_.run_for(milliseconds(5));
  ASSERT_EQ(agent->responses.size(), 2u);
  EXPECT_EQ(roots_in(agent->responses[1]), (Roots{"one", "two"}));
  ads_.set_trust_bundle({"one", "two"});
  publish(full());
  EXPECT_EQ(agent->responses.size(), 2u);
  ads_.set_trust_bundle({"two"});
  loop_.run_for(milliseconds(5));
  ASSERT_EQ(agent->responses.size(), 3u);
  EXPECT_EQ(roots_in(agent->responses[2]), Roots{"two"});
  EXPECT_EQ(proxy->responses.size(), 1u);  // it did not ask
}

}  // namespace
}  // namespace lateen::discovery
