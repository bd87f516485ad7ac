// Version 2 documents in gnostic's protobuf form (openapi_v2.Document): the one encoding that older
// kubectl accepts.
#include <fmt/format.h>

#include "cluster/apiserver/open_api.h"
#include "cluster/apiserver/protobuf.h"

namespace lateen::cluster::apiserver {
namespace {

// Field numbers of openapi_v2.proto.
constexpr int kDocumentSwagger = 1, kDocumentInfo = 2, kDocumentPaths = 8, kDocumentDefinitions = 9;
constexpr int kInfoTitle = 1, kInfoVersion = 2;
constexpr int kNamedName = 1, kNamedValue = 2;
constexpr int kPathsPath = 2;
constexpr int kOperationParameters = 8, kOperationResponses = 9, kOperationExtension = 13;
constexpr int kQueryIn = 2, kQueryName = 4, kQueryType = 6;
constexpr int kSchemaRef = 1, kSchemaFormat = 2, kSchemaDescription = 4, kSchemaRequired = 19,
              kSchemaAdditional = 21, kSchemaType = 22, kSchemaItems = 23, kSchemaProperties = 25,
              kSchemaExtension = 31;
constexpr int kAnyYaml = 2;

// Extension values travel as YAML text; JSON is YAML.
std::string named_any(std::string_view name, const Json& value) {
  ProtoWriter any;
  any.bytes(kAnyYaml, data::dump_json(value));
  ProtoWriter named;
  named.bytes(kNamedName, name);
  named.bytes(kNamedValue, any.text());
  return named.take();
}

std::string named(std::string_view name, std::string_view value) {
  ProtoWriter writer;
  writer.bytes(kNamedName, name);
  writer.bytes(kNamedValue, value);
  return writer.take();
}

// What version 2 cannot say (nullable, int-or-string, unknown fields) becomes "anything", as
// upstream does.
bool is_arbitrary(const Json& schema) {
  return data::get_bool(schema, {"nullable"}) ||
         data::get_bool(schema, {"x-kubernetes-int-or-string"}) ||
         data::get_bool(schema, {"x-kubernetes-preserve-unknown-fields"});
}

std::string encode_schema(const Json& schema, int depth) {
  ProtoWriter writer;
  constexpr int kMostDepth = 100;
  if (depth > kMostDepth) return {};
  if (const auto ref = data::get_string(schema, {"$ref"}); !ref.empty())
    writer.bytes(kSchemaRef, ref);
  if (const auto format = data::get_string(schema, {"format"}); !format.empty())
    writer.bytes(kSchemaFormat, format);
  if (const auto text = data::get_string(schema, {"description"}); !text.empty())
    writer.bytes(kSchemaDescription, text);
  if (!is_arbitrary(schema)) {
    for (const auto& one : data::get_array(schema, {"required"}))
      writer.bytes(kSchemaRequired, data::as_string(one));
    if (const Json* more = data::find(schema, {"additionalProperties"});
        more != nullptr && more->is_object()) {
      ProtoWriter item;
      item.bytes(1, encode_schema(*more, depth + 1));
      writer.bytes(kSchemaAdditional, item.text());
    }
    if (const auto type = data::get_string(schema, {"type"}); !type.empty()) {
      ProtoWriter item;
      item.bytes(1, type);
      writer.bytes(kSchemaType, item.text());
    }
    if (const Json* items = data::find(schema, {"items"})) {
      ProtoWriter item;
      item.bytes(1, encode_schema(*items, depth + 1));
      writer.bytes(kSchemaItems, item.text());
    }
    if (const auto& properties = data::get_object(schema, {"properties"}); !properties.empty()) {
      ProtoWriter list;
      for (const auto& [name, child] : properties)
        list.bytes(1, named(name, encode_schema(child, depth + 1)));
      writer.bytes(kSchemaProperties, list.text());
    }
  }
  if (const auto* object = schema.if_object()) {
    for (const auto& [name, value] : *object) {
      if (name.starts_with("x-kubernetes-")) writer.bytes(kSchemaExtension, named_any(name, value));
    }
  }
  return writer.take();
}

std::string encode_parameter(const Json& parameter) {
  ProtoWriter query;
  query.bytes(kQueryIn, data::get_string(parameter, {"in"}));
  query.bytes(kQueryName, data::get_string(parameter, {"name"}));
  query.bytes(kQueryType, data::get_string(parameter, {"type"}));
  ProtoWriter non_body;
  non_body.bytes(3, query.text());
  ProtoWriter one;
  one.bytes(2, non_body.text());
  ProtoWriter item;
  item.bytes(1, one.text());
  return item.take();
}

std::string encode_operation(const Json& operation) {
  ProtoWriter writer;
  for (const auto& parameter : data::get_array(operation, {"parameters"})) {
    writer.bytes(kOperationParameters, encode_parameter(parameter));
  }
  ProtoWriter description;
  description.bytes(1, "OK");
  ProtoWriter value;
  value.bytes(1, description.text());
  ProtoWriter responses;
  responses.bytes(1, named("200", value.text()));
  writer.bytes(kOperationResponses, responses.text());
  if (const auto* object = operation.if_object()) {
    for (const auto& [name, extension] : *object) {
      if (name.starts_with("x-kubernetes-"))
        writer.bytes(kOperationExtension, named_any(name, extension));
    }
  }
  return writer.take();
}

std::string encode_path(const Json& path) {
  constexpr std::pair<std::string_view, int> kMethods[] = {
      {"get", 2}, {"put", 3}, {"post", 4}, {"delete", 5}, {"patch", 8}};
  ProtoWriter writer;
  for (const auto& [method, number] : kMethods) {
    if (const Json* operation = data::find(path, {method}))
      writer.bytes(number, encode_operation(*operation));
  }
  return writer.take();
}

}  // namespace

std::string encode_open_api_v2(const Json& document) {
  ProtoWriter writer;
  writer.bytes(kDocumentSwagger, data::get_string(document, {"swagger"}));
  ProtoWriter info;
  info.bytes(kInfoTitle, data::get_string(document, {"info", "title"}));
  info.bytes(kInfoVersion, data::get_string(document, {"info", "version"}));
  writer.bytes(kDocumentInfo, info.text());
  ProtoWriter paths;
  for (const auto& [name, path] : data::get_object(document, {"paths"})) {
    paths.bytes(kPathsPath, named(name, encode_path(path)));
  }
  writer.bytes(kDocumentPaths, paths.text());
  ProtoWriter definitions;
  for (const auto& [name, schema] : data::get_object(document, {"definitions"})) {
    definitions.bytes(1, named(name, encode_schema(schema, 0)));
  }
  writer.bytes(kDocumentDefinitions, definitions.text());
  return writer.take();
}

}  // namespace lateen::cluster::apiserver
