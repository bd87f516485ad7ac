// Validation, with the texts that kube-apiserver gives (kube-openapi's validate, field.Error).
#include <fmt/core.h>
#include <re2/re2.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/clock.h"
#include "base/strings.h"
#include "kube/schema.h"
#include "kube/schema_node.h"

namespace lateen::kube {
namespace {

std::string type_name(const Json& value) {
  if (value.is_string()) return "string";
  if (value.is_bool()) return "boolean";
  if (value.is_array()) return "array";
  if (value.is_object()) return "object";
  if (value.is_null()) return "null";
  return data::as_int(value) ? "integer" : "number";
}

bool has_type(const Json& value, const SchemaNode& node) {
  if (value.is_null()) return node.is_nullable;
  const auto actual = type_name(value);
  if (node.is_int_or_string) return actual == "integer" || actual == "string";
  return node.type.empty() || node.type == actual || (node.type == "number" && actual == "integer");
}

// Go's %v of a bound: integers without a fraction.
std::string number_text(double number) {
  if (number == std::floor(number) && std::abs(number) < 1e15) {
    return std::to_string(static_cast<std::int64_t>(number));
  }
  return fmt::format("{}", number);
}

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

class Validation {
 public:
  explicit Validation(std::vector<FieldProblem>& problems) : problems_(problems) {}

  void check(const SchemaNode& node, const Json& value, const std::string& path) {
    if (problems_.size() >= Schema::kMaxProblems) return;
    if (!has_type(value, node)) {
      const auto actual = type_name(value);
      const std::string wanted = node.is_int_or_string ? "integer,string"
                                 : node.type.empty()   ? "any"
                                                       : node.type;
      add("FieldValueTypeInvalid", path,
          "Invalid value: \"" + actual + "\": " + path + " in body must be of type " + wanted +
              ": \"" + actual + "\"");
      return;
    }
    if (value.is_null()) return;
    check_enum(node, value, path);
    if (const auto* text = value.if_string()) check_string(node, *text, path);
    else if (const auto number = data::as_number(value)) check_number(node, value, *number, path);
    else if (const auto* list = value.if_array()) check_list(node, *list, path);
    else if (const auto* object = value.if_object()) check_object(node, *object, path);
    check_alternatives(node, value, path);
  }

 private:
  void add(std::string reason, std::string path, std::string detail) {
    if (problems_.size() < Schema::kMaxProblems) {
      problems_.push_back({std::move(reason), std::move(path), std::move(detail)});
    }
  }
  void add_invalid(const std::string& path, const std::string& value, const std::string& why) {
    add("FieldValueInvalid", path, "Invalid value: " + value + ": " + path + " in body " + why);
  }

  void check_enum(const SchemaNode& node, const Json& value, const std::string& path) {
    if (node.values.empty()) return;
    std::vector<std::string> supported;
    for (const Json& allowed : node.values) {
      if (data::equal(allowed, value)) return;
      supported.push_back(data::dump_json(allowed));
    }
    add("FieldValueNotSupported", path,
        "Unsupported value: " + data::dump_json(value) +
            ": supported values: " + join(supported, ", "));
  }

  void check_string(const SchemaNode& node, std::string_view text, const std::string& path) {
    const auto length = static_cast<std::int64_t>(characters(text));
    const std::string shown = data::dump_json(Json(text));
    if (node.min_length && length < *node.min_length) {
      add_invalid(path, shown,
                  "should be at least " + std::to_string(*node.min_length) + " chars long");
    }
    if (node.max_length && length > *node.max_length) {
      add("FieldValueTooLong", path,
          "Too long: may not be more than " + std::to_string(*node.max_length) + " bytes");
    }
    if (node.pattern != nullptr && !re2::RE2::PartialMatch(text, *node.pattern)) {
      add_invalid(path, shown, "should match '" + node.pattern_text + "'");
    }
    const bool is_bad_time = node.format == "date-time" && !parse_rfc3339(text);
    const bool is_bad_bytes = node.format == "byte" && !base64_decode(text);
    const bool is_bad_duration = node.format == "duration" && !parse_duration(text);
    if (is_bad_time || is_bad_bytes || is_bad_duration) {
      add_invalid(path, shown, "must be of type " + node.format + ": " + shown);
    }
  }

  void check_number(const SchemaNode& node, const Json& value, double number,
                    const std::string& path) {
    const std::string shown = data::dump_json(value);
    if (node.minimum &&
        (node.is_minimum_exclusive ? number <= *node.minimum : number < *node.minimum)) {
      add_invalid(path, shown,
                  std::string("should be greater than ") +
                      (node.is_minimum_exclusive ? "" : "or equal to ") +
                      number_text(*node.minimum));
    }
    if (node.maximum &&
        (node.is_maximum_exclusive ? number >= *node.maximum : number > *node.maximum)) {
      add_invalid(path, shown,
                  std::string("should be less than ") +
                      (node.is_maximum_exclusive ? "" : "or equal to ") +
                      number_text(*node.maximum));
    }
    if (node.multiple_of && *node.multiple_of != 0 &&
        std::abs(std::remainder(number, *node.multiple_of)) > 1e-9) {
      add_invalid(path, shown, "should be a multiple of " + number_text(*node.multiple_of));
    }
    const bool is_too_wide =
        node.format == "int32" && (number < -2147483648.0 || number > 2147483647.0);
    const bool is_negative = node.format == "uint32" && (number < 0 || number > 4294967295.0);
    if (is_too_wide || is_negative)
      add_invalid(path, shown, "must be of type " + node.format + ": " + shown);
  }

  void check_list(const SchemaNode& node, const data::JsonArray& list, const std::string& path) {
    const auto count = static_cast<std::int64_t>(list.size());
    if (node.min_items && count < *node.min_items) {
      add_invalid(path, std::to_string(count),
                  "should have at least " + std::to_string(*node.min_items) + " items");
    }
    if (node.max_items && count > *node.max_items) {
      add("FieldValueTooMany", path,
          "Too many: " + std::to_string(count) + ": must have at most " +
              std::to_string(*node.max_items) + " items");
    }
    std::set<std::string> seen;
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::string item_path = path + "[" + std::to_string(i) + "]";
      if (node.items != nullptr) check(*node.items, list[i], item_path);
      if (node.list_type == "set" || node.list_type == "map" || node.is_unique) {
        const std::string identity = identity_of(node, list[i]);
        if (!seen.insert(identity).second) {
          add("FieldValueDuplicate", item_path, "Duplicate value: " + identity);
        }
      }
    }
  }

  static std::string identity_of(const SchemaNode& node, const Json& item) {
    if (node.list_type != "map") return data::dump_json(item);
    std::vector<std::string> keys;
    for (const auto& key : node.list_keys) {
      const Json* value = data::find(item, {key});
      if (value != nullptr) keys.push_back("\"" + key + "\":" + data::dump_json(*value));
    }
    std::sort(keys.begin(), keys.end());
    return "map[string]interface {}{" + join(keys, ", ") + "}";
  }

  void check_object(const SchemaNode& node, const data::JsonObject& object,
                    const std::string& path) {
    const auto count = static_cast<std::int64_t>(object.size());
    if (node.min_properties && count < *node.min_properties) {
      add_invalid(path, std::to_string(count),
                  "should have at least " + std::to_string(*node.min_properties) + " properties");
    }
    if (node.max_properties && count > *node.max_properties) {
      add("FieldValueTooMany", path,
          "Too many: " + std::to_string(count) + ": must have at most " +
              std::to_string(*node.max_properties) + " items");
    }
    for (const auto& name : node.required) {
      if (!object.contains(name))
        add("FieldValueRequired", child_path(path, name), "Required value");
    }
    for (const auto& [name, value] : object) {
      const bool is_head = (path.empty() || node.is_embedded) &&
                           (name == "metadata" || name == "apiVersion" || name == "kind");
      if (is_head) continue;
      const auto property = node.properties.find(std::string_view(name));
      if (property != node.properties.end()) {
        // decoded.
        check(*property->second, value, child_path(path, name));
      } else if (node.additional != nullptr) {
        check(*node.additional, value, child_path(path, name));
      }
    }
  }

  static std::string child_path(const std::string& path, std::string_view name) {
    return path.empty() ? std::string(name) : path + "." + std::string(name);
  }

  static bool is_valid(const SchemaNode& node, const Json& value, const std::string& path) {
    std::vector<FieldProblem> found;
    Validation(found).check(node, value, path);
    return found.empty();
  }

  void add_whole(const std::string& path, const std::string& why) {
    add("FieldValueInvalid", "<nil>", "Invalid value: \"\": \"" + path + "\" must " + why);
  }

  void check_alternatives(const SchemaNode& node, const Json& value, const std::string& path) {
    for (const auto& part : node.all_of) check(*part, value, path);
    const auto count = [&](const std::vector<std::unique_ptr<SchemaNode>>& parts) {
      return std::count_if(parts.begin(), parts.end(),
                           [&](const auto& part) { return is_valid(*part, value, path); });
    };
    if (!node.any_of.empty() && count(node.any_of) == 0) {
      add_whole(path, "validate at least one schema (anyOf)");
    }
    if (!node.one_of.empty()) {
      const auto matches = count(node.one_of);
      if (matches == 0)
        add_whole(path, "validate one and only one schema (oneOf). Found none valid");
      if (matches > 1) {
        add_whole(path, "validate one and only one schema (oneOf). Found " +
                            std::to_string(matches) + " valid alternatives");
      }
    }
    if (node.negated != nullptr && is_valid(*node.negated, value, path)) {
      add_whole(path, "not validate the schema (not)");
    }
  }

  std::vector<FieldProblem>& problems_;
};

}  // namespace

std::vector<FieldProblem> Schema::validate(const Json& object) const {
  std::vector<FieldProblem> problems;
  Validation(problems).check(*root_, object, "");
  return problems;
}

}  // namespace lateen::kube
