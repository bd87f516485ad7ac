#include "ca/certificate_service.h"

#include "base/log.h"
#include "base/strings.h"
#include "istio/certificate.pb.h"

namespace lateen::ca {
namespace {

constexpr std::size_t kMostCsrBytes = 64u << 10;

}  // namespace

struct CertificateService::Call {
  explicit Call(grpc::ServerCall& call) : call(&call) {}
  grpc::ServerCall* call;
  std::string csr;
  seconds ttl{0};
  bool is_finished = false;
  event::Scope scope;

  void fail(Code code, std::string message) {
    if (is_finished) return;
    is_finished = true;
    call->finish(code, std::move(message));
  }
};

CertificateService::CertificateService(event::Loop& loop, const Clock& clock,
                                       TokenReviewer& reviewer, Current authority,
                                       TrustDomain trust_domain, Counted counted)
    : loop_(loop),
      clock_(clock),
      reviewer_(reviewer),
      authority_(std::move(authority)),
      trust_domain_(std::move(trust_domain)),
      counted_(std::move(counted)) {}

CertificateService::~CertificateService() = default;

void CertificateService::attach(grpc::Service& service) {
  service.add("/istio.v1.auth.IstioCertificateService/CreateCertificate",
              [this](grpc::ServerCall& call) { return open(call); });
}

grpc::CallEvents CertificateService::open(grpc::ServerCall& server_call) {
  const std::uint64_t id = next_id_++;
  Call& call = *calls_.emplace(id, std::make_unique<Call>(server_call)).first->second;
  grpc::CallEvents events;
  events.on_message = [this, &call](std::string message) {
    counted_("csr");
    istio::v1::auth::IstioCertificateRequest request;
    if (message.size() > kMostCsrBytes || !request.ParseFromString(message)) {
      return call.fail(Code::kInvalidArgument, "the request is no IstioCertificateRequest");
    }
    call.csr = request.csr();
    call.ttl = seconds(request.validity_duration());
    // A workload that renews shows the certificate it has; a new one its token.
    const net::TlsInfo* tls = call.call->exchange().connection.tls;
    if (tls != nullptr && !tls->peer_uri_sans.empty()) {
      // Only of our own trust domain: certificates of others that the mesh trusts prove names
      // there.
      const std::string& uri = tls->peer_uri_sans.front();
      auto caller = parse_spiffe(uri);
      const bool is_ours = uri.starts_with("spiffe://" + trust_domain_() + "/");
      if (caller.ok() && is_ours) return sign(call, *caller);
    }
    std::string_view header = call.call->metadata("authorization");
    if (header.size() <= 7 || !iequals(header.substr(0, 7), "bearer ")) {
      counted_("authentication_failure");
      return call.fail(Code::kUnauthenticated,
                       "request authenticate failure: send a bearer token or a client certificate");
    }
    reviewer_.review(call.scope, loop_, std::string(header.substr(7)),
                     [this, &call](Result<Caller> caller) {
                       if (caller.ok()) return sign(call, *caller);
                       counted_("authentication_failure");
                       LOG(kWarn, "ca", "CSR refused: {}", caller.error().message());
                       call.fail(caller.error().code(),
                                 "request authenticate failure: " + caller.error().message());
                     });
  };
  events.on_half_close = [] {};
  events.on_end = [this, id] { calls_.erase(id); };
  return events;
}

void CertificateService::sign(Call& call, const Caller& caller) {
  if (call.is_finished) return;
  const auto authority = authority_();
  if (authority == nullptr) return call.fail(Code::kUnavailable, "the CA is not ready yet");
  const std::string id =
      "spiffe://" + trust_domain_() + "/ns/" + caller.ns + "/sa/" + caller.service_account;
  auto chain = authority->sign_csr(call.csr, id, call.ttl, clock_.wall());
  if (!chain.ok()) {
    counted_("sign_error");
    LOG(kWarn, "ca", "CSR of {} not signed: {}", id, chain.error().message());
    return call.fail(Code::kInvalidArgument, "CSR signing error: " + chain.error().message());
  }
  istio::v1::auth::IstioCertificateResponse response;
  for (std::string& pem : *chain) response.add_cert_chain(std::move(pem));
  counted_("success");
  LOG(kInfo, "ca", "certificate issued for {}", id);
  call.is_finished = true;
  call.call->send(response.SerializeAsString());
  call.call->finish(Code::kOk, "");
}

}  // namespace lateen::ca
