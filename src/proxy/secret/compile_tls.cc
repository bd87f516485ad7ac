// CommonTlsContext to TlsSpec: inline material is read now, SDS names are kept for the secret
// store.

#include "base/strings.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "proxy/secret/read_secret.h"
#include "proxy/secret/tls_source.h"
#include "xds/convert.h"

namespace lateen::proxy {
namespace {

namespace ssl = envoy::extensions::transport_sockets::tls::v3;
namespace core = envoy::config::core::v3;

tls::Version version_of(ssl::TlsParameters::TlsProtocol version) {
  switch (version) {
    case ssl::TlsParameters::TLSv1_0: return tls::Version::kTls10;
    case ssl::TlsParameters::TLSv1_1: return tls::Version::kTls11;
    case ssl::TlsParameters::TLSv1_2: return tls::Version::kTls12;
    case ssl::TlsParameters::TLSv1_3: return tls::Version::kTls13;
    default: return tls::Version::kAuto;
  }
}

void compile_parameters(const ssl::TlsParameters& config, tls::Options& options) {
  options.min_version = version_of(config.tls_minimum_protocol_version());
  options.max_version = version_of(config.tls_maximum_protocol_version());
  // BoringSSL groups alternatives as "[A|B]"; OpenSSL has a flat list.
  for (std::string suite : config.cipher_suites()) {
    for (char& c : suite)
      if (c == '[' || c == ']' || c == '|') c = c == '|' ? ':' : ' ';
    if (!options.cipher_suites.empty()) options.cipher_suites += ':';
    options.cipher_suites += replace_all(suite, " ", "");
  }
  for (const auto& curve : config.ecdh_curves())
    options.curves += (options.curves.empty() ? "" : ":") + curve;
}

std::string source_of(const core::ConfigSource& source) {
  if (source.has_api_config_source() && source.api_config_source().grpc_services_size() > 0)
    return source.api_config_source().grpc_services(0).envoy_grpc().cluster_name();
  return {};
}

}  // namespace

Result<> apply_validation(const ssl::CertificateValidationContext& config, tls::Options& options) {
  using Kind = tls::SanMatch::Kind;
  if (config.has_trusted_ca())
    options.trusted_ca_pem = TRY(xds::read_data(config.trusted_ca()).at("trusted_ca"));
  if (config.has_crl()) options.crl_pem = TRY(xds::read_data(config.crl()).at("crl"));
  for (const auto& spki : config.verify_certificate_spki()) options.spki_sha256.push_back(spki);
  for (const auto& hash : config.verify_certificate_hash()) options.cert_sha256.push_back(hash);
  if (config.trust_chain_verification() == ssl::CertificateValidationContext::ACCEPT_UNTRUSTED)
    options.is_untrusted_accepted = true;
  const auto add = [&](const envoy::type::matcher::v3::StringMatcher& matcher,
                       tls::SanMatch::Type type) {
    tls::SanMatch match;
    match.type = type;
    match.is_case_ignored = matcher.ignore_case();
    if (matcher.has_exact()) match.value = matcher.exact();
    else if (matcher.has_prefix()) match.kind = Kind::kPrefix, match.value = matcher.prefix();
    else if (matcher.has_suffix()) match.kind = Kind::kSuffix, match.value = matcher.suffix();
    else if (matcher.has_contains()) match.kind = Kind::kContains, match.value = matcher.contains();
    else if (matcher.has_safe_regex())
      match.kind = Kind::kRegex, match.value = matcher.safe_regex().regex();
    options.peer_sans.push_back(std::move(match));
  };
  for (const auto& matcher : config.match_subject_alt_names())
    add(matcher, tls::SanMatch::Type::kAny);
  for (const auto& typed : config.match_typed_subject_alt_names()) {
    using San = ssl::SubjectAltNameMatcher;
    tls::SanMatch::Type type = tls::SanMatch::Type::kAny;
    if (typed.san_type() == San::URI) type = tls::SanMatch::Type::kUri;
    if (typed.san_type() == San::DNS) type = tls::SanMatch::Type::kDns;
    if (typed.san_type() == San::IP_ADDRESS) type = tls::SanMatch::Type::kIp;
    if (typed.san_type() == San::EMAIL) type = tls::SanMatch::Type::kEmail;
    add(typed.matcher(), type);
  }
  return {};
}

Result<tls::Certificate> read_certificate(const ssl::TlsCertificate& config) {
  tls::Certificate made;
  made.chain_pem = TRY(xds::read_data(config.certificate_chain()).at("certificate_chain"));
  made.key_pem = TRY(xds::read_data(config.private_key()).at("private_key"));
  return made;
}

Result<TlsSpec> compile_tls(tls::Context::Role role, const ssl::CommonTlsContext& config) {
  TlsSpec made;
  made.role = role;
  compile_parameters(config.tls_params(), made.options);
  for (const auto& protocol : config.alpn_protocols()) made.options.alpn.push_back(protocol);
  for (const auto& certificate : config.tls_certificates())
    made.options.certificates.push_back(TRY(read_certificate(certificate)));
  for (const auto& secret : config.tls_certificate_sds_secret_configs()) {
    made.certificates.push_back(secret.name());
    made.certificate_sources.push_back(source_of(secret.sds_config()));
  }
  if (config.has_validation_context())
    TRY(apply_validation(config.validation_context(), made.options));
  if (config.has_validation_context_sds_secret_config()) {
    made.validation = config.validation_context_sds_secret_config().name();
    made.validation_source = source_of(config.validation_context_sds_secret_config().sds_config());
  }
  if (config.has_combined_validation_context()) {
    const auto& combined = config.combined_validation_context();
    TRY(apply_validation(combined.default_validation_context(), made.options));
    made.validation = combined.validation_context_sds_secret_config().name();
    made.validation_source =
        source_of(combined.validation_context_sds_secret_config().sds_config());
  }
  return made;
}

}  // namespace lateen::proxy
