// Reading the parts of a secret; shared by the compiler of TLS settings and the store.
#pragma once

#include "tls/context.h"

namespace envoy::extensions::transport_sockets::tls::v3 {
class CertificateValidationContext;
class TlsCertificate;
}  // namespace envoy::extensions::transport_sockets::tls::v3

namespace lateen::proxy {

// Adds trust, revocation lists and accepted names to `options`.
Result<> apply_validation(
    const envoy::extensions::transport_sockets::tls::v3::CertificateValidationContext& config,
    tls::Options& options);
Result<tls::Certificate> read_certificate(
    const envoy::extensions::transport_sockets::tls::v3::TlsCertificate& config);

}  // namespace lateen::proxy
