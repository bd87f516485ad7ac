// See impersonation.h.
#include "cluster/apiserver/impersonation.h"

#include "base/strings.h"

namespace lateen::cluster::apiserver {
namespace {

constexpr std::string_view kServiceAccount = "system:serviceaccount:";

Outcome<> require(const User& asker, const Rbac& rbac, std::string resource, std::string ns,
                  std::string name) {
  AccessAttributes wanted;
  wanted.verb = "impersonate";
  wanted.resource = std::move(resource);
  wanted.ns = std::move(ns);
  wanted.name = std::move(name);
  const auto decision = rbac.authorize(asker, wanted);
  if (!decision.is_allowed) return denied(asker, wanted, decision.reason);
  return {};
}

}  // namespace

Outcome<std::optional<User>> impersonated(const ApiRequest& request, const Rbac& rbac) {
  const std::string name(request.header("impersonate-user"));
  if (name.empty()) {
    if (!request.header("impersonate-group").empty()) {
      return Status::bad_request("requested groups without impersonating a user");
    }
    return std::optional<User>();
  }
  User made;
  made.name = name;
  made.uid = request.header("impersonate-uid");
  if (name.starts_with(kServiceAccount)) {
    const auto parts = split_once(std::string_view(name).substr(kServiceAccount.size()), ":");
    if (!parts)
      return Status::bad_request(
          "a service account's name is system:serviceaccount:NAMESPACE:NAME");
    TRY(require(request.user, rbac, "serviceaccounts", std::string(parts->first),
                std::string(parts->second)));
    made.groups = {"system:serviceaccounts", "system:serviceaccounts:" + std::string(parts->first)};
  } else {
    TRY(require(request.user, rbac, "users", {}, name));
  }
  for (const auto& [header, value] : request.headers) {
    if (header != "impersonate-group") continue;
    TRY(require(request.user, rbac, "groups", {}, value));
    made.groups.push_back(value);
  }
  made.groups.emplace_back("system:authenticated");
  return std::optional<User>(std::move(made));
}

}  // namespace lateen::cluster::apiserver
