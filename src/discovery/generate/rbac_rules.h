// One AuthorizationPolicy rule as an RBAC policy: sources and conditions become principals,
// operations permissions.
#pragma once

#include "mesh/security.h"

namespace envoy::config::rbac::v3 {
class Policy;
}

namespace lateen::discovery {

enum class RuleLayer : unsigned char { kHttp, kTcp };

struct RuleContext {
  RuleLayer layer = RuleLayer::kHttp;
  bool is_allow =
      true;  // an ALLOW rule with HTTP parts allows nothing on TCP; others ignore those parts
  std::string policy_ns;
  std::vector<std::string> trust_domains;  // the mesh's and its aliases
};
// False when the rule means nothing on this layer.
bool make_rbac_policy(const mesh::AuthorizationPolicy::Rule& rule, const RuleContext& context,
                      envoy::config::rbac::v3::Policy& out);
void make_never(envoy::config::rbac::v3::Policy& out);

}  // namespace lateen::discovery
