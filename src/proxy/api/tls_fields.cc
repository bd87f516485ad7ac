// Fields of transport sockets and secrets.

#include "proxy/api/field_check.h"

namespace lateen::proxy {

std::span<const FieldRow> tls_fields() {
  static constexpr FieldRow kRows[] = {
      {"envoy.config.core.v3.ProxyProtocolConfig", "version", "", ""},
      {"envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
       "transport_socket", "passthrough_metadata", "all of the filter state passes"},
      {"envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport."
       "MetadataValueSource",
       "kind name", "", ""},
      {"envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
       "config transport_socket", "", ""},
      {"envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer", "", "", ""},
      {"envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext",
       "trusted_ca verify_certificate_spki verify_certificate_hash match_typed_subject_alt_names "
       "match_subject_alt_names crl trust_chain_verification",
       "", ""},
      {"envoy.extensions.transport_sockets.tls.v3.CommonTlsContext",
       "tls_params tls_certificates tls_certificate_sds_secret_configs validation_context "
       "validation_context_sds_secret_config combined_validation_context alpn_protocols",
       "", ""},
      {"envoy.extensions.transport_sockets.tls.v3.CommonTlsContext."
       "CombinedCertificateValidationContext",
       "default_validation_context validation_context_sds_secret_config", "", ""},
      {"envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
       "common_tls_context require_client_certificate disable_stateless_session_resumption "
       "disable_stateful_session_resumption",
       "session_ticket_keys session_ticket_keys_sds_secret_config session_timeout "
       "full_scan_certs_on_sni_mismatch prefer_client_ciphers",
       "tickets are those of this process; the first certificate serves names that none has"},
      {"envoy.extensions.transport_sockets.tls.v3.GenericSecret", "secret secrets", "", ""},
      {"envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig", "name sds_config", "", ""},
      {"envoy.extensions.transport_sockets.tls.v3.Secret",
       "name tls_certificate validation_context generic_secret", "session_ticket_keys",
       "tickets are those of this process"},
      {"envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher", "san_type matcher", "",
       ""},
      {"envoy.extensions.transport_sockets.tls.v3.TlsCertificate", "certificate_chain private_key",
       "ocsp_staple signed_certificate_timestamp", "no response is stapled"},
      {"envoy.extensions.transport_sockets.tls.v3.TlsParameters",
       "tls_minimum_protocol_version tls_maximum_protocol_version cipher_suites ecdh_curves", "",
       ""},
      {"envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
       "common_tls_context sni auto_host_sni auto_sni_san_validation",
       "max_session_keys enforce_rsa_key_usage",
       "one session a name is kept; OpenSSL looks at key usage"},
  };
  return kRows;
}

}  // namespace lateen::proxy
