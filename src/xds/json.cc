// Printing walks the message by reflection into our JSON values: protobuf's own printer makes text
// only, and gives up on an Any whose type is not linked in, which an admin page must not. Reading
// uses protobuf's parser.

#include "xds/json.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/clock.h"
#include "base/strings.h"
#include "xds/any.h"

namespace lateen::xds {
namespace {

namespace pb = google::protobuf;
using data::Json;
using data::JsonArray;
using data::JsonObject;

std::string seconds_text(std::int64_t whole, std::int32_t nanos) {
  std::string text;
  if (whole < 0 || nanos < 0) {
    text = "-";
    whole = -whole;
    nanos = -nanos;
  }
  text += std::to_string(whole);
  if (nanos != 0) {
    char digits[16];
    std::snprintf(digits, sizeof digits, "%09d", nanos);
    std::string_view shown(digits, 9);
    if (nanos % 1'000'000 == 0) shown = shown.substr(0, 3);
    else if (nanos % 1'000 == 0) shown = shown.substr(0, 6);
    text += "." + std::string(shown);
  }
  return text;
}

Json number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  if (value == std::floor(value) && std::abs(value) < 1e15) return static_cast<std::int64_t>(value);
  return value;
}

Json field_value(const pb::Message& message, const pb::FieldDescriptor& field, int index) {
  const pb::Reflection& reflection = *message.GetReflection();
  const bool repeated = field.is_repeated();
#define READ(kind)                                                 \
  (repeated ? reflection.GetRepeated##kind(message, &field, index) \
            : reflection.Get##kind(message, &field))
  switch (field.cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_INT32: return READ(Int32);
    case pb::FieldDescriptor::CPPTYPE_UINT32: return READ(UInt32);
    case pb::FieldDescriptor::CPPTYPE_INT64: return Json(std::to_string(READ(Int64)));
    case pb::FieldDescriptor::CPPTYPE_UINT64: return Json(std::to_string(READ(UInt64)));
    case pb::FieldDescriptor::CPPTYPE_DOUBLE: return number(READ(Double));
    case pb::FieldDescriptor::CPPTYPE_FLOAT: {
      char text[32];
      std::snprintf(text, sizeof text, "%.8g", READ(Float));
      return number(std::strtod(text, nullptr));
    }
    case pb::FieldDescriptor::CPPTYPE_BOOL: return READ(Bool);
    case pb::FieldDescriptor::CPPTYPE_ENUM: {
      const int value = READ(EnumValue);
      const auto* known = field.enum_type()->FindValueByNumber(value);
      return known != nullptr ? Json(known->name()) : Json(value);
    }
    case pb::FieldDescriptor::CPPTYPE_STRING: {
      std::string value = READ(String);
      return Json(field.type() == pb::FieldDescriptor::TYPE_BYTES ? base64_encode(value) : value);
    }
    case pb::FieldDescriptor::CPPTYPE_MESSAGE: return to_json(READ(Message));
  }
#undef READ
  return nullptr;
}

Json map_field(const pb::Message& message, const pb::FieldDescriptor& field) {
  const pb::Reflection& reflection = *message.GetReflection();
  std::map<std::string, Json> sorted;
  for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
    const pb::Message& entry = reflection.GetRepeatedMessage(message, &field, i);
    const Json key = field_value(entry, *field.message_type()->map_key(), 0);
    std::string name = key.is_string() ? std::string(data::as_string(key)) : data::dump_json(key);
    sorted[std::move(name)] = field_value(entry, *field.message_type()->map_value(), 0);
  }
  JsonObject object;
  for (auto& [name, value] : sorted) object[name] = std::move(value);
  return object;
}

Json plain_message(const pb::Message& message) {
  const pb::Reflection& reflection = *message.GetReflection();
  std::vector<const pb::FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  JsonObject object;
  for (const pb::FieldDescriptor* field : fields) {
    if (field->is_map()) {
      object[field->name()] = map_field(message, *field);
    } else if (field->is_repeated()) {
      JsonArray array;
      const int count = reflection.FieldSize(message, field);
      array.reserve(count);
      for (int i = 0; i < count; ++i) array.push_back(field_value(message, *field, i));
      object[field->name()] = std::move(array);
    } else {
      object[field->name()] = field_value(message, *field, 0);
    }
  }
  return object;
}

Json any_to_json(const pb::Any& any) {
  JsonObject object;
  object["@type"] = any.type_url();
  const auto slash = any.type_url().rfind('/');
  const auto* type = pb::DescriptorPool::generated_pool()->FindMessageTypeByName(
      slash == std::string::npos ? any.type_url() : any.type_url().substr(slash + 1));
  const pb::Message* prototype =
      type == nullptr ? nullptr : pb::MessageFactory::generated_factory()->GetPrototype(type);
  std::unique_ptr<pb::Message> message(prototype == nullptr ? nullptr : prototype->New());
  if (message == nullptr || !message->ParseFromString(any.value())) {
    object["value"] = base64_encode(any.value());
    return object;
  }
  Json body = to_json(*message);
  if (body.is_object() && !type->full_name().starts_with("google.protobuf.")) {
    for (auto& [name, value] : *body.if_object()) object[name] = std::move(value);
  } else {
    object["value"] = std::move(body);
  }
  return object;
}

template <typename T>
const T& as(const pb::Message& message, T& scratch) {
  if (const T* same = dynamic_cast<const T*>(&message)) return *same;
  scratch.CopyFrom(message);
  return scratch;
}

// The types of google/protobuf/ that have a JSON form of their own; nullopt for others.
std::optional<Json> well_known(const pb::Message& message) {
  const pb::Descriptor& type = *message.GetDescriptor();
  if (!type.full_name().starts_with("google.protobuf.")) return std::nullopt;
  const pb::Reflection& reflection = *message.GetReflection();
  const std::string& name = type.name();
  if (name == "Duration" || name == "Timestamp") {
    const auto whole = reflection.GetInt64(message, type.FindFieldByNumber(1));
    const auto nanos = reflection.GetInt32(message, type.FindFieldByNumber(2));
    if (name == "Duration") return Json(seconds_text(whole, nanos) + "s");
    const WallTime time{seconds(whole) + nanoseconds(nanos)};
    const int digits = nanos == 0 ? 0 : nanos % 1'000'000 == 0 ? 3 : nanos % 1'000 == 0 ? 6 : 9;
    return Json(format_rfc3339(time, digits));
  }
  if (name.ends_with("Value") && name != "Value" && name != "ListValue" && name != "NullValue")
    return field_value(message, *type.FindFieldByNumber(1), 0);
  if (name == "Struct") {
    pb::Struct scratch;
    return struct_to_json(as(message, scratch));
  }
  if (name == "Value") {
    pb::Value scratch;
    return value_to_json(as(message, scratch));
  }
  if (name == "ListValue") {
    JsonArray array;
    pb::ListValue scratch;
    for (const auto& value : as(message, scratch).values()) array.push_back(value_to_json(value));
    return Json(std::move(array));
  }
  if (name == "Any") {
    pb::Any scratch;
    return any_to_json(as(message, scratch));
  }
  return std::nullopt;
}

}  // namespace

Json to_json(const pb::Message& message) {
  if (auto special = well_known(message)) return *std::move(special);
  return plain_message(message);
}

namespace {

// An Any of a type that is not linked in cannot be parsed: it becomes a TypedStruct, which keeps
// its name and fields for whoever compiles it to accept or to refuse.
void wrap_unknown_types(Json& json) {
  if (auto* list = json.if_array()) {
    for (auto& one : *list) wrap_unknown_types(one);
    return;
  }
  auto* object = json.if_object();
  if (object == nullptr) return;
  for (auto& [name, value] : *object) wrap_unknown_types(value);
  const auto* type = object->if_contains("@type");
  if (type == nullptr) return;
  const std::string url(data::as_string(*type));
  const auto* known =
      pb::DescriptorPool::generated_pool()->FindMessageTypeByName(url.substr(url.rfind('/') + 1));
  if (known != nullptr) return;
  JsonObject fields = *object;
  fields.erase("@type");
  *object = {{"@type", "type.googleapis.com/udpa.type.v1.TypedStruct"},
             {"type_url", url},
             {"value", std::move(fields)}};
}

}  // namespace

Result<> from_json(const Json& json, pb::Message& into) {
  Json usable = json;
  wrap_unknown_types(usable);
  const auto status = pb::util::JsonStringToMessage(data::dump_json(usable), &into);
  if (status.ok()) return {};
  return invalid("not a valid " + into.GetDescriptor()->full_name() + ": " +
                 std::string(status.message()));
}

Json value_to_json(const pb::Value& from) {
  switch (from.kind_case()) {
    case pb::Value::kNumberValue: return number(from.number_value());
    case pb::Value::kStringValue: return Json(from.string_value());
    case pb::Value::kBoolValue: return from.bool_value();
    case pb::Value::kStructValue: return struct_to_json(from.struct_value());
    case pb::Value::kListValue: {
      JsonArray array;
      for (const auto& value : from.list_value().values()) array.push_back(value_to_json(value));
      return array;
    }
    default: return nullptr;
  }
}

Json struct_to_json(const pb::Struct& from) {
  std::vector<std::string> names;
  for (const auto& [name, value] : from.fields()) names.push_back(name);
  std::sort(names.begin(), names.end());
  JsonObject object;
  for (const auto& name : names) object[name] = value_to_json(from.fields().at(name));
  return object;
}

pb::Struct json_to_struct(const JsonObject& from) {
  pb::Struct made;
  for (const auto& [name, value] : from)
    (*made.mutable_fields())[std::string(name)] = json_to_value(value);
  return made;
}

pb::Value json_to_value(const Json& from) {
  pb::Value made;
  if (const auto* object = from.if_object()) {
    *made.mutable_struct_value() = json_to_struct(*object);
  } else if (const auto* array = from.if_array()) {
    made.mutable_list_value();
    for (const auto& value : *array)
      *made.mutable_list_value()->add_values() = json_to_value(value);
  } else if (const auto* text = from.if_string()) {
    made.set_string_value(text->c_str(), text->size());
  } else if (const auto* flag = from.if_bool()) {
    made.set_bool_value(*flag);
  } else if (const auto value = data::as_number(from)) {
    made.set_number_value(*value);
  } else {
    made.set_null_value(pb::NULL_VALUE);
  }
  return made;
}

}  // namespace lateen::xds
