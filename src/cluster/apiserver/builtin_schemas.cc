// See builtin_schemas.h.
#include "cluster/apiserver/builtin_schemas.h"

#include <fmt/format.h>

#include "base/strings.h"

namespace lateen::cluster::apiserver {
namespace {

using Kind = SchemaField::Kind;
using Shape = SchemaField::Shape;

struct NamedKind {
  std::string_view name;
  Kind kind;
};
constexpr NamedKind kScalars[] = {
    {"s", Kind::kString},        {"i", Kind::kInteger}, {"b", Kind::kBoolean},
    {"d", Kind::kDouble},        {"y", Kind::kBytes},   {"q", Kind::kQuantity},
    {"ios", Kind::kIntOrString}, {"time", Kind::kTime}, {"micro", Kind::kMicroTime},
    {"dur", Kind::kDuration},    {"raw", Kind::kFree},  {"json", Kind::kFree},
    {"items", Kind::kItems},
};

struct GroupPackage {
  std::string_view group;
  std::string_view package;
};
constexpr GroupPackage kPackages[] = {
    {"", "core"},
    {"apps", "apps"},
    {"batch", "batch"},
    {"policy", "policy"},
    {"rbac.authorization.k8s.io", "rbac"},
    {"networking.k8s.io", "net"},
    {"admissionregistration.k8s.io", "adm"},
    {"apiextensions.k8s.io", "ext"},
    {"coordination.k8s.io", "coord"},
    {"discovery.k8s.io", "disco"},
    {"events.k8s.io", "events"},
    {"storage.k8s.io", "storage"},
    {"scheduling.k8s.io", "sched"},
    {"node.k8s.io", "node"},
    {"certificates.k8s.io", "cert"},
    {"authentication.k8s.io", "authn"},
    {"authorization.k8s.io", "authz"},
    {"meta.k8s.io", "meta"},
};

// Older versions whose shape differs from the one in the table.
bool is_described(std::string_view group, std::string_view version) {
  if (group == "apiextensions.k8s.io" || group == "autoscaling" ||
      group == "admissionregistration.k8s.io")
    return version.find("beta") == std::string_view::npos;
  return true;
}

}  // namespace

const SchemaField* SchemaMessage::find(std::string_view field) const {
  for (const auto& one : fields) {
    if (!one.is_inline()) {
      if (one.name == field) return &one;
    } else if (one.message != nullptr) {
      if (const auto* inner = one.message->find(field)) return inner;
    }
  }
  return nullptr;
}

const BuiltinSchemas& BuiltinSchemas::get() {
  static const BuiltinSchemas schemas;
  return schemas;
}

BuiltinSchemas::BuiltinSchemas() {
  for (std::string_view table : {kCoreSchemas, kAppsSchemas, kMetaSchemas}) parse(table);
}

void BuiltinSchemas::parse(std::string_view table) {
  std::string_view package;
  SchemaMessage* message = nullptr;
  for (auto line : split(table, '\n')) {
    if (line.empty()) continue;
    if (line.front() == '@') {
      package = line.substr(1);
      continue;
    }
    bool is_name = line.front() != ' ';
    for (const auto word : split(trim(line), ' ')) {
      if (!is_name) {
        parse_field(*message, word);
        continue;
      }
      is_name = false;
      auto& made = messages_[fmt::format("{}.{}", package, word)];
      if (made == nullptr)
        made = std::make_unique<SchemaMessage>();  // else: named by a field before
      message = made.get();
      message->package = package;
      message->name = word;
    }
  }
}

void BuiltinSchemas::parse_field(SchemaMessage& message, std::string_view word) {
  SchemaField field;
  const auto first = word.find(':');
  const auto second = word.find(':', first + 1);
  field.name = word.substr(0, first);
  field.number =
      static_cast<int>(parse_int(word.substr(first + 1, second - first - 1)).value_or(0));
  std::string_view type = word.substr(second + 1);
  if (type.ends_with('!')) {
    field.is_required = true;
    type.remove_suffix(1);
  }
  if (type.ends_with('*')) {
    field.is_pointer = true;
    type.remove_suffix(1);
  }
  if (type.starts_with("[]")) field.shape = Shape::kList;
  if (type.starts_with("{}")) field.shape = Shape::kMap;
  if (field.shape != Shape::kOne) type.remove_prefix(2);
  field.kind =
      Kind::kFree;  // also for lists inside lists and maps, which only free-form kinds have
  for (const auto& scalar : kScalars) {
    if (scalar.name == type) field.kind = scalar.kind;
  }
  if (type.find('.') != std::string_view::npos) {
    auto& target = messages_[std::string(type)];
    if (target == nullptr) target = std::make_unique<SchemaMessage>();
    field.kind = Kind::kMessage;
    field.message = target.get();
  }
  message.fields.push_back(field);
}

const SchemaMessage* BuiltinSchemas::message(std::string_view package,
                                             std::string_view name) const {
  const auto found = messages_.find(fmt::format("{}.{}", package, name));
  return found == messages_.end() ? nullptr : found->second.get();
}

const SchemaMessage* BuiltinSchemas::kind(std::string_view group, std::string_view version,
                                          std::string_view kind) const {
  if (kind == "DeleteOptions" || kind == "CreateOptions" || kind == "UpdateOptions")
    return message("meta", kind);
  if (!is_described(group, version)) return nullptr;
  if (group == "autoscaling") return message(version == "v1" ? "as1" : "as2", kind);
  for (const auto& [known, package] : kPackages) {
    if (known == group) return message(package, kind);
  }
  return nullptr;
}

namespace {

void find_unknown(const SchemaMessage& message, Json& value, const std::string& path,
                  std::vector<std::string>& found) {
  constexpr std::size_t kMostFound = 100;
  auto* object = value.if_object();
  if (object == nullptr || found.size() >= kMostFound) return;
  std::vector<std::string> gone;
  for (auto& [key, child] : *object) {
    const std::string_view name(key);
    const std::string at = path.empty() ? std::string(name) : fmt::format("{}.{}", path, name);
    if (path.empty() && (name == "apiVersion" || name == "kind")) continue;
    const SchemaField* field = message.find(name);
    if (field == nullptr) {
      found.push_back(at);
      gone.emplace_back(name);
      continue;
    }
    if (field->kind != Kind::kMessage) continue;
    if (field->shape == Shape::kOne) {
      find_unknown(*field->message, child, at, found);
    } else if (auto* list = child.if_array()) {
      for (std::size_t i = 0; i < list->size(); ++i) {
        find_unknown(*field->message, (*list)[i], fmt::format("{}[{}]", at, i), found);
      }
    } else if (auto* map = child.if_object()) {
      for (auto& [map_key, item] : *map) {
        find_unknown(*field->message, item, fmt::format("{}.{}", at, std::string_view(map_key)),
                     found);
      }
    }
  }
  for (const auto& name : gone) object->erase(name);
}

}  // namespace

namespace {

std::string_view json_type(const Json& value) {
  if (value.is_string()) return "string";
  if (value.is_bool()) return "bool";
  if (value.is_object()) return "object";
  return value.is_array() ? "array" : "number";
}

// Empty when `value` can be one of `field`; else the Go type it should be.
std::string_view wanted_type(const SchemaField& field, const Json& value) {
  switch (field.kind) {
    case Kind::kString:
    case Kind::kBytes:
    case Kind::kTime:
    case Kind::kMicroTime:
    case Kind::kDuration: return value.is_string() ? "" : "string";
    case Kind::kInteger: return data::as_int(value) || value.is_uint64() ? "" : "int32";
    case Kind::kBoolean: return value.is_bool() ? "" : "bool";
    case Kind::kDouble: return value.is_number() ? "" : "float64";
    case Kind::kQuantity: return value.is_string() || value.is_number() ? "" : "string";
    case Kind::kIntOrString: return value.is_string() || value.is_number() ? "" : "string";
    case Kind::kMessage: return value.is_object() ? "" : "object";
    case Kind::kFree:
    case Kind::kItems: return "";
  }
  return "";
}

std::string find_type_fault(const SchemaMessage& message, const Json& value,
                            const std::string& path);

std::string check_one(const SchemaMessage& owner, const SchemaField& field, const Json& value,
                      const std::string& path) {
  if (value.is_null()) return {};
  if (const auto wanted = wanted_type(field, value); !wanted.empty()) {
    std::string type(wanted);
    if (field.kind == Kind::kMessage && field.message != nullptr)
      type = fmt::format("{}.{}", field.message->package, field.message->name);
    return fmt::format("json: cannot unmarshal {} into Go struct field {}.{} of type {}",
                       json_type(value), owner.name, path, type);
  }
  if (field.kind != Kind::kMessage) return {};
  return find_type_fault(*field.message, value, path);
}

std::string find_type_fault(const SchemaMessage& message, const Json& value,
                            const std::string& path) {
  const auto* object = value.if_object();
  if (object == nullptr) return {};
  for (const auto& [key, child] : *object) {
    const std::string_view name(key);
    const SchemaField* field = message.find(name);
    if (field == nullptr || child.is_null()) continue;
    const std::string at = path.empty() ? std::string(name) : fmt::format("{}.{}", path, name);
    if (field->shape == Shape::kOne) {
      if (auto fault = check_one(message, *field, child, at); !fault.empty()) return fault;
      continue;
    }
    const bool is_list = field->shape == Shape::kList;
    if (is_list ? !child.is_array() : !child.is_object()) {
      if (field->kind == Kind::kFree || field->kind == Kind::kItems) continue;
      return fmt::format("json: cannot unmarshal {} into Go struct field {}.{} of type {}",
                         json_type(child), message.name, at,
                         is_list ? "[]interface {}" : "map[string]interface {}");
    }
    if (const auto* list = child.if_array()) {
      for (const auto& item : *list) {
        if (auto fault = check_one(message, *field, item, at); !fault.empty()) return fault;
      }
    } else {
      for (const auto& [map_key, item] : *child.if_object()) {
        if (auto fault = check_one(message, *field, item, at); !fault.empty()) return fault;
      }
    }
  }
  return {};
}

}  // namespace

std::string builtin_type_fault(std::string_view kind, std::string_view group,
                               std::string_view version, const Json& object) {
  const SchemaMessage* message = BuiltinSchemas::get().kind(group, version, kind);
  return message != nullptr ? find_type_fault(*message, object, {}) : std::string();
}

std::vector<std::string> unknown_builtin_fields(std::string_view kind, std::string_view group,
                                                std::string_view version, Json& object) {
  std::vector<std::string> found;
  const SchemaMessage* message = BuiltinSchemas::get().kind(group, version, kind);
  if (message != nullptr) find_unknown(*message, object, {}, found);
  return found;
}

}  // namespace lateen::cluster::apiserver
