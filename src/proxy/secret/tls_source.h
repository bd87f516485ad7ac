// A TLS context that follows its secrets: compiled on the main thread when a secret arrives or
// rotates, read by workers once per connection. Connections that exist keep the context they were
// made with.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "tls/context.h"

namespace envoy::extensions::transport_sockets::tls::v3 {
class CommonTlsContext;
}

namespace lateen::proxy {

// What a context is made of: options with holes that named secrets fill.
struct TlsSpec {
  tls::Context::Role role = tls::Context::Role::kClient;
  tls::Options options;                   // without what the secrets bring
  std::vector<std::string> certificates;  // names of SDS certificate secrets
  std::string validation;                 // name of an SDS validation secret; empty: none
  bool is_validation_from_ads = false;
  // Where each secret comes from: cluster of a gRPC SDS service, or "" for ADS; same order as
  // `certificates`.
  std::vector<std::string> certificate_sources;
  std::string validation_source;
};

class TlsSource {
 public:
  explicit TlsSource(TlsSpec spec) : spec_(std::move(spec)) {}
  const TlsSpec& spec() const { return spec_; }
  // Null until all secrets are there.
  std::shared_ptr<const tls::Context> get() const {
    return context_.load(std::memory_order_acquire);
  }
  void set(std::shared_ptr<const tls::Context> context) {
    context_.store(std::move(context), std::memory_order_release);
  }

 private:
  TlsSpec spec_;
  std::atomic<std::shared_ptr<const tls::Context>> context_;
};

// Reads everything but secrets from the configuration; inline certificates and CAs go straight into
// the options.
Result<TlsSpec> compile_tls(
    tls::Context::Role role,
    const envoy::extensions::transport_sockets::tls::v3::CommonTlsContext& config);

}  // namespace lateen::proxy
