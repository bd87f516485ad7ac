#include "ca/authority.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <mutex>

#include "ca/material_source.h"
#include "ca/root_publisher.h"
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

// A plugged-in CA as its administrator writes it: an intermediate below a root.
Material plugged_in(tls::KeyKind kind) {
  const std::string root_key = *tls::generate_key(kind);
  tls::IssueOptions issue;
  issue.names.organizations = {"Acme root"};
  issue.not_before = kNow - minutes(2);
  issue.not_after = kNow + hours(24 * 365);
  issue.is_ca = true;
  issue.is_server = issue.is_client = false;
  Material out;
  out.root_pem = *tls::self_sign(issue, root_key);
  out.key_pem = *tls::generate_key(kind);
  issue.names.organizations = {"Acme mesh"};
  out.certificate_pem = *tls::issue(issue, out.key_pem, out.root_pem, root_key);
  out.chain_pem = out.certificate_pem;
  return out;
}

TEST(Authority, SignsWithPluggedInKeysOfBothKinds) {
  for (const auto kind : {tls::KeyKind::kEcP256, tls::KeyKind::kRsa2048}) {
    Material material = plugged_in(kind);
    // A second root, as while roots are rotated.
    const std::string own_root = material.root_pem;
    material.root_pem += plugged_in(tls::KeyKind::kEcP256).root_pem;
    const auto ca = Authority::make(material);
    ASSERT_TRUE(ca.ok()) << ca.error().message();
    const std::string key = *tls::generate_key(tls::KeyKind::kEcP256);
    const auto chain =
        ca->sign_csr(*tls::make_csr(key, {}), "spiffe://cluster.local/ns/a/sa/b", seconds(0), kNow);
    ASSERT_TRUE(chain.ok()) << chain.error().message();
    ASSERT_EQ(chain->size(), 3u);  // leaf, intermediate, roots
    EXPECT_EQ(tls::parse_certificates(chain->back())->size(), 2u);
    EXPECT_TRUE(tls::verify_chain((*chain)[0] + (*chain)[1], own_root, kNow).ok());
    EXPECT_EQ(ca->root_expiry(), kNow + hours(24 * 365));
  }
  Material mixed = plugged_in(tls::KeyKind::kEcP256);
  mixed.key_pem = *tls::generate_key(tls::KeyKind::kEcP256);
  EXPECT_FALSE(Authority::make(mixed).ok());  // another key
}

TEST(MaterialSource, ReadsThePluggedInCaWithItsLists) {
  const std::string folder =
      (std::filesystem::temp_directory_path() / ("lateen-ca-" + std::to_string(getpid()))).string();
  std::filesystem::create_directories(folder);
  const Material wanted = plugged_in(tls::KeyKind::kEcP256);
  const auto write = [&](const char* name, const std::string& text) {
    std::ofstream(folder + "/" + name) << text;
  };
  write("ca-cert.pem", wanted.certificate_pem);
  write("ca-key.pem", wanted.key_pem);
  write("cert-chain.pem", wanted.chain_pem);
  write("root-cert.pem", wanted.root_pem);
  kube::MemoryServer server;
  kube::Client client(server.transport());
  const SourceOptions options{.directory = folder};
  auto found = load_material(client, options, kNow);
  ASSERT_TRUE(found.ok()) << found.error().message();
  EXPECT_EQ(found->certificate_pem, wanted.certificate_pem);
  EXPECT_EQ(found->crl_pem, "");
  write("ca-crl.pem", "-----BEGIN X509 CRL-----");
  found = load_material(client, options, kNow);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->crl_pem, "-----BEGIN X509 CRL-----");
  std::filesystem::remove_all(folder);
}

TEST(RootPublisher, PutsListsIntoEveryNamespace) {
  kube::MemoryServer server;
  kube::Client client(server.transport());
  for (const char* name : {"default", "shop", "kube-system"}) {
    server.put(data::JsonObject{{"apiVersion", "v1"},
                                {"kind", "Namespace"},
                                {"metadata", data::JsonObject{{"name", name}}}});
  }
  std::mutex mutex;
  std::string text = "first";
  RootPublisher lists(
      client,
      [&] {
        const std::lock_guard lock(mutex);
        return text;
      },
      RootPublisher::crl_place());
  lists.start();
  const auto published = [&](std::string_view wanted) {
    int count = 0;
    for (const auto& map : server.all(kube::resources::config_maps())) {
      count += kube::name_of(map) == "istio-ca-crl" &&
               data::get_string(map, {"data", "ca-crl.pem"}) == wanted;
    }
    return count == 2;
  };
  EXPECT_TRUE(server.wait_until([&] { return published("first"); }));
  {
    const std::lock_guard lock(mutex);
    text = "second";
  }
  lists.republish();
  EXPECT_TRUE(server.wait_until([&] { return published("second"); }));
}

TEST(Spiffe, ParsesOnlyWorkloads) {
  EXPECT_EQ(parse_spiffe("spiffe://td/ns/a/sa/b")->service_account, "b");
  EXPECT_FALSE(parse_spiffe("spiffe://td/ns/a").ok());
  EXPECT_FALSE(parse_spiffe("https://td/ns/a/sa/b").ok());
}

}  // namespace
}  // namespace lateen::ca
