// Protobuf messages as JSON and back, in the mapping of protobuf.dev/programming-guides/json with
// field names as in the .proto (what Envoy's admin prints and istioctl reads). Pure functions,
// thread-safe.
#pragma once

#include <google/protobuf/message.h>
#include <google/protobuf/struct.pb.h>

#include "base/result.h"
#include "data/json.h"

namespace lateen::xds {

// Any values are expanded when their type is linked in; others become {"@type": …, "value":
// base64}. Never fails.
data::Json to_json(const google::protobuf::Message& message);

// Unknown fields are errors: the text names the field.
Result<> from_json(const data::Json& json, google::protobuf::Message& into);

data::Json struct_to_json(const google::protobuf::Struct& from);
data::Json value_to_json(const google::protobuf::Value& from);
google::protobuf::Struct json_to_struct(const data::JsonObject& from);
google::protobuf::Value json_to_value(const data::Json& from);

}  // namespace lateen::xds
