// Compiles Options into an SSL_CTX. All checks of peers happen in one verify callback, so that the
// peer gets a TLS alert and we keep a sentence that says why.
#include "tls/context.h"

#include <algorithm>

#include "base/strings.h"
#include "tls/context_state.h"
#include "tls/x509.h"

namespace lateen::tls {
namespace {

constexpr std::size_t kMostSessions = 1024;

int version_number(Version version, int fallback) {
  switch (version) {
    case Version::kAuto: return fallback;
    case Version::kTls10: return TLS1_VERSION;
    case Version::kTls11: return TLS1_1_VERSION;
    case Version::kTls12: return TLS1_2_VERSION;
    case Version::kTls13: return TLS1_3_VERSION;
  }
  return fallback;
}

const CompiledContext& context_of(SSL* ssl) {
  return *static_cast<const CompiledContext*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
}

int verify_peer(X509_STORE_CTX* store, void* data) {
  const auto& context = *static_cast<const CompiledContext*>(data);
  auto* ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* report = static_cast<VerifyReport*>(SSL_get_ex_data(ssl, report_slot()));
  X509* leaf = X509_STORE_CTX_get0_cert(store);
  std::string why;
  const bool is_chain_checked =
      !context.options().trusted_ca_pem.empty() ? !context.options().is_untrusted_accepted : false;
  if (is_chain_checked && X509_verify_cert(store) != 1) {
    why = X509_verify_cert_error_string(X509_STORE_CTX_get_error(store));
    X509* at = X509_STORE_CTX_get_current_cert(store);
    if (at != nullptr && at != leaf) why += " (at " + subject_of(at) + ")";
  } else if (!context.options().is_untrusted_accepted) {
    why = context.refuse_peer(leaf);
    if (!why.empty()) X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
  }
  if (why.empty()) {
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
  }
  const Sans sans = sans_of(leaf);
  const std::string who = !sans.uris.empty()  ? sans.uris[0]
                          : !sans.dns.empty() ? sans.dns[0]
                                              : subject_of(leaf);
  if (report != nullptr) report->error = "peer certificate " + who + ": " + why;
  return 0;
}

int choose_alpn(SSL* ssl, const unsigned char** out, unsigned char* out_length,
                const unsigned char* in, unsigned int in_length, void* data) {
  const auto& mine = *static_cast<const std::string*>(data);
  unsigned char* chosen = nullptr;
  const int rc = SSL_select_next_proto(&chosen, out_length,
                                       reinterpret_cast<const unsigned char*>(mine.data()),
                                       static_cast<unsigned int>(mine.size()), in, in_length);
  (void)ssl;
  *out = chosen;
  // Without a common protocol the handshake goes on without ALPN, as Envoy's does.
  return rc == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

bool name_matches(std::string_view pattern, std::string_view host) {
  if (pattern == host) return true;
  if (!pattern.starts_with("*.")) return false;
  const auto dot = host.find('.');
  return dot != std::string_view::npos && host.substr(dot) == pattern.substr(1);
}

int choose_certificate(SSL* ssl, void*) {
  const auto& context = context_of(ssl);
  const auto& identities = context.identities();
  if (identities.empty()) return 1;
  const char* raw = context.role() == Context::Role::kServer
                        ? SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)
                        : nullptr;
  const std::string host = raw != nullptr ? to_lower(raw) : "";
  const Identity* chosen = &identities.front();
  for (const auto& identity : identities) {
    if (!std::any_of(identity.names.begin(), identity.names.end(),
                     [&](const auto& n) { return name_matches(n, host); }))
      continue;
    chosen = &identity;
    break;
  }
  STACK_OF(X509)* chain = sk_X509_new_null();
  for (const auto& certificate : chosen->chain) sk_X509_push(chain, certificate.get());
  const int rc = SSL_use_cert_and_key(ssl, chosen->leaf.get(), chosen->key.get(), chain, 1);
  sk_X509_free(chain);
  return rc;
}

int new_session(SSL* ssl, SSL_SESSION* session) {
  const auto* name = static_cast<const std::string*>(SSL_get_ex_data(ssl, server_name_slot()));
  if (name != nullptr) context_of(ssl).remember_session(*name, SSL_SESSION_dup(session));
  return 0;
}

}  // namespace

std::string alpn_wire(const std::vector<std::string>& protocols) {
  std::string wire;
  for (const auto& protocol : protocols) {
    if (protocol.empty() || protocol.size() > 255) continue;
    wire += static_cast<char>(protocol.size());
    wire += protocol;
  }
  return wire;
}

int report_slot() {
  static const int kSlot = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return kSlot;
}
int server_name_slot() {
  static const int kSlot = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return kSlot;
}

Result<> CompiledContext::compile(Role role, const Options& options) {
  role_ = role;
  options_ = options;
  ctx_.reset(SSL_CTX_new(role == Role::kServer ? TLS_server_method() : TLS_client_method()));
  if (ctx_ == nullptr) return internal("TLS context: " + take_openssl_error());
  SSL_CTX_set_app_data(ctx_.get(), this);
  TRY(set_protocol());
  TRY(load_identities());
  TRY(load_trust());
  for (const auto& match : options.peer_sans) {
    std::shared_ptr<const re2::RE2> regex;
    if (match.kind == SanMatch::Kind::kRegex) {
      regex = std::make_shared<re2::RE2>(match.value, re2::RE2::Quiet);
      if (!regex->ok()) return invalid("SAN pattern \"" + match.value + "\": " + regex->error());
    }
    sans_.push_back({match, std::move(regex)});
  }
  return {};
}

Result<> CompiledContext::set_protocol() {
  SSL_CTX_set_min_proto_version(ctx_.get(), version_number(options_.min_version, TLS1_2_VERSION));
  SSL_CTX_set_max_proto_version(ctx_.get(), version_number(options_.max_version, TLS1_3_VERSION));
  SSL_CTX_set_options(ctx_.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                      SSL_OP_NO_COMPRESSION);
  // Idle connections give their record buffers back; writes may be retried from another address.
  SSL_CTX_set_mode(ctx_.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                   SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (!options_.cipher_suites.empty() &&
      SSL_CTX_set_cipher_list(ctx_.get(), options_.cipher_suites.c_str()) != 1) {
    return invalid("cipher suites \"" + options_.cipher_suites +
                   "\": none is known: " + take_openssl_error());
  }
  if (!options_.curves.empty() &&
      SSL_CTX_set1_groups_list(ctx_.get(), options_.curves.c_str()) != 1) {
    return invalid("curves \"" + options_.curves + "\": " + take_openssl_error());
  }
  alpn_wire_ = alpn_wire(options_.alpn);
  if (role_ == Role::kServer) {
    if (!alpn_wire_.empty()) SSL_CTX_set_alpn_select_cb(ctx_.get(), &choose_alpn, &alpn_wire_);
    static constexpr unsigned char kSessionContext[] = "lateen";
    SSL_CTX_set_session_id_context(ctx_.get(), kSessionContext, sizeof kSessionContext - 1);
    SSL_CTX_set_session_cache_mode(ctx_.get(), SSL_SESS_CACHE_OFF);
    if (!options_.has_session_resumption) {
      SSL_CTX_set_options(ctx_.get(), SSL_OP_NO_TICKET);
      SSL_CTX_set_num_tickets(ctx_.get(), 0);
    } else {
      SSL_CTX_set_num_tickets(ctx_.get(), 1);
    }
  } else {
    if (!alpn_wire_.empty()) {
      SSL_CTX_set_alpn_protos(ctx_.get(), reinterpret_cast<const unsigned char*>(alpn_wire_.data()),
                              static_cast<unsigned int>(alpn_wire_.size()));
    }
    if (options_.has_session_resumption) {
      SSL_CTX_set_session_cache_mode(ctx_.get(),
                                     SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
      SSL_CTX_sess_set_new_cb(ctx_.get(), &new_session);
    }
  }
  return {};
}

Result<> CompiledContext::load_identities() {
  for (const auto& certificate : options_.certificates) {
    auto chain = TRY(read_certificates(certificate.chain_pem).at("certificate chain"));
    Identity identity;
    identity.leaf = std::move(chain.front());
    chain.erase(chain.begin());
    identity.chain = std::move(chain);
    identity.key = TRY(read_private_key(certificate.key_pem));
    if (X509_check_private_key(identity.leaf.get(), identity.key.get()) != 1) {
      ERR_clear_error();
      return invalid("the private key does not belong to certificate " +
                     subject_of(identity.leaf.get()));
    }
    for (const auto& name : sans_of(identity.leaf.get()).dns)
      identity.names.push_back(to_lower(name));
    identities_.push_back(std::move(identity));
  }
  if (identities_.empty()) {
    if (role_ == Role::kServer) return invalid("a TLS server needs a certificate");
    return {};
  }
  SSL_CTX_set_cert_cb(ctx_.get(), &choose_certificate, nullptr);
  return {};
}

Result<> CompiledContext::load_trust() {
  const bool is_asked = !options_.trusted_ca_pem.empty() || !options_.peer_sans.empty() ||
                        !options_.spki_sha256.empty() || !options_.cert_sha256.empty() ||
                        options_.is_peer_required;
  if (role_ == Role::kClient && options_.is_untrusted_accepted) {
    SSL_CTX_set_verify(ctx_.get(), SSL_VERIFY_NONE, nullptr);
    return {};
  }
  if (!is_asked) {
    SSL_CTX_set_verify(ctx_.get(), SSL_VERIFY_NONE, nullptr);
    return {};
  }
  X509_STORE* store = SSL_CTX_get_cert_store(ctx_.get());
  if (!options_.trusted_ca_pem.empty()) {
    for (const auto& root : TRY(read_certificates(options_.trusted_ca_pem).at("trusted CA"))) {
      X509_STORE_add_cert(store, root.get());
      if (role_ == Role::kServer) SSL_CTX_add_client_CA(ctx_.get(), root.get());
    }
  }
  if (!options_.crl_pem.empty()) {
    const BioPtr bio = bio_of(options_.crl_pem);
    int count = 0;
    for (;; ++count) {
      const CrlPtr crl(PEM_read_bio_X509_CRL(bio.get(), nullptr, nullptr, nullptr));
      if (crl == nullptr) break;
      X509_STORE_add_crl(store, crl.get());
    }
    if (count == 0)
      return invalid("not a PEM certificate revocation list: " + take_openssl_error());
    ERR_clear_error();  // the end of the file is one
    // As Envoy: of each certificate on the way to the root, its issuer's list is needed.
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  }
  SSL_CTX_set_cert_verify_callback(ctx_.get(), &verify_peer, this);
  int mode = SSL_VERIFY_PEER;
  if (role_ == Role::kServer && options_.is_peer_required) mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  SSL_CTX_set_verify(ctx_.get(), mode, nullptr);
  return {};
}

bool CompiledContext::matches(const CompiledMatch& want, std::string_view value,
                              bool is_dns) const {
  const std::string folded =
      want.match.is_case_ignored || is_dns ? to_lower(value) : std::string(value);
  const std::string pattern =
      want.match.is_case_ignored || is_dns ? to_lower(want.match.value) : want.match.value;
  switch (want.match.kind) {
    case SanMatch::Kind::kExact:
      return folded == pattern || (is_dns && name_matches(folded, pattern));
    case SanMatch::Kind::kPrefix: return folded.starts_with(pattern);
    case SanMatch::Kind::kSuffix: return folded.ends_with(pattern);
    case SanMatch::Kind::kContains: return folded.find(pattern) != std::string::npos;
    case SanMatch::Kind::kRegex:
      return re2::RE2::FullMatch(re2::StringPiece(value.data(), value.size()), *want.regex);
  }
  return false;
}

std::string CompiledContext::refuse_peer(X509* certificate) const {
  if (!sans_.empty()) {
    const Sans sans = sans_of(certificate);
    using Type = SanMatch::Type;
    const auto any = [&](const std::vector<std::string>& values, const CompiledMatch& want,
                         Type type) {
      if (want.match.type != Type::kAny && want.match.type != type) return false;
      return std::any_of(values.begin(), values.end(),
                         [&](const auto& v) { return matches(want, v, type == Type::kDns); });
    };
    const bool is_matched = std::any_of(sans_.begin(), sans_.end(), [&](const CompiledMatch& want) {
      return any(sans.uris, want, Type::kUri) || any(sans.dns, want, Type::kDns) ||
             any(sans.ips, want, Type::kIp) || any(sans.emails, want, Type::kEmail);
    });
    if (!is_matched)
      return "none of its names is among those expected (first: " +
             options_.peer_sans.front().value + ")";
  }
  const auto pinned = [&](const std::vector<std::string>& pins, const std::string& value) {
    return pins.empty() || std::find(pins.begin(), pins.end(), value) != pins.end();
  };
  if (options_.spki_sha256.empty() && options_.cert_sha256.empty()) return "";
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  X509_digest(certificate, EVP_sha256(), digest, &length);
  std::vector<std::string> hashes;
  for (const auto& hash : options_.cert_sha256)
    hashes.push_back(to_lower(replace_all(hash, ":", "")));
  const bool is_hash_fine =
      !hashes.empty() && pinned(hashes, hex_encode({reinterpret_cast<char*>(digest), length}));
  unsigned char* der = nullptr;
  const int der_length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  const std::string spki(reinterpret_cast<char*>(der),
                         der_length > 0 ? static_cast<std::size_t>(der_length) : 0);
  OPENSSL_free(der);
  const bool is_spki_fine =
      !options_.spki_sha256.empty() && pinned(options_.spki_sha256, base64_encode(sha256(spki)));
  return is_hash_fine || is_spki_fine ? "" : "its key is not one of those pinned";
}

SessionPtr CompiledContext::session_for(const std::string& server_name) const {
  std::lock_guard lock(sessions_mutex_);
  const auto at = sessions_.find(server_name);
  if (at == sessions_.end()) return nullptr;
  SSL_SESSION_up_ref(at->second.get());
  return SessionPtr(at->second.get());
}

void CompiledContext::remember_session(const std::string& server_name, SSL_SESSION* session) const {
  std::lock_guard lock(sessions_mutex_);
  if (sessions_.size() >= kMostSessions) sessions_.clear();
  sessions_[server_name].reset(session);
}

Result<std::shared_ptr<const Context>> Context::make(Role role, const Options& options) {
  auto context = std::make_shared<CompiledContext>();
  TRY(context->compile(role, options));
  return std::shared_ptr<const Context>(std::move(context));
}

}  // namespace lateen::tls
