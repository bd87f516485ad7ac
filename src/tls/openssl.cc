// Reading PEM and names; one place that turns OpenSSL's error queue into words.
#include "tls/openssl.h"

#include "net/address.h"

namespace lateen::tls {

std::string take_openssl_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown error";
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "error " + std::to_string(code);
}

BioPtr bio_of(std::string_view bytes) {
  return BioPtr(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

std::string text_of(BIO* memory) {
  char* data = nullptr;
  const long length = BIO_get_mem_data(memory, &data);
  return {data, static_cast<std::size_t>(length)};
}

Result<PkeyPtr> read_private_key(const std::string& pem) {
  const BioPtr bio = bio_of(pem);
  PkeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
  if (key == nullptr) return invalid("not a PEM private key: " + take_openssl_error());
  return key;
}

Result<PkeyPtr> read_public_key(const std::string& pem) {
  PkeyPtr key;
  const BioPtr bio = bio_of(pem);
  if (pem.find("CERTIFICATE-----") != std::string::npos) {
    const X509Ptr certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (certificate != nullptr) key.reset(X509_get_pubkey(certificate.get()));
  } else if (pem.find("PRIVATE KEY-----") != std::string::npos) {
    return read_private_key(pem);
  } else {
    key.reset(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  }
  if (key == nullptr) return invalid("not a PEM public key: " + take_openssl_error());
  return key;
}

Result<std::vector<X509Ptr>> read_certificates(const std::string& pem) {
  static constexpr std::size_t kMostCertificates = 1000;
  const BioPtr bio = bio_of(pem);
  std::vector<X509Ptr> certificates;
  while (certificates.size() < kMostCertificates) {
    X509Ptr certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (certificate == nullptr) break;
    certificates.push_back(std::move(certificate));
  }
  const unsigned long error = ERR_peek_last_error();
  const bool is_end =
      ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  const std::string text = take_openssl_error();
  if (certificates.empty() || !is_end) return invalid("not a PEM certificate: " + text);
  return certificates;
}

std::string pem_of(X509* certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), certificate);
  return text_of(bio.get());
}

std::string subject_of(X509* certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(bio.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  return text_of(bio.get());
}

static std::string string_of(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<std::size_t>(ASN1_STRING_length(text))};
}

Sans sans_of(const GENERAL_NAMES* names) {
  Sans sans;
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type == GEN_URI) sans.uris.push_back(string_of(name->d.uniformResourceIdentifier));
    if (name->type == GEN_DNS) sans.dns.push_back(string_of(name->d.dNSName));
    if (name->type == GEN_EMAIL) sans.emails.push_back(string_of(name->d.rfc822Name));
    if (name->type != GEN_IPADD) continue;
    const std::string raw = string_of(name->d.iPAddress);
    if (raw.size() == 4) {
      std::uint32_t bits = 0;
      for (const char c : raw) bits = bits << 8 | static_cast<unsigned char>(c);
      sans.ips.push_back(net::Ip::v4(bits).to_string());
    } else if (raw.size() == 16) {
      std::array<std::uint8_t, 16> bytes;
      std::copy(raw.begin(), raw.end(), bytes.begin());
      sans.ips.push_back(net::Ip::v6(bytes).to_string());
    }
  }
  return sans;
}

Sans sans_of(X509* certificate) {
  const NamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  return sans_of(names.get());
}

}  // namespace lateen::tls
