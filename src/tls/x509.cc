// Certificates by OpenSSL's X509 API; every extension written is one that istiod and Kubernetes
// write too.
#include "tls/x509.h"

#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include <ctime>

#include "base/strings.h"
#include "tls/openssl.h"

namespace lateen::tls {
namespace {

Error failed(const char* what) { return internal(std::string(what) + ": " + take_openssl_error()); }

void set_subject(X509_NAME* name, const Names& names) {
  const auto add = [&](const char* field, const std::string& value) {
    X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(value.data()),
                               static_cast<int>(value.size()), -1, 0);
  };
  for (const auto& organization : names.organizations) add("O", organization);
  if (!names.common_name.empty()) add("CN", names.common_name);
}

Names names_of(const X509_NAME* subject, const Sans& sans) {
  Names names;
  for (int i = 0; i < X509_NAME_entry_count(subject); ++i) {
    const X509_NAME_ENTRY* entry = X509_NAME_get_entry(subject, i);
    const ASN1_STRING* data = X509_NAME_ENTRY_get_data(entry);
    std::string value(reinterpret_cast<const char*>(ASN1_STRING_get0_data(data)),
                      static_cast<std::size_t>(ASN1_STRING_length(data)));
    const int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
    if (nid == NID_commonName) names.common_name = std::move(value);
    else if (nid == NID_organizationName) names.organizations.push_back(std::move(value));
  }
  names.uris = sans.uris;
  names.dns = sans.dns;
  names.ips = sans.ips;
  return names;
}

Result<> push_name(GENERAL_NAMES* into, int type, const std::string& value) {
  GENERAL_NAME* name = nullptr;
  if (type == GEN_IPADD) {
    name = a2i_GENERAL_NAME(nullptr, nullptr, nullptr, GEN_IPADD, value.c_str(), 0);
  } else {
    ASN1_IA5STRING* text = ASN1_IA5STRING_new();
    ASN1_STRING_set(text, value.data(), static_cast<int>(value.size()));
    name = GENERAL_NAME_new();
    GENERAL_NAME_set0_value(name, type, text);
  }
  if (name == nullptr) return invalid("\"" + value + "\" cannot be a subject alternative name");
  sk_GENERAL_NAME_push(into, name);
  return {};
}

Result<NamesPtr> general_names(const Names& names) {
  NamesPtr out(sk_GENERAL_NAME_new_null());
  for (const auto& uri : names.uris) TRY(push_name(out.get(), GEN_URI, uri));
  for (const auto& dns : names.dns) TRY(push_name(out.get(), GEN_DNS, dns));
  for (const auto& ip : names.ips) TRY(push_name(out.get(), GEN_IPADD, ip));
  return out;
}

Result<> add_extension(X509* to, X509V3_CTX* context, int nid, const std::string& value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, context, nid, value.c_str());
  if (extension == nullptr) return failed("certificate extension");
  X509_add_ext(to, extension, -1);
  X509_EXTENSION_free(extension);
  return {};
}

Result<> set_random_serial(X509* certificate) {
  const std::string bytes = random_bytes(16);
  const BignumPtr number(
      BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()), 16, nullptr));
  BN_clear_bit(number.get(), 127);  // Positive within 16 bytes.
  if (BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) == nullptr)
    return failed("serial number");
  return {};
}

void set_time(ASN1_TIME* time, WallTime at) {
  ASN1_TIME_set(time, std::chrono::duration_cast<seconds>(at.time_since_epoch()).count());
}

const EVP_MD* digest_for(EVP_PKEY* key) {
  const int id = EVP_PKEY_base_id(key);
  if (id == EVP_PKEY_ED25519) return nullptr;
  return id == EVP_PKEY_EC && EVP_PKEY_bits(key) > 256 ? EVP_sha384() : EVP_sha256();
}

Result<std::string> build(const IssueOptions& options, EVP_PKEY* subject_key, X509* issuer,
                          EVP_PKEY* issuer_key) {
  const X509Ptr certificate(X509_new());
  X509_set_version(certificate.get(), 2);
  TRY(set_random_serial(certificate.get()));
  set_time(X509_getm_notBefore(certificate.get()), options.not_before);
  set_time(X509_getm_notAfter(certificate.get()), options.not_after);
  set_subject(X509_get_subject_name(certificate.get()), options.names);
  X509* signer = issuer != nullptr ? issuer : certificate.get();
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(signer));
  X509_set_pubkey(certificate.get(), subject_key);

  X509V3_CTX context;
  X509V3_set_ctx(&context, signer, certificate.get(), nullptr, nullptr, 0);
  if (options.is_ca) {
    TRY(add_extension(certificate.get(), &context, NID_key_usage,
                      "critical,digitalSignature,keyCertSign,cRLSign"));
  } else {
    TRY(add_extension(certificate.get(), &context, NID_key_usage,
                      "critical,digitalSignature,keyEncipherment"));
    std::string usage = options.is_server ? "serverAuth" : "";
    if (options.is_client) usage += usage.empty() ? "clientAuth" : ",clientAuth";
    if (!usage.empty()) TRY(add_extension(certificate.get(), &context, NID_ext_key_usage, usage));
  }
  TRY(add_extension(certificate.get(), &context, NID_basic_constraints,
                    options.is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE"));
  TRY(add_extension(certificate.get(), &context, NID_subject_key_identifier, "hash"));
  if (issuer != nullptr && X509_get0_subject_key_id(issuer) != nullptr) {
    TRY(add_extension(certificate.get(), &context, NID_authority_key_identifier, "keyid"));
  }
  const NamesPtr sans = TRY(general_names(options.names));
  if (sk_GENERAL_NAME_num(sans.get()) > 0) {
    // RFC 5280 §4.2.1.6: critical when the subject is empty.
    const bool is_critical = options.is_san_critical ||
                             X509_NAME_entry_count(X509_get_subject_name(certificate.get())) == 0;
    X509_add1_ext_i2d(certificate.get(), NID_subject_alt_name, sans.get(), is_critical ? 1 : 0, 0);
  }
  if (X509_sign(certificate.get(), issuer_key, digest_for(issuer_key)) == 0)
    return failed("signing a certificate");
  return pem_of(certificate.get());
}

WallTime time_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return WallTime{};
  return WallTime(seconds(timegm(&parts)));
}

CertificateInfo info_of(X509* certificate) {
  CertificateInfo info;
  info.names = names_of(X509_get_subject_name(certificate), sans_of(certificate));
  info.subject = subject_of(certificate);
  const BioPtr issuer(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(issuer.get(), X509_get_issuer_name(certificate), 0, XN_FLAG_RFC2253);
  info.issuer = text_of(issuer.get());
  const BignumPtr serial(ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr));
  char* decimal = BN_bn2dec(serial.get());
  info.serial_decimal = decimal;
  OPENSSL_free(decimal);
  char* hex = BN_bn2hex(serial.get());
  info.serial_hex = to_lower(hex);
  OPENSSL_free(hex);
  info.not_before = time_of(X509_get0_notBefore(certificate));
  info.not_after = time_of(X509_get0_notAfter(certificate));
  info.is_ca = X509_check_ca(certificate) > 0;
  info.pem = pem_of(certificate);
  return info;
}

}  // namespace

Result<std::string> generate_key(KeyKind kind) {
  PkeyPtr key;
  switch (kind) {
    case KeyKind::kEcP256: key.reset(EVP_EC_gen("P-256")); break;
    case KeyKind::kEcP384: key.reset(EVP_EC_gen("P-384")); break;
    case KeyKind::kRsa2048: key.reset(EVP_RSA_gen(2048)); break;
    case KeyKind::kRsa4096: key.reset(EVP_RSA_gen(4096)); break;
  }
  if (key == nullptr) return failed("generating a key");
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) !=
      1) {
    return failed("writing a key");
  }
  return text_of(bio.get());
}

Result<std::string> make_csr(const std::string& key_pem, const Names& names) {
  const PkeyPtr key = TRY(read_private_key(key_pem));
  const ReqPtr request(X509_REQ_new());
  X509_REQ_set_version(request.get(), 0);
  set_subject(X509_REQ_get_subject_name(request.get()), names);
  X509_REQ_set_pubkey(request.get(), key.get());
  const NamesPtr sans = TRY(general_names(names));
  if (sk_GENERAL_NAME_num(sans.get()) > 0) {
    STACK_OF(X509_EXTENSION)* extensions = sk_X509_EXTENSION_new_null();
    X509V3_add1_i2d(&extensions, NID_subject_alt_name, sans.get(), 1, X509V3_ADD_DEFAULT);
    X509_REQ_add_extensions(request.get(), extensions);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
  }
  if (X509_REQ_sign(request.get(), key.get(), digest_for(key.get())) == 0)
    return failed("signing a request");
  const BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509_REQ(bio.get(), request.get());
  return text_of(bio.get());
}

Result<Csr> parse_csr(const std::string& pem) {
  const BioPtr bio = bio_of(pem);
  const ReqPtr request(PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr));
  if (request == nullptr) return invalid("not a PEM certificate request: " + take_openssl_error());
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  if (key == nullptr || X509_REQ_verify(request.get(), key) != 1) {
    ERR_clear_error();
    return invalid("certificate request: its signature does not match its public key");
  }
  Csr csr;
  STACK_OF(X509_EXTENSION)* extensions = X509_REQ_get_extensions(request.get());
  const NamesPtr names(static_cast<GENERAL_NAMES*>(
      X509V3_get_d2i(extensions, NID_subject_alt_name, nullptr, nullptr)));
  csr.names = names_of(X509_REQ_get_subject_name(request.get()), sans_of(names.get()));
  sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
  const BioPtr out(BIO_new(BIO_s_mem()));
  PEM_write_bio_PUBKEY(out.get(), key);
  csr.public_key_pem = text_of(out.get());
  return csr;
}

Result<std::string> issue(const IssueOptions& options, const std::string& public_key_pem,
                          const std::string& ca_certificate_pem, const std::string& ca_key_pem) {
  const PkeyPtr subject_key = TRY(read_public_key(public_key_pem));
  const auto issuers = TRY(read_certificates(ca_certificate_pem).at("CA certificate"));
  const PkeyPtr issuer_key = TRY(read_private_key(ca_key_pem).at("CA key"));
  return build(options, subject_key.get(), issuers.front().get(), issuer_key.get());
}

Result<std::string> self_sign(const IssueOptions& options, const std::string& key_pem) {
  const PkeyPtr key = TRY(read_private_key(key_pem));
  return build(options, key.get(), nullptr, key.get());
}

Result<CertificateInfo> parse_certificate(const std::string& pem) {
  const auto certificates = TRY(read_certificates(pem));
  return info_of(certificates.front().get());
}

Result<std::vector<CertificateInfo>> parse_certificates(const std::string& pem) {
  std::vector<CertificateInfo> infos;
  for (const auto& certificate : TRY(read_certificates(pem)))
    infos.push_back(info_of(certificate.get()));
  return infos;
}

Result<> verify_chain(const std::string& leaf_pem, const std::string& roots_pem, WallTime now) {
  const auto chain = TRY(read_certificates(leaf_pem).at("certificate"));
  const auto roots = TRY(read_certificates(roots_pem).at("root certificates"));
  const StorePtr store(X509_STORE_new());
  for (const auto& root : roots) X509_STORE_add_cert(store.get(), root.get());
  STACK_OF(X509)* between = sk_X509_new_null();
  for (std::size_t i = 1; i < chain.size(); ++i) sk_X509_push(between, chain[i].get());
  const StoreCtxPtr context(X509_STORE_CTX_new());
  X509_STORE_CTX_init(context.get(), store.get(), chain.front().get(), between);
  X509_STORE_CTX_set_time(context.get(), 0,
                          std::chrono::duration_cast<seconds>(now.time_since_epoch()).count());
  const bool is_valid = X509_verify_cert(context.get()) == 1;
  const int error = X509_STORE_CTX_get_error(context.get());
  sk_X509_free(between);
  ERR_clear_error();
  if (is_valid) return {};
  return Error(Code::kUnauthenticated, "certificate " + subject_of(chain.front().get()) + ": " +
                                           X509_verify_cert_error_string(error));
}

Result<> check_key_match(const std::string& certificate_pem, const std::string& key_pem) {
  const auto certificates = TRY(read_certificates(certificate_pem));
  const PkeyPtr key = TRY(read_private_key(key_pem));
  if (X509_check_private_key(certificates.front().get(), key.get()) == 1) return {};
  ERR_clear_error();
  return invalid("the private key does not belong to certificate " +
                 subject_of(certificates.front().get()));
}

std::string sha256(std::string_view bytes) {
  std::string out(32, '\0');
  unsigned int length = 0;
  EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(out.data()), &length,
             EVP_sha256(), nullptr);
  return out;
}

std::string hmac_sha256(std::string_view key, std::string_view bytes) {
  std::string out(32, '\0');
  unsigned int length = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
       reinterpret_cast<unsigned char*>(out.data()), &length);
  return out;
}

std::string random_bytes(std::size_t count) {
  std::string out(count, '\0');
  CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(count)) == 1);
  return out;
}

}  // namespace lateen::tls
