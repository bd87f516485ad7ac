// Contexts are shared between sources that say the same: hundreds of clusters differ only in name.

#include "proxy/secret/secret_store.h"

#include <algorithm>

#include "base/log.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "proxy/secret/read_secret.h"
#include "tls/x509.h"

namespace lateen::proxy {

namespace ssl = envoy::extensions::transport_sockets::tls::v3;

SecretStore::SecretStore(std::function<void(const std::string&, const std::string&)> want,
                         std::function<void()> on_ready)
    : want_(std::move(want)), on_ready_(std::move(on_ready)) {}

SecretStore::~SecretStore() = default;

namespace {

std::string fingerprint(const TlsSpec& spec, const tls::Options& options) {
  std::string text = spec.role == tls::Context::Role::kClient ? "client" : "server";
  const auto add = [&](std::string_view part) { text += "\x1f" + std::string(part); };
  for (const auto& certificate : options.certificates) {
    add(certificate.chain_pem);
    add(certificate.key_pem);
  }
  add(options.trusted_ca_pem);
  add(options.crl_pem);
  add(options.is_peer_required ? "required" : "");
  add(options.is_untrusted_accepted ? "untrusted" : "");
  for (const auto& san : options.peer_sans)
    add(san.value + "/" + std::to_string(static_cast<int>(san.kind)) +
        std::to_string(static_cast<int>(san.type)) + (san.is_case_ignored ? "i" : ""));
  for (const auto& one : options.spki_sha256) add(one);
  for (const auto& one : options.cert_sha256) add(one);
  for (const auto& one : options.alpn) add(one);
  add(std::to_string(static_cast<int>(options.min_version)) +
      std::to_string(static_cast<int>(options.max_version)));
  add(options.cipher_suites);
  add(options.curves);
  return text;
}

}  // namespace

Result<std::shared_ptr<const tls::Context>> SecretStore::make_context(const TlsSpec& spec) {
  tls::Options options = spec.options;
  for (const auto& name : spec.certificates) {
    const auto found = entries_.find(name);
    if (found == entries_.end() || found->second.secret == nullptr)
      return std::shared_ptr<const tls::Context>();
    if (!found->second.secret->has_tls_certificate())
      return invalid("secret '" + name + "' holds no certificate");
    options.certificates.push_back(TRY(read_certificate(found->second.secret->tls_certificate())));
  }
  if (!spec.validation.empty()) {
    const auto found = entries_.find(spec.validation);
    if (found == entries_.end() || found->second.secret == nullptr)
      return std::shared_ptr<const tls::Context>();
    if (!found->second.secret->has_validation_context())
      return invalid("secret '" + spec.validation + "' holds no validation context");
    TRY(apply_validation(found->second.secret->validation_context(), options));
  }
  auto& cached = contexts_[tls::sha256(fingerprint(spec, options))];
  if (auto held = cached.lock()) return held;
  auto made = TRY(tls::Context::make(spec.role, options));
  cached = made;
  return made;
}

Result<> SecretStore::bind(const std::shared_ptr<TlsSource>& source) {
  const TlsSpec& spec = source->spec();
  for (std::size_t i = 0; i < spec.certificates.size(); ++i) {
    const auto [entry, is_new] = entries_.try_emplace(spec.certificates[i]);
    if (is_new) want_(spec.certificate_sources[i], entry->first);
  }
  if (!spec.validation.empty()) {
    const auto [entry, is_new] = entries_.try_emplace(spec.validation);
    if (is_new) want_(spec.validation_source, entry->first);
  }
  source->set(TRY(make_context(spec)));
  sources_.push_back(source);
  return {};
}

Result<> SecretStore::put(const ssl::Secret& secret, const std::string& version, WallTime now) {
  Entry& entry = entries_[secret.name()];
  auto previous = std::move(entry.secret);
  entry.secret = std::make_unique<ssl::Secret>(secret);
  std::erase_if(sources_, [](const auto& source) { return source.expired(); });
  std::erase_if(contexts_, [](const auto& one) { return one.second.expired(); });
  std::vector<std::pair<std::shared_ptr<TlsSource>, std::shared_ptr<const tls::Context>>> fresh;
  for (const auto& weak : sources_) {
    const auto source = weak.lock();
    if (source == nullptr) continue;
    const TlsSpec& spec = source->spec();
    const bool is_used = spec.validation == secret.name() ||
                         std::find(spec.certificates.begin(), spec.certificates.end(),
                                   secret.name()) != spec.certificates.end();
    if (!is_used) continue;
    auto context = make_context(spec);
    if (!context.ok()) {
      entry.secret = std::move(previous);  // What worked before goes on working.
      return std::move(context).at("secret " + secret.name()).error();
    }
    fresh.emplace_back(source, *std::move(context));
  }
  entry.version = version;
  entry.updated = now;
  for (auto& [source, context] : fresh) source->set(std::move(context));
  LOG(kInfo, "sds", "secret {} updated; {} TLS contexts use it", secret.name(), fresh.size());
  on_ready_();
  return {};
}

void SecretStore::put_static(const ssl::Secret& secret, WallTime now) {
  Entry& entry = entries_[secret.name()];
  entry.secret = std::make_unique<ssl::Secret>(secret);
  entry.is_static = true;
  entry.updated = now;
}

void SecretStore::remove(const std::string& name) {
  const auto found = entries_.find(name);
  if (found != entries_.end()) found->second.secret.reset();
}

}  // namespace lateen::proxy
