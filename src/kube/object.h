// Kubernetes objects are JSON values; these functions read and write what all kinds share.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/json.h"

namespace lateen::kube {

using data::Json;

// A namespaced name; `ns` is empty for cluster-scoped objects.
struct Key {
  std::string ns;
  std::string name;
  auto operator<=>(const Key&) const = default;
  std::string to_string() const { return ns.empty() ? name : ns + "/" + name; }
};

// A served resource: where it lives in the API and what its objects are called.
struct Resource {
  std::string group;    // "" for core
  std::string version;  // "v1"
  std::string plural;   // "pods"
  std::string kind;     // "Pod"
  bool is_namespaced = true;

  std::string api_version() const { return group.empty() ? version : group + "/" + version; }
  // "/api/v1/namespaces/default/pods/x/status"; empty parts are left out.
  std::string path(std::string_view ns, std::string_view name = {},
                   std::string_view subresource = {}) const;
  auto operator<=>(const Resource&) const = default;
};

// The built-in resources by name: kube::resources::pods(), ….
namespace resources {
const Resource& pods();
const Resource& services();
const Resource& endpoints();
const Resource& endpoint_slices();  // discovery.k8s.io/v1
const Resource& namespaces();
const Resource& nodes();
const Resource& secrets();
const Resource& config_maps();
const Resource& service_accounts();
const Resource& events();  // core/v1
const Resource& deployments();
const Resource& replica_sets();
const Resource& stateful_sets();
const Resource& daemon_sets();
const Resource& controller_revisions();
const Resource& jobs();
const Resource& cron_jobs();
const Resource& leases();
const Resource& hpas();  // autoscaling/v2
const Resource& pdbs();
const Resource& crds();
const Resource& mutating_webhooks();
const Resource& validating_webhooks();
const Resource& token_reviews();
const Resource& ingresses();  // networking.k8s.io/v1
const Resource& persistent_volume_claims();
const Resource& replication_controllers();
}  // namespace resources

std::string_view api_version_of(const Json& object);
std::string_view kind_of(const Json& object);
std::string_view name_of(const Json& object);
std::string_view namespace_of(const Json& object);
std::string_view uid_of(const Json& object);
std::string_view resource_version_of(const Json& object);
Key key_of(const Json& object);
bool is_deleting(const Json& object);                                    // has a deletionTimestamp
std::string_view label(const Json& object, std::string_view name);       // empty when absent
std::string_view annotation(const Json& object, std::string_view name);  // empty when absent
const data::JsonObject& labels_of(const Json& object);
const data::JsonObject& annotations_of(const Json& object);
void set_label(Json& object, std::string_view name, std::string_view value);
void set_annotation(Json& object, std::string_view name, std::string_view value);
// The owner with controller: true, or null.
const Json* controller_of(const Json& object);
// An ownerReference entry to `owner` (controller: true, blockOwnerDeletion: true).
Json owner_reference(const Json& owner);
// The condition of that type in status.conditions, or null.
const Json* condition(const Json& object, std::string_view type);
// Sets status.conditions[type]; lastTransitionTime changes only with status. True when anything
// changed.
bool set_condition(Json& object, std::string_view type, std::string_view status,
                   std::string_view reason, std::string_view message, std::string_view now_rfc3339);

}  // namespace lateen::kube
