// Role-based access: policies of permissions and principals over a connection and, for HTTP, a
// request. Immutable.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "http/message.h"
#include "proxy/stream/stream_info.h"

namespace envoy::config::rbac::v3 {
class RBAC;
}

namespace lateen::proxy {

class RbacEngine {
 public:
  enum class Action : unsigned char { kAllow, kDeny, kLog };
  // What a policy may look at. `request` is null for TCP.
  struct Facts {
    const StreamInfo& info;
    const http::Request* request;
  };
  using Matcher = std::function<bool(const Facts&)>;

  static Result<RbacEngine> compile(const envoy::config::rbac::v3::RBAC& config);
  struct Verdict {
    bool is_allowed;
    std::string policy;  // that decided; empty: none matched
  };
  Verdict judge(const Facts& facts) const;

 private:
  struct Policy {
    std::string name;
    Matcher permission;
    Matcher principal;
  };
  Action action_ = Action::kAllow;
  std::vector<Policy> policies_;  // by name
};

}  // namespace lateen::proxy
