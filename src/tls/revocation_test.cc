// Revocation lists: a certificate that its issuer took back is refused, the others are not.
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "event/sim_loop.h"
#include "net/pipe.h"
#include "tls/context.h"
#include "tls/tls_test_support.h"
#include "tls/x509.h"

namespace lateen::tls {
namespace {

template <typename Handle, void (*Free)(Handle*)>
struct Freed {
  void operator()(Handle* handle) const { Free(handle); }
};
using Certificates = std::unique_ptr<X509, Freed<X509, X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY, EVP_PKEY_free>>;
using List = std::unique_ptr<X509_CRL, Freed<X509_CRL, X509_CRL_free>>;
using Bio = std::unique_ptr<BIO, Freed<BIO, BIO_free_all>>;

Bio open(const std::string& pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

struct Ca : testing::Ca {
  // The list of those it took back.
  std::string revoke(const std::vector<std::string>& leaves) const {
    const Bio of = open(certificate), with = open(key);
    const Certificates issuer(PEM_read_bio_X509(of.get(), nullptr, nullptr, nullptr));
    const Key signer(PEM_read_bio_PrivateKey(with.get(), nullptr, nullptr, nullptr));
    const List list(X509_CRL_new());
    X509_CRL_set_version(list.get(), 1);
    X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(issuer.get()));
    ASN1_TIME* now = X509_time_adj_ex(nullptr, 0, -60, nullptr);
    ASN1_TIME* next = X509_time_adj_ex(nullptr, 1, 0, nullptr);
    X509_CRL_set1_lastUpdate(list.get(), now);
    X509_CRL_set1_nextUpdate(list.get(), next);
    for (const std::string& pem : leaves) {
      const Bio bytes = open(pem);
      const Certificates leaf(PEM_read_bio_X509(bytes.get(), nullptr, nullptr, nullptr));
      X509_REVOKED* entry = X509_REVOKED_new();
      X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(leaf.get()));
      X509_REVOKED_set_revocationDate(entry, now);
      X509_CRL_add0_revoked(list.get(), entry);
    }
    ASN1_TIME_free(now);
    ASN1_TIME_free(next);
    X509_CRL_sort(list.get());
    EXPECT_GT(X509_CRL_sign(list.get(), signer.get(), EVP_sha256()), 0);
    const Bio out(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509_CRL(out.get(), list.get());
    char* data = nullptr;
    const auto size = BIO_get_mem_data(out.get(), &data);
    return {data, static_cast<std::size_t>(size)};
  }
};

// Whether a server that has this list takes the client.
bool is_taken(const Ca& ca, const Certificate& server, const Certificate& client,
              const std::string& list) {
  event::SimLoop loop;
  event::Scope scope;
  Options there, here;
  there.certificates = {server};
  here.certificates = {client};
  there.trusted_ca_pem = here.trusted_ca_pem = ca.certificate;
  there.is_peer_required = here.is_peer_required = true;
  there.crl_pem = list;
  auto [a, b] = net::make_pipe(loop);
  bool is_accepted = false;
  auto server_context = Context::make(Context::Role::kServer, there);
  auto client_context = Context::make(Context::Role::kClient, here);
  EXPECT_TRUE(server_context.ok() && client_context.ok());
  if (!server_context.ok() || !client_context.ok()) return false;
  accept(scope, loop, *server_context, std::move(a), seconds(5),
         [&](auto result) { is_accepted = result.ok(); });
  std::unique_ptr<net::Stream> kept;
  connect(scope, loop, *client_context, std::move(b), "", {}, seconds(5), [&](auto result) {
    if (result.ok()) kept = *std::move(result);
  });
  loop.run_for(milliseconds(100));
  return is_accepted;
}

TEST(Revocation, OnlyWhatWasTakenBackIsRefused) {
  const Ca ca;
  const Certificate server = ca.issue_for("spiffe://cluster.local/ns/istio-system/sa/istiod");
  const Certificate good = ca.issue_for("spiffe://cluster.local/ns/a/sa/alice");
  const Certificate bad = ca.issue_for("spiffe://cluster.local/ns/b/sa/bob");
  EXPECT_TRUE(is_taken(ca, server, bad, ""));  // nobody said so yet
  const std::string list = ca.revoke({bad.chain_pem});
  EXPECT_TRUE(is_taken(ca, server, good, list));
  EXPECT_FALSE(is_taken(ca, server, bad, list));
  EXPECT_TRUE(is_taken(ca, server, bad, ca.revoke({})));
}

// A list that another signed says nothing, so nobody is known to be good.
TEST(Revocation, AListMustBeOfTheIssuer) {
  const Ca ca, other;
  const Certificate server = ca.issue_for("spiffe://cluster.local/ns/istio-system/sa/istiod");
  const Certificate client = ca.issue_for("spiffe://cluster.local/ns/a/sa/alice");
  EXPECT_FALSE(is_taken(ca, server, client, other.revoke({})));
}

}  // namespace
}  // namespace lateen::tls
