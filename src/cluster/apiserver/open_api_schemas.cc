// Definitions and paths of the OpenAPI documents: built-in kinds from their table, custom ones from
// their CRD's schema.
#include <fmt/format.h>

#include <set>

#include "base/strings.h"
#include "cluster/apiserver/builtin_schemas.h"
#include "cluster/apiserver/descriptions.h"
#include "cluster/apiserver/discovery.h"
#include "cluster/apiserver/open_api.h"

namespace lateen::cluster::apiserver {
namespace {

struct PackageName {
  std::string_view package;
  std::string_view open_api;
};
constexpr PackageName kNames[] = {
    {"core", "io.k8s.api.core.v1"},
    {"meta", "io.k8s.apimachinery.pkg.apis.meta.v1"},
    {"apps", "io.k8s.api.apps.v1"},
    {"batch", "io.k8s.api.batch.v1"},
    {"as1", "io.k8s.api.autoscaling.v1"},
    {"as2", "io.k8s.api.autoscaling.v2"},
    {"policy", "io.k8s.api.policy.v1"},
    {"rbac", "io.k8s.api.rbac.v1"},
    {"net", "io.k8s.api.networking.v1"},
    {"adm", "io.k8s.api.admissionregistration.v1"},
    {"ext", "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1"},
    {"coord", "io.k8s.api.coordination.v1"},
    {"disco", "io.k8s.api.discovery.v1"},
    {"events", "io.k8s.api.events.v1"},
    {"storage", "io.k8s.api.storage.v1"},
    {"sched", "io.k8s.api.scheduling.v1"},
    {"node", "io.k8s.api.node.v1"},
    {"cert", "io.k8s.api.certificates.v1"},
    {"authn", "io.k8s.api.authentication.v1"},
    {"authz", "io.k8s.api.authorization.v1"},
};

std::string open_api_name(const SchemaMessage& message) {
  for (const auto& [package, name] : kNames) {
    if (package == message.package) return fmt::format("{}.{}", name, message.name);
  }
  return std::string(message.name);
}

// com.example.stable.v1.CronTab for group stable.example.com.
std::string custom_name(const ResourceType& type, std::string_view version) {
  std::string reversed;
  const auto parts = split(type.group, '.');
  for (auto at = parts.rbegin(); at != parts.rend(); ++at) reversed += fmt::format("{}.", *at);
  return fmt::format("{}{}.{}", reversed, version, type.kind);
}

Json group_version_kind(std::string_view group, std::string_view version, std::string_view kind) {
  return JsonObject{{"group", group}, {"version", version}, {"kind", kind}};
}

// Collects definitions and, transitively, what they refer to.
class Definitions {
 public:
  explicit Definitions(std::string_view prefix) : prefix_(prefix) {}

  void add_kind(const ResourceType& type, const ServedVersion& version) {
    const Json gvk = group_version_kind(type.group, version.name, type.kind);
    if (type.is_custom) {
      const std::string name = custom_name(type, version.name);
      made_[name] = custom_definition(type, version, gvk);
      made_[name + "List"] =
          list_definition(name, group_version_kind(type.group, version.name, type.list_kind));
      return;
    }
    const SchemaMessage* message = BuiltinSchemas::get().kind(type.group, version.name, type.kind);
    if (message == nullptr) return;
    add_message(*message);
    mark(open_api_name(*message), gvk);
    if (type.is_virtual) return;
    const std::string list = open_api_name(*message) + "List";
    if (!made_.contains(list)) made_[list] = list_definition(open_api_name(*message), Json());
    mark(list, group_version_kind(type.group, version.name, type.list_kind));
  }
  void add_message(const SchemaMessage& message) {
    if (!seen_.insert(&message).second) return;
    JsonObject properties;
    JsonArray required;
    const bool is_kind = message.find("metadata") != nullptr && message.package != "meta" &&
                         message.name.find("Template") == std::string_view::npos;
    if (is_kind || message.name == "DeleteOptions" || message.name == "Status") {
      properties["apiVersion"] = described(JsonObject{{"type", "string"}}, "apiVersion");
      properties["kind"] = described(JsonObject{{"type", "string"}}, "kind");
    }
    add_fields(message, properties, required);
    JsonObject definition{{"type", "object"}};
    if (const auto text = describe_kind(message.name); !text.empty())
      definition["description"] = text;
    if (!properties.empty()) definition["properties"] = std::move(properties);
    if (!required.empty()) definition["required"] = std::move(required);
    made_[open_api_name(message)] = std::move(definition);
  }
  JsonObject take() { return std::move(made_); }

 private:
  Json reference(std::string_view name) {
    return JsonObject{{"$ref", fmt::format("{}{}", prefix_, name)}};
  }

  // A description beside a $ref would be lost in version 2 documents; version 3 has allOf for it.
  Json described(Json schema, std::string_view field) {
    const auto text = describe_field(field);
    auto* object = schema.if_object();
    if (text.empty() || object == nullptr) return schema;
    if (object->contains("$ref") && prefix_.find("components") != std::string_view::npos) {
      return JsonObject{{"allOf", JsonArray{std::move(schema)}},
                        {"default", JsonObject{}},
                        {"description", text}};
    }
    (*object)["description"] = text;
    return schema;
  }

  void mark(const std::string& name, const Json& gvk) {
    auto* definition = made_[name].if_object();
    if (definition == nullptr) return;
    Json& list = (*definition)["x-kubernetes-group-version-kind"];
    if (!list.is_array()) list = JsonArray{};
    if (auto* array = list.if_array()) {
      for (const auto& one : *array) {
        if (data::equal(one, gvk)) return;
      }
      array->push_back(gvk);
    }
  }

  void add_fields(const SchemaMessage& message, JsonObject& properties, JsonArray& required) {
    for (const auto& field : message.fields) {
      if (field.is_inline()) {
        if (field.message != nullptr) add_fields(*field.message, properties, required);
        continue;
      }
      properties[field.name] = described(shaped(field), field.name);
      if (field.is_required && field.name != "status") required.emplace_back(field.name);
    }
  }

  Json shaped(const SchemaField& field) {
    Json one = single(field);
    if (field.shape == SchemaField::Shape::kList)
      return JsonObject{{"type", "array"}, {"items", std::move(one)}};
    if (field.shape == SchemaField::Shape::kMap) {
      return JsonObject{{"type", "object"}, {"additionalProperties", std::move(one)}};
    }
    return one;
  }

  Json single(const SchemaField& field) {
    using Kind = SchemaField::Kind;
    switch (field.kind) {
      case Kind::kString: return JsonObject{{"type", "string"}};
      case Kind::kInteger: return JsonObject{{"type", "integer"}, {"format", "int64"}};
      case Kind::kBoolean: return JsonObject{{"type", "boolean"}};
      case Kind::kDouble: return JsonObject{{"type", "number"}, {"format", "double"}};
      case Kind::kBytes: return JsonObject{{"type", "string"}, {"format", "byte"}};
      case Kind::kDuration: return JsonObject{{"type", "string"}};
      case Kind::kTime: return scalar("io.k8s.apimachinery.pkg.apis.meta.v1.Time", "date-time");
      case Kind::kMicroTime:
        return scalar("io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime", "date-time");
      case Kind::kIntOrString:
        return scalar("io.k8s.apimachinery.pkg.util.intstr.IntOrString", "int-or-string");
      case Kind::kQuantity: return scalar("io.k8s.apimachinery.pkg.api.resource.Quantity", "");
      case Kind::kItems:
        return JsonObject{{"type", "array"}, {"items", JsonObject{{"type", "string"}}}};
      case Kind::kFree: return JsonObject{{"x-kubernetes-preserve-unknown-fields", true}};
      case Kind::kMessage:
        add_message(*field.message);
        return reference(open_api_name(*field.message));
    }
    return JsonObject{};
  }

  Json scalar(std::string_view name, std::string_view format) {
    JsonObject definition{{"type", "string"}};
    if (!format.empty()) definition["format"] = format;
    made_[name] = std::move(definition);
    return reference(name);
  }

  Json metadata(std::string_view type) {
    add_message(*BuiltinSchemas::get().message("meta", type));
    return reference(fmt::format("io.k8s.apimachinery.pkg.apis.meta.v1.{}", type));
  }

  Json list_definition(const std::string& item, const Json& gvk) {
    JsonObject definition{
        {"type", "object"},
        {"required", JsonArray{"items"}},
        {"properties",
         JsonObject{{"apiVersion", JsonObject{{"type", "string"}}},
                    {"kind", JsonObject{{"type", "string"}}},
                    {"metadata", metadata("ListMeta")},
                    {"items", JsonObject{{"type", "array"}, {"items", reference(item)}}}}}};
    if (!gvk.is_null()) definition["x-kubernetes-group-version-kind"] = JsonArray{gvk};
    return definition;
  }

  Json custom_definition(const ResourceType& type, const ServedVersion& version, const Json& gvk) {
    Json schema = version.schema != nullptr && !type.preserves_unknown
                      ? *version.schema
                      : Json(JsonObject{{"type", "object"}});
    auto& properties = data::ensure_object(schema, {"properties"});
    const bool has_properties = !properties.empty();
    properties["apiVersion"] = JsonObject{{"type", "string"}};
    properties["kind"] = JsonObject{{"type", "string"}};
    properties["metadata"] = metadata("ObjectMeta");
    if (!has_properties) data::set(schema, {"x-kubernetes-preserve-unknown-fields"}, true);
    data::set(schema, {"x-kubernetes-group-version-kind"}, JsonArray{gvk});
    return schema;
  }

  std::string_view prefix_;
  JsonObject made_;
  std::set<const SchemaMessage*> seen_;
};

std::string group_version_path(const ResourceType& type, const ServedVersion& version) {
  return type.group.empty() ? fmt::format("api/{}", version.name)
                            : fmt::format("apis/{}/{}", type.group, version.name);
}

Json query_parameter(std::string_view name, bool is_v3) {
  JsonObject parameter{{"name", name}, {"in", "query"}};
  if (is_v3) parameter["schema"] = JsonObject{{"type", "string"}};
  else parameter["type"] = "string";
  return parameter;
}

Json operation(std::string_view action, const Json& gvk,
               const std::vector<std::string_view>& parameters, bool is_v3) {
  JsonArray list;
  for (const auto name : parameters) list.push_back(query_parameter(name, is_v3));
  return JsonObject{{"parameters", std::move(list)},
                    {"responses", JsonObject{{"200", JsonObject{{"description", "OK"}}}}},
                    {"x-kubernetes-action", action},
                    {"x-kubernetes-group-version-kind", gvk}};
}

void add_paths(const ResourceType& type, const ServedVersion& version, bool is_v3,
               JsonObject& paths) {
  const Json gvk = group_version_kind(type.group, version.name, type.kind);
  const std::string base = "/" + group_version_path(type, version);
  const std::string collection = fmt::format(
      "{}{}/{}", base, type.is_namespaced ? "/namespaces/{namespace}" : "", type.plural);
  const std::vector<std::string_view> write{"dryRun", "fieldManager", "fieldValidation", "pretty"};
  if (type.is_virtual) {
    paths[collection] = JsonObject{{"post", operation("post", gvk, write, is_v3)}};
    return;
  }
  paths[collection] = JsonObject{
      {"get", operation("list", gvk,
                        {"labelSelector", "fieldSelector", "limit", "continue", "watch"}, is_v3)},
      {"post", operation("post", gvk, write, is_v3)},
      {"delete",
       operation("deletecollection", gvk, {"dryRun", "labelSelector", "fieldSelector"}, is_v3)}};
  paths[collection + "/{name}"] = JsonObject{
      {"get", operation("get", gvk, {"pretty"}, is_v3)},
      {"put", operation("put", gvk, write, is_v3)},
      {"patch", operation("patch", gvk,
                          {"dryRun", "fieldManager", "fieldValidation", "force", "pretty"}, is_v3)},
      {"delete",
       operation("delete", gvk, {"dryRun", "gracePeriodSeconds", "propagationPolicy"}, is_v3)}};
}

template <typename Visit>
void for_each_version(const Registry& registry, std::string_view group_version, Visit visit) {
  for (const auto& type : registry.types()) {
    for (const auto& version : type->versions) {
      if (!version.is_served) continue;
      if (group_version.empty() || group_version_path(*type, version) == group_version)
        visit(*type, version);
    }
  }
}

}  // namespace

JsonObject open_api_definitions(const Registry& registry, std::string_view group_version,
                                std::string_view prefix) {
  Definitions definitions(prefix);
  for_each_version(registry, group_version,
                   [&](const ResourceType& type, const ServedVersion& version) {
                     definitions.add_kind(type, version);
                   });
  definitions.add_message(*BuiltinSchemas::get().message("meta", "DeleteOptions"));
  definitions.add_message(*BuiltinSchemas::get().message("meta", "Status"));
  return definitions.take();
}

JsonObject open_api_paths(const Registry& registry, std::string_view group_version, bool is_v3) {
  JsonObject paths;
  for_each_version(registry, group_version,
                   [&](const ResourceType& type, const ServedVersion& version) {
                     add_paths(type, version, is_v3, paths);
                   });
  return paths;
}

}  // namespace lateen::cluster::apiserver
