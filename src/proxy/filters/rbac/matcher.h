// RBAC policies compiled: who (principals) may do what (permissions). Immutable, thread-safe; used
// by the HTTP and the network filter. Unknown matchers are refused at compile time: a rule that is
// not understood must not open anything.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "http/message.h"
#include "proxy/match/cel.h"
#include "proxy/match/tree.h"
#include "proxy/stream/stream_info.h"

namespace envoy::config::rbac::v3 {
class RBAC;
}

namespace lateen::proxy {

// What a decision looks at. `request` is null for TCP: HTTP matchers then never match.
struct RbacSubject {
  const Connection& connection;
  const StreamInfo& info;
  const http::Request* request;
};

class RbacNode {
 public:
  virtual ~RbacNode() = default;
  virtual bool matches(const RbacSubject& subject) const = 0;
};

class RbacRules {
 public:
  enum class Action : unsigned char { kAllow, kDeny, kLog };

  static Result<std::shared_ptr<const RbacRules>> compile(
      const envoy::config::rbac::v3::RBAC& config);
  // A matcher tree whose actions allow or deny; what it does not match is denied.
  static Result<std::shared_ptr<const RbacRules>> compile(
      const ::xds::type::matcher::v3::Matcher& config);

  struct Decision {
    bool is_allowed;
    // Name of the policy that matched; empty when none did.
    std::string_view policy;
  };
  Decision decide(const RbacSubject& subject) const;

 private:
  struct Policy {
    std::string name;
    std::unique_ptr<RbacNode> permissions;
    std::unique_ptr<RbacNode> principals;
    std::optional<CelExpression> condition;
  };
  struct TreeAction {
    std::string name;
    Action action;
  };
  Action action_ = Action::kAllow;
  std::vector<Policy> policies_;   // in order of name, as Envoy walks them
  std::optional<MatchTree> tree_;  // instead of policies
  std::vector<TreeAction> tree_actions_;
};

// "ns[default]-policy[x]-rule[0]" as it stands in RESPONSE_CODE_DETAILS: spaces become underscores.
std::string rbac_details(std::string_view policy);

}  // namespace lateen::proxy
