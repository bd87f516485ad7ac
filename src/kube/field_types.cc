// Merge rules by kind: from the table of built-in kinds, or from a CRD's schema.
#include "base/strings.h"
#include "kube/apply.h"

namespace lateen::kube {
namespace {

class BuiltinTypes final : public FieldTypes {
 public:
  explicit BuiltinTypes(std::string_view kind) : kind_(kind) {}
  ListKind list(std::string_view path) const override { return apply_list(kind_, path); }
  bool is_atomic(std::string_view path) const override { return is_atomic_object(kind_, path); }
  Json key_default(std::string_view, std::string_view key) const override {
    return key == "protocol" ? Json("TCP") : Json();
  }

 private:
  std::string kind_;
};

class SchemaTypes final : public FieldTypes {
 public:
  explicit SchemaTypes(const Json& schema) : schema_(schema) {}

  ListKind list(std::string_view path) const override {
    if (path.starts_with("metadata.")) return apply_list("", path);
    const Json* schema = at(path);
    if (schema == nullptr) return {};
    const auto type = data::get_string(*schema, {"x-kubernetes-list-type"});
    if (type == "set") return {ListKind::Type::kSet, {}};
    if (type != "map") return {};
    ListKind out{ListKind::Type::kMap, {}};
    for (const Json& key : data::get_array(*schema, {"x-kubernetes-list-map-keys"})) {
      out.keys.emplace_back(data::as_string(key));
    }
    return out.keys.empty() ? ListKind{} : out;
  }

  bool is_atomic(std::string_view path) const override {
    const Json* schema = at(path);
    return schema != nullptr && data::get_string(*schema, {"x-kubernetes-map-type"}) == "atomic";
  }

  Json key_default(std::string_view path, std::string_view key) const override {
    const Json* schema = at(path);
    const Json* value =
        schema != nullptr ? data::find(*schema, {"items", "properties", key, "default"}) : nullptr;
    return value != nullptr ? *value : Json();
  }

 private:
  // The schema below a dotted path; steps through items of lists on the way.
  const Json* at(std::string_view path) const {
    const Json* schema = &schema_;
    for (const auto name : split(path, '.')) {
      if (const Json* items = data::find(*schema, {"items"})) schema = items;
      const Json* next = data::find(*schema, {"properties", name});
      if (next == nullptr) next = data::find(*schema, {"additionalProperties"});
      if (next == nullptr || !next->is_object()) return nullptr;
      schema = next;
    }
    return schema;
  }

  Json schema_;
};

}  // namespace

std::unique_ptr<const FieldTypes> builtin_types(std::string_view kind) {
  return std::make_unique<BuiltinTypes>(kind);
}
std::unique_ptr<const FieldTypes> schema_types(const Json& schema) {
  return std::make_unique<SchemaTypes>(schema);
}

}  // namespace lateen::kube
