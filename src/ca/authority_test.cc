#include "ca/authority.h"

#include <gtest/gtest.h>

#include "ca/material_source.h"
#include "ca/token_reviewer.h"
#include "kube/memory_server.h"
#include "tls/x509.h"

namespace lateen::ca {
namespace {

const WallTime kNow{seconds(1'800'000'000)};

Authority authority() {
  auto material = Authority::self_signed("cluster.local", kNow);
  EXPECT_TRUE(material.ok());
  auto made = Authority::make(*std::move(material));
  EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message());
  return *std::move(made);
}

TEST(Authority, SignsForTheProvenIdentityOnly) {
  const Authority ca = authority();
  const std::string key = *tls::generate_key(tls::KeyKind::kEcP256);
  // What the CSR asks for does not count.
  const std::string csr = *tls::make_csr(key, {.uris = {"spiffe://cluster.local/ns/evil/sa/root"}});
  const auto chain = ca.sign_csr(csr, "spiffe://cluster.local/ns/default/sa/web", seconds(0), kNow);
  ASSERT_TRUE(chain.ok()) << chain.error().message();
  ASSERT_EQ(chain->size(), 2u);
  const auto leaf = *tls::parse_certificate(chain->front());
  EXPECT_EQ(leaf.names.uris, std::vector<std::string>{"spiffe://cluster.local/ns/default/sa/web"});
  EXPECT_EQ(leaf.not_after, kNow + hours(24));
  EXPECT_FALSE(leaf.is_ca);
  EXPECT_EQ(chain->back(), ca.root_pem());
  EXPECT_TRUE(tls::verify_chain(chain->front(), ca.root_pem(), kNow).ok());
  EXPECT_TRUE(tls::check_key_match(chain->front(), key).ok());
  EXPECT_FALSE(ca.sign_csr("no csr", "spiffe://x/ns/a/sa/b", seconds(0), kNow).ok());
}

TEST(Authority, CutsLongLivesAndServes) {
  const Authority ca = authority();
  const std::string key = *tls::generate_key(tls::KeyKind::kEcP256);
  const auto chain = ca.sign_csr(*tls::make_csr(key, {}), "spiffe://cluster.local/ns/a/sa/b",
                                 hours(24 * 5000), kNow);
  ASSERT_TRUE(chain.ok());
  EXPECT_EQ(tls::parse_certificate(chain->front())->not_after, kNow + hours(24 * 90));
  const auto serving = ca.issue_serving({"istiod.istio-system.svc"}, "", hours(24), kNow);
  ASSERT_TRUE(serving.ok());
  EXPECT_EQ(tls::parse_certificate(serving->chain_pem)->names.dns,
            std::vector<std::string>{"istiod.istio-system.svc"});
}

TEST(MaterialSource, FirstMakesSecondReads) {
  kube::MemoryServer server;
  kube::Client client(server.transport());
  const SourceOptions options{.directory = "/nonexistent"};
  const auto first = load_material(client, options, kNow);
  ASSERT_TRUE(first.ok()) << first.error().message();
  const auto second = load_material(client, options, kNow);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(first->root_pem, second->root_pem);
  EXPECT_EQ(first->key_pem, second->key_pem);
  // Near its end the root is renewed with the same key.
  const auto renewed = renew_if_due(client, options, kNow + hours(24 * 3600));
  ASSERT_TRUE(renewed.ok()) << renewed.error().message();
  EXPECT_NE(renewed->root_pem, first->root_pem);
  EXPECT_EQ(renewed->key_pem, first->key_pem);
}

TEST(Spiffe, ParsesOnlyWorkloads) {
  EXPECT_EQ(parse_spiffe("spiffe://td/ns/a/sa/b")->service_account, "b");
  EXPECT_FALSE(parse_spiffe("spiffe://td/ns/a").ok());
  EXPECT_FALSE(parse_spiffe("https://td/ns/a/sa/b").ok());
}

}  // namespace
}  // namespace lateen::ca
