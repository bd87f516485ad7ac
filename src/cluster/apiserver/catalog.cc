// See catalog.h.
#include "cluster/apiserver/catalog.h"

#include <algorithm>
#include <atomic>

#include "base/strings.h"

namespace lateen::cluster::apiserver {
namespace {

std::vector<std::string> strings_at(const Json& object,
                                    std::initializer_list<std::string_view> path) {
  std::vector<std::string> made;
  for (const auto& one : data::get_array(object, path)) made.emplace_back(data::as_string(one));
  return made;
}

std::string without_dot(std::string_view path) {
  if (path.starts_with('.')) path.remove_prefix(1);
  return std::string(path);
}

// Versions mostly share one schema: it is kept and compiled once.
void take_schema(const Json& schema, const std::vector<ServedVersion>& earlier,
                 ServedVersion& into) {
  for (const auto& other : earlier) {
    if (other.schema == nullptr || !data::equal(*other.schema, schema)) continue;
    into.schema = other.schema;
    into.rules = other.rules;
    into.validations = other.validations;
    return;
  }
  into.schema = std::make_shared<const Json>(schema);
  if (auto rules = kube::Schema::parse(schema); rules.ok()) {
    into.rules = std::make_shared<const kube::Schema>(std::move(*rules));
  }
  // A definition with rules that do not compile was refused when it was written.
  std::vector<kube::FieldProblem> faults;
  auto validations = cel::ValidationRules::compile(schema, faults);
  if (!validations.empty())
    into.validations = std::make_shared<const cel::ValidationRules>(std::move(validations));
}

ServedVersion version_from(const Json& version, const ResourceType& type) {
  const auto& earlier = type.versions;
  ServedVersion made;
  made.name = data::get_string(version, {"name"});
  made.is_served = data::get_bool(version, {"served"});
  if (const Json* schema = data::find(version, {"schema", "openAPIV3Schema"})) {
    take_schema(*schema, earlier, made);
  }
  made.has_status = data::find(version, {"subresources", "status"}) != nullptr;
  if (const Json* scale = data::find(version, {"subresources", "scale"})) {
    made.scale = std::make_shared<const ScalePaths>(
        ScalePaths{without_dot(data::get_string(*scale, {"specReplicasPath"})),
                   without_dot(data::get_string(*scale, {"statusReplicasPath"})),
                   without_dot(data::get_string(*scale, {"labelSelectorPath"}))});
  }
  for (const auto& column : data::get_array(version, {"additionalPrinterColumns"})) {
    made.columns.push_back({std::string(data::get_string(column, {"name"})),
                            std::string(data::get_string(column, {"type"})),
                            std::string(data::get_string(column, {"format"})),
                            std::string(data::get_string(column, {"description"})),
                            data::get_int(column, {"priority"}),
                            std::string(data::get_string(column, {"jsonPath"}))});
  }
  if (data::get_bool(version, {"deprecated"})) {
    made.deprecation_warning = data::get_string(version, {"deprecationWarning"});
    if (made.deprecation_warning.empty()) {
      made.deprecation_warning = type.group + "/" + made.name + " " + type.kind + " is deprecated";
    }
  }
  return made;
}

}  // namespace

TypePtr type_from_crd(const Json& crd) {
  auto type = std::make_shared<ResourceType>();
  type->group = data::get_string(crd, {"spec", "group"});
  type->plural = data::get_string(crd, {"spec", "names", "plural"});
  type->kind = data::get_string(crd, {"spec", "names", "kind"});
  if (type->group.empty() || type->plural.empty() || type->kind.empty()) return nullptr;
  type->singular = data::get_string(crd, {"spec", "names", "singular"});
  if (type->singular.empty()) type->singular = to_lower(type->kind);
  type->list_kind = data::get_string(crd, {"spec", "names", "listKind"});
  if (type->list_kind.empty()) type->list_kind = type->kind + "List";
  type->short_names = strings_at(crd, {"spec", "names", "shortNames"});
  type->categories = strings_at(crd, {"spec", "names", "categories"});
  type->is_namespaced = data::get_string(crd, {"spec", "scope"}) != "Cluster";
  type->is_custom = true;
  type->has_generation = true;
  type->preserves_unknown = data::get_bool(crd, {"spec", "preserveUnknownFields"});
  type->bucket = type->group + "/" + type->plural;
  for (const auto& version : data::get_array(crd, {"spec", "versions"})) {
    type->versions.push_back(version_from(version, *type));
    if (data::get_bool(version, {"storage"})) type->storage_version = type->versions.back().name;
  }
  std::stable_sort(type->versions.begin(), type->versions.end(),
                   [](const auto& a, const auto& b) { return is_better_version(a.name, b.name); });
  if (type->versions.empty()) return nullptr;
  if (type->storage_version.empty()) type->storage_version = type->versions.front().name;
  return type;
}

// notify() runs inside the store's lock and only touches its own state; the registry is rebuilt
// when next asked for.
class Catalog::Follower final : public Watcher {
 public:
  void notify(const EventPtr& event) override {
    std::lock_guard lock(mutex_);
    const std::string& name = event->object->key.name;
    TypePtr type =
        event->type == StoreEvent::Type::kDeleted ? nullptr : type_from_crd(event->object->value);
    if (type == nullptr) custom_.erase(name);
    else custom_[name] = std::move(type);
    registry_ = nullptr;
    ++generation_;
  }
  void learn(const StoredObject& object) {
    std::lock_guard lock(mutex_);
    if (auto type = type_from_crd(object.value)) custom_[object.key.name] = std::move(type);
    registry_ = nullptr;
    ++generation_;
  }
  RegistryPtr current() {
    std::lock_guard lock(mutex_);
    if (registry_ == nullptr) {
      auto types = builtin_;
      for (const auto& [name, type] : custom_) types.push_back(type);
      registry_ = std::make_shared<const Registry>(std::move(types));
    }
    return registry_;
  }
  std::uint64_t generation() {
    std::lock_guard lock(mutex_);
    return generation_;
  }

 private:
  std::mutex mutex_;
  const std::vector<TypePtr> builtin_ = builtin_types();
  std::map<std::string, TypePtr> custom_;
  RegistryPtr registry_;
  std::uint64_t generation_ = 1;
};

Catalog::Catalog(Store& store) : store_(store), follower_(std::make_shared<Follower>()) {
  const auto listing = store_.watch_now(kCrdBucket, {}, follower_);
  for (const auto& object : listing.items) follower_->learn(*object);
}
Catalog::~Catalog() { store_.unwatch(kCrdBucket, follower_.get()); }
RegistryPtr Catalog::current() const { return follower_->current(); }
std::uint64_t Catalog::generation() const { return follower_->generation(); }

}  // namespace lateen::cluster::apiserver
