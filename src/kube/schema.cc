// Compiling, defaulting and pruning.
#include "kube/schema.h"

#include <re2/re2.h>

#include "base/strings.h"
#include "kube/schema_node.h"

namespace lateen::kube {

SchemaNode::SchemaNode() = default;
SchemaNode::~SchemaNode() = default;

namespace {

constexpr int kMaxDepth = 100;

Result<std::unique_ptr<SchemaNode>> compile(const Json& schema, int depth);

Result<> compile_list(const Json& schema, std::string_view key,
                      std::vector<std::unique_ptr<SchemaNode>>& into, int depth) {
  for (const Json& child : data::get_array(schema, {key}))
    into.push_back(TRY(compile(child, depth)));
  return {};
}

void read_bounds(const Json& schema, SchemaNode& node) {
  const auto number = [&](std::string_view key) -> std::optional<double> {
    const Json* value = data::find(schema, {key});
    return value != nullptr ? data::as_number(*value) : std::nullopt;
  };
  const auto count = [&](std::string_view key) -> std::optional<std::int64_t> {
    const Json* value = data::find(schema, {key});
    return value != nullptr ? data::as_int(*value) : std::nullopt;
  };
  node.minimum = number("minimum");
  node.maximum = number("maximum");
  node.multiple_of = number("multipleOf");
  node.is_minimum_exclusive = data::get_bool(schema, {"exclusiveMinimum"});
  node.is_maximum_exclusive = data::get_bool(schema, {"exclusiveMaximum"});
  node.min_length = count("minLength");
  node.max_length = count("maxLength");
  node.min_items = count("minItems");
  node.max_items = count("maxItems");
  node.min_properties = count("minProperties");
  node.max_properties = count("maxProperties");
  node.is_unique = data::get_bool(schema, {"uniqueItems"});
}

void read_marks(const Json& schema, SchemaNode& node) {
  node.type = std::string(data::get_string(schema, {"type"}));
  node.format = std::string(data::get_string(schema, {"format"}));
  node.is_nullable = data::get_bool(schema, {"nullable"});
  node.is_int_or_string = data::get_bool(schema, {"x-kubernetes-int-or-string"});
  node.keeps_unknown = data::get_bool(schema, {"x-kubernetes-preserve-unknown-fields"});
  node.is_embedded = data::get_bool(schema, {"x-kubernetes-embedded-resource"});
  node.list_type = std::string(data::get_string(schema, {"x-kubernetes-list-type"}));
  for (const Json& key : data::get_array(schema, {"x-kubernetes-list-map-keys"})) {
    node.list_keys.emplace_back(data::as_string(key));
  }
  for (const Json& name : data::get_array(schema, {"required"})) {
    node.required.emplace_back(data::as_string(name));
  }
  for (const Json& value : data::get_array(schema, {"enum"})) node.values.push_back(value);
  if (const Json* value = data::find(schema, {"default"})) node.fallback = *value;
}

Result<std::unique_ptr<SchemaNode>> compile(const Json& schema, int depth) {
  if (depth > kMaxDepth) return invalid("the schema is nested deeper than 100 levels");
  auto node = std::make_unique<SchemaNode>();
  read_marks(schema, *node);
  read_bounds(schema, *node);
  if (const auto pattern = data::get_string(schema, {"pattern"}); !pattern.empty()) {
    node->pattern_text = std::string(pattern);
    node->pattern = std::make_unique<re2::RE2>(node->pattern_text, re2::RE2::Quiet);
    if (!node->pattern->ok()) {
      return invalid("pattern '" + node->pattern_text + "': " + node->pattern->error());
    }
  }
  for (const auto& [name, child] : data::get_object(schema, {"properties"})) {
    node->properties[std::string(name)] = TRY(compile(child, depth + 1));
  }
  if (const Json* additional = data::find(schema, {"additionalProperties"})) {
    if (additional->is_object()) node->additional = TRY(compile(*additional, depth + 1));
    else if (const bool* flag = additional->if_bool()) node->allows_additional = *flag;
  }
  if (const Json* items = data::find(schema, {"items"}); items != nullptr && items->is_object()) {
    node->items = TRY(compile(*items, depth + 1));
  }
  TRY(compile_list(schema, "allOf", node->all_of, depth + 1));
  TRY(compile_list(schema, "anyOf", node->any_of, depth + 1));
  TRY(compile_list(schema, "oneOf", node->one_of, depth + 1));
  if (const Json* negated = data::find(schema, {"not"});
      negated != nullptr && negated->is_object()) {
    node->negated = TRY(compile(*negated, depth + 1));
  }
  return node;
}

bool is_object_head(std::string_view key) {
  return key == "apiVersion" || key == "kind" || key == "metadata";
}

void fill_in(const SchemaNode& node, Json& value) {
  if (auto* object = value.if_object()) {
    for (const auto& [name, child] : node.properties) {
      Json* field = object->if_contains(name);
      if (field != nullptr && field->is_null() && !child->is_nullable && child->fallback) {
        *field = *child->fallback;
      }
      if (field == nullptr && child->fallback) {
        (*object)[name] = *child->fallback;
        field = object->if_contains(name);
      }
      if (field != nullptr) fill_in(*child, *field);
    }
    if (node.additional == nullptr) return;
    for (auto& [name, field] : *object) {
      if (!node.properties.contains(std::string_view(name))) fill_in(*node.additional, field);
    }
  } else if (auto* list = value.if_array(); list != nullptr && node.items != nullptr) {
    for (Json& item : *list) fill_in(*node.items, item);
  }
}

void prune_node(const SchemaNode& node, Json& value, const std::string& path, bool is_whole_object,
                std::vector<std::string>& dropped) {
  if (auto* object = value.if_object()) {
    const bool has_head = is_whole_object || node.is_embedded;
    for (auto it = object->begin(); it != object->end();) {
      const std::string_view name = it->key();
      const std::string field_path =
          path.empty() ? std::string(name) : path + "." + std::string(name);
      const auto property = node.properties.find(name);
      if (has_head && is_object_head(name)) {
        ++it;
      } else if (property != node.properties.end()) {
        prune_node(*property->second, it->value(), field_path, false, dropped);
        ++it;
      } else if (node.additional != nullptr) {
        prune_node(*node.additional, it->value(), field_path, false, dropped);
        ++it;
      } else if (node.keeps_unknown || node.allows_additional) {
        ++it;
      } else {
        dropped.push_back(field_path);
        it = object->stable_erase(it);
      }
    }
  } else if (auto* list = value.if_array(); list != nullptr && node.items != nullptr) {
    for (std::size_t i = 0; i < list->size(); ++i) {
      prune_node(*node.items, (*list)[i], path + "[" + std::to_string(i) + "]", false, dropped);
    }
  }
}

}  // namespace

Result<Schema> Schema::parse(const Json& open_api_v3) {
  return Schema(std::unique_ptr<const SchemaNode>(TRY(compile(open_api_v3, 0))));
}

Schema::Schema(std::unique_ptr<const SchemaNode> root) : root_(std::move(root)) {}
Schema::Schema(Schema&&) noexcept = default;
Schema& Schema::operator=(Schema&&) noexcept = default;
Schema::~Schema() = default;

void Schema::apply_defaults(Json& object) const { fill_in(*root_, object); }

std::vector<std::string> Schema::prune(Json& object) const {
  std::vector<std::string> dropped;
  prune_node(*root_, object, "", true, dropped);
  return dropped;
}

std::string invalid_message(std::string_view qualified_kind, std::string_view name,
                            const std::vector<FieldProblem>& problems) {
  std::vector<std::string> texts;
  for (const auto& problem : problems) texts.push_back(problem.text());
  const std::string all = texts.size() == 1 ? texts[0] : "[" + join(texts, ", ") + "]";
  return std::string(qualified_kind) + " \"" + std::string(name) + "\" is invalid: " + all;
}

}  // namespace lateen::kube
