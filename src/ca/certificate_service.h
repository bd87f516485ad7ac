// The mesh CA's gRPC service: /istio.v1.auth.IstioCertificateService/CreateCertificate. Callers
// prove who they are with a token or a workload certificate, and get a certificate for exactly that
// identity. Lives on one loop.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "ca/authority.h"
#include "ca/token_reviewer.h"
#include "grpc/server.h"

namespace lateen::ca {

class CertificateService {
 public:
  using Current = std::function<std::shared_ptr<const Authority>()>;
  using TrustDomain = std::function<std::string()>;  // the mesh's, now
  // "csr", "success", "authentication_failure", "sign_error": for metrics.
  using Counted = std::function<void(const char* what)>;

  CertificateService(event::Loop& loop, const Clock& clock, TokenReviewer& reviewer,
                     Current authority, TrustDomain trust_domain, Counted counted);
  ~CertificateService();
  void attach(grpc::Service& service);
  // One call of CreateCertificate.
  grpc::CallEvents open(grpc::ServerCall& call);

 private:
  struct Call;
  void sign(Call& call, const Caller& caller);

  event::Loop& loop_;
  const Clock& clock_;
  TokenReviewer& reviewer_;
  Current authority_;
  TrustDomain trust_domain_;
  Counted counted_;
  std::map<std::uint64_t, std::unique_ptr<Call>> calls_;
  std::uint64_t next_id_ = 1;
};

}  // namespace lateen::ca
