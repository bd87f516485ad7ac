// Owning pointers and error text for OpenSSL; included by tls/*.cc only.
#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lateen::tls {

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using BioPtr = std::unique_ptr<BIO, Freer<BIO_free_all>>;
using PkeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using X509Ptr = std::unique_ptr<X509, Freer<X509_free>>;
using CrlPtr = std::unique_ptr<X509_CRL, Freer<X509_CRL_free>>;
using ReqPtr = std::unique_ptr<X509_REQ, Freer<X509_REQ_free>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, Freer<GENERAL_NAMES_free>>;
using MdCtxPtr = std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>>;
using PkeyCtxPtr = std::unique_ptr<EVP_PKEY_CTX, Freer<EVP_PKEY_CTX_free>>;
using BignumPtr = std::unique_ptr<BIGNUM, Freer<BN_free>>;
using SslPtr = std::unique_ptr<SSL, Freer<SSL_free>>;
using SslCtxPtr = std::unique_ptr<SSL_CTX, Freer<SSL_CTX_free>>;
using SessionPtr = std::unique_ptr<SSL_SESSION, Freer<SSL_SESSION_free>>;
using StorePtr = std::unique_ptr<X509_STORE, Freer<X509_STORE_free>>;
using StoreCtxPtr = std::unique_ptr<X509_STORE_CTX, Freer<X509_STORE_CTX_free>>;

// The oldest queued OpenSSL error as text, and an empty queue after.
std::string take_openssl_error();
BioPtr bio_of(std::string_view bytes);  // reads from memory that outlives it
std::string text_of(BIO* memory);
Result<PkeyPtr> read_private_key(const std::string& pem);
// A public key, or the public half of a private key or certificate.
Result<PkeyPtr> read_public_key(const std::string& pem);
Result<std::vector<X509Ptr>> read_certificates(const std::string& pem);
std::string pem_of(X509* certificate);
std::string subject_of(X509* certificate);
struct Sans {
  std::vector<std::string> uris, dns, ips, emails;
};
Sans sans_of(const GENERAL_NAMES* names);
Sans sans_of(X509* certificate);

}  // namespace lateen::tls
