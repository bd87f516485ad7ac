// Role-based access control over the stored roles and bindings (plugin/pkg/auth/authorizer/rbac),
// and the roles and bindings every cluster starts with.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cluster/apiserver/call.h"
#include "cluster/apiserver/store.h"

namespace lateen::cluster::apiserver {

struct AccessAttributes {
  std::string verb;
  std::string ns;
  std::string group;
  std::string resource;
  std::string subresource;
  std::string name;
  std::string path;  // for requests that are not about a resource
  bool is_resource = true;
};
struct AccessDecision {
  bool is_allowed = false;
  std::string reason;
};

// Thread-safe: reads the store only.
class Rbac {
 public:
  explicit Rbac(const Store& store) : store_(store) {}
  AccessDecision authorize(const User& user, const AccessAttributes& wanted) const;
  // All rules that apply to `user` in `ns`, for SelfSubjectRulesReview.
  JsonArray rules_of(const User& user, std::string_view ns) const;

 private:
  template <typename Visit>
  void visit_rules(const User& user, std::string_view ns, Visit visit) const;
  JsonArray aggregated_rules(const Json& aggregation) const;
  const Store& store_;
};

// 'pods is forbidden: User "x" cannot list resource "pods" in API group "" in the namespace
// "default"'
Status denied(const User& user, const AccessAttributes& wanted, std::string_view reason);
// Objects (ClusterRoles, ClusterRoleBindings, …) that are made when missing.
std::vector<Json> bootstrap_roles();

}  // namespace lateen::cluster::apiserver
