// The workload's certificate: a key made here, signed by the mesh's CA on request
// (IstioCertificateService), renewed in good time. Lives on the agent's loop.
#pragma once

#include <memory>
#include <string>

#include "agent/options.h"
#include "agent/upstream.h"

namespace lateen::agent {

struct Credentials {
  std::string key_pem;
  std::string chain_pem;  // leaf, then intermediates
  std::string root_pem;
  WallTime not_after{};
};

class Identity {
 public:
  // `changed` runs on the loop each time new credentials are there. All references outlive us.
  Identity(event::Loop& loop, const Options& options, Upstream& ca, Function<void()> changed);

  // Asks for the first certificate; tries again with back-off until it has one.
  void start();
  // Null before the first certificate.
  const Credentials* current() const { return credentials_.get(); }

 private:
  void request();
  void answered(Result<std::string> response, std::string key_pem);
  Result<> accept(const std::string& response, std::string key_pem);
  void retry(const Error& error);
  void check_age();
  Result<> write_files() const;

  event::Loop& loop_;
  const Options& options_;
  Upstream& ca_;
  Function<void()> changed_;
  std::shared_ptr<const Credentials> credentials_;
  WallTime renew_at_{};
  int failures_ = 0;
  SteadyTime failing_since_{}, complain_at_{};
  bool is_requesting_ = false;
  event::Timer retry_timer_;
  event::Timer age_timer_;
  event::Scope scope_;
};

}  // namespace lateen::agent
