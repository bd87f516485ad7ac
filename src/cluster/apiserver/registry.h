// What the API server serves: every resource, built-in or custom, as one plain value. A Registry is
// immutable; a change of CustomResourceDefinitions makes a new one.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/cel/rules.h"
#include "data/json.h"
#include "kube/object.h"
#include "kube/schema.h"

namespace lateen::cluster::apiserver {

// One column of a table (kubectl get), computed from a JSONPath for custom resources.
struct PrinterColumn {
  std::string name;
  std::string type;  // string, integer, number, boolean, date
  std::string format;
  std::string description;
  std::int64_t priority = 0;  // above 0: only with -o wide
  std::string json_path;
};

struct ScalePaths {
  std::string spec_replicas;  // dotted, without the leading dot
  std::string status_replicas;
  std::string selector;  // may be empty
};

struct ServedVersion {
  std::string name;
  bool is_served = true;
  std::shared_ptr<const data::Json> schema;   // openAPIV3Schema; null for built-in kinds
  std::shared_ptr<const kube::Schema> rules;  // the same, compiled; null when it does not compile
  std::shared_ptr<const cel::ValidationRules> validations;  // its rules in CEL; null: none
  std::vector<PrinterColumn> columns;                       // custom resources only
  bool has_status = false;
  std::shared_ptr<const ScalePaths> scale;
  std::string deprecation_warning;  // empty: none
};

struct ResourceType {
  std::string group;
  std::string plural;
  std::string singular;
  std::string kind;
  std::string list_kind;
  bool is_namespaced = true;
  bool is_custom = false;
  bool is_virtual = false;  // create only, never stored (reviews)
  bool has_generation = false;
  bool preserves_unknown = false;  // custom: nothing is pruned (v1beta1 definitions)
  std::vector<std::string> short_names;
  std::vector<std::string> categories;
  std::vector<std::string> subresources;  // besides status and scale
  std::vector<ServedVersion> versions;    // by priority, best first
  std::string storage_version;
  std::string bucket;  // where the objects are in the Store

  const ServedVersion* version(std::string_view name) const;
  bool has_subresource(std::string_view name, std::string_view version) const;
  std::string api_version(std::string_view version) const {
    return group.empty() ? std::string(version) : group + "/" + std::string(version);
  }
  kube::Resource resource(std::string_view version) const {
    return {group, std::string(version), plural, kind, is_namespaced};
  }
};
using TypePtr = std::shared_ptr<const ResourceType>;

class Registry {
 public:
  explicit Registry(std::vector<TypePtr> types);

  // Null when that version does not serve it.
  TypePtr find(std::string_view group, std::string_view version, std::string_view plural) const;
  TypePtr find_kind(std::string_view group, std::string_view version, std::string_view kind) const;
  TypePtr find_any_version(std::string_view group, std::string_view plural) const;
  const std::vector<TypePtr>& types() const { return types_; }
  // Non-core groups in the order of discovery; versions of a group, best first.
  const std::vector<std::string>& groups() const { return groups_; }
  const std::vector<std::string>& versions(std::string_view group) const;
  bool serves(std::string_view group, std::string_view version) const;

 private:
  std::vector<TypePtr> types_;
  std::vector<std::string> groups_;
  std::map<std::string, std::vector<std::string>, std::less<>> versions_;
};
using RegistryPtr = std::shared_ptr<const Registry>;

// The kinds that every cluster has.
std::vector<TypePtr> builtin_types();

// Kubernetes' order of version names: v2 > v1 > v1beta2 > v1beta1 > v1alpha1 > anything else.
bool is_better_version(std::string_view a, std::string_view b);

}  // namespace lateen::cluster::apiserver
