// Keys are EC P-256: a tenth of RSA's handshake cost; every peer of Istio's accepts them.
#include "agent/identity.h"

#include <algorithm>

#include "base/log.h"
#include "istio/certificate.pb.h"
#include "linux/files.h"
#include "tls/x509.h"

namespace lateen::agent {
namespace {

constexpr char kMethod[] = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
constexpr milliseconds kCallLimit{10'000};
constexpr milliseconds kFirstRetry{50};
constexpr seconds kFirstComplaint{3};
constexpr seconds kNextComplaint{10};
constexpr milliseconds kLongestRetry{10'000};
// Looked at this often by the wall clock, so that a laptop that slept through the renewal notices
// at once.
constexpr seconds kAgeCheck{15};

}  // namespace

Identity::Identity(event::Loop& loop, const Options& options, Upstream& ca,
                   Function<void()> changed)
    : loop_(loop),
      options_(options),
      ca_(ca),
      changed_(std::move(changed)),
      retry_timer_(loop, [this] { request(); }),
      age_timer_(loop, [this] { check_age(); }) {}

void Identity::start() {
  request();
  age_timer_.arm(kAgeCheck);
}

void Identity::request() {
  if (std::exchange(is_requesting_, true)) return;
  auto key = tls::generate_key(tls::KeyKind::kEcP256);
  if (!key) return retry(key.error());
  tls::Names names;
  names.uris = {options_.spiffe_id()};
  auto csr = tls::make_csr(*key, names);
  if (!csr) return retry(csr.error());
  const auto cluster = options_.metadata.find("CLUSTER_ID");
  auto metadata = token_metadata(
      options_.token_file, cluster != options_.metadata.end() ? cluster->second : "Kubernetes");
  if (!metadata) return retry(metadata.error());

  istio::v1::auth::IstioCertificateRequest request;
  request.set_csr(*csr);
  request.set_validity_duration(options_.certificate_lifetime.count());
  grpc::unary(scope_, loop_, ca_.pool(), ca_.authority(), kMethod, *std::move(metadata),
              request.SerializeAsString(), kCallLimit,
              [this, key = *std::move(key)](Result<std::string> response) mutable {
                answered(std::move(response), std::move(key));
              });
}

void Identity::answered(Result<std::string> response, std::string key_pem) {
  if (!response) return retry(response.error());
  if (auto accepted = accept(*response, std::move(key_pem)); !accepted)
    return retry(accepted.error());
  is_requesting_ = false;
  failures_ = 0;
  LOG(kInfo, "identity", "certificate for {} until {}", options_.spiffe_id(),
      format_rfc3339(credentials_->not_after));
  changed_();
}

Result<> Identity::accept(const std::string& response, std::string key_pem) {
  istio::v1::auth::IstioCertificateResponse message;
  if (!message.ParseFromString(response) || message.cert_chain_size() < 2)
    return internal("the CA's answer holds no certificate chain");
  auto credentials = std::make_shared<Credentials>();
  for (int i = 0; i + 1 < message.cert_chain_size(); ++i) {
    credentials->chain_pem += message.cert_chain(i);
    if (!credentials->chain_pem.ends_with('\n')) credentials->chain_pem += '\n';
  }
  credentials->root_pem = message.cert_chain(message.cert_chain_size() - 1);
  credentials->key_pem = std::move(key_pem);
  const auto info = TRY(tls::parse_certificate(credentials->chain_pem).at("the CA's answer"));
  TRY(tls::check_key_match(credentials->chain_pem, credentials->key_pem));
  credentials->not_after = info.not_after;
  const auto lifetime =
      info.not_after - std::max(info.not_before, loop_.clock().wall() - seconds(120));
  const double jitter = (loop_.random().unit() * 2 - 1) * options_.rotation_jitter;
  const double share = std::clamp(1 - options_.rotation_ratio + jitter, 0.05, 0.95);
  renew_at_ = info.not_after - std::chrono::duration_cast<nanoseconds>(lifetime * (1 - share));
  credentials_ = std::move(credentials);
  return write_files();
}

void Identity::retry(const Error& error) {
  is_requesting_ = false;
  // A CA that is back is seen late by at most a fourth of its absence, and not by all at once.
  const SteadyTime now = loop_.now();
  if (failures_++ == 0) {
    failing_since_ = now;
    complain_at_ = now + kFirstComplaint;
  }
  const nanoseconds pause =
      std::clamp((now - failing_since_) / 4, nanoseconds(kFirstRetry), nanoseconds(kLongestRetry));
  const nanoseconds delay =
      pause + nanoseconds(loop_.random().below(static_cast<std::uint64_t>(pause.count()) / 4));
  // The first tries often come before the network or istiod is there: not worth a person's
  // attention yet.
  if (now >= complain_at_) {
    complain_at_ = now + kNextComplaint;
    LOG(kWarn, "identity", "no certificate from {}: {}; next try in {}", ca_.authority(),
        error.message(), format_duration(std::chrono::duration_cast<milliseconds>(delay)));
  }
  retry_timer_.arm(delay);
}

void Identity::check_age() {
  if (credentials_ != nullptr && loop_.clock().wall() >= renew_at_) request();
  age_timer_.arm(kAgeCheck);
}

Result<> Identity::write_files() const {
  if (options_.output_certificates.empty()) return {};
  const std::string& folder = options_.output_certificates;
  TRY(os::make_directories(folder));
  TRY(os::write_file_atomic(folder + "/key.pem", credentials_->key_pem, 0600));
  TRY(os::write_file_atomic(folder + "/cert-chain.pem", credentials_->chain_pem));
  return os::write_file_atomic(folder + "/root-cert.pem", credentials_->root_pem);
}

}  // namespace lateen::agent
