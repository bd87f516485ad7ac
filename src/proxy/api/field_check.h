// Which fields of Envoy's API have an effect here. Each message that a filter reads has a row that
// names the fields it honours and those that change nothing; any other field that is set is refused
// by name, so that nothing is ignored in silence. The same rows make docs/envoy-api.md. Pure
// functions, thread-safe.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace google::protobuf {
class Any;
class Message;
}  // namespace google::protobuf

namespace lateen::proxy {

struct FieldRow {
  std::string_view type;      // full name of the message
  std::string_view honoured;  // field names, a space between
  std::string_view harmless;  // accepted without effect
  std::string_view why;       // of the harmless ones
};
// Sorted by type within each table.
std::span<const FieldRow> filter_fields();  // HTTP filters
std::span<const FieldRow> common_fields();  // messages that several of them hold
std::span<const FieldRow> log_fields();     // access loggers
const FieldRow* find_fields(std::string_view type);

// Fails with the path of the first field that is set and has no effect. Messages without a row are
// looked into, but their own fields are not judged.
Result<> check_fields(const google::protobuf::Message& message);
// Of what `any` carries, when its type is linked in and has a row.
Result<> check_fields(const google::protobuf::Any& any);

// docs/envoy-api.md.
std::string api_document();

}  // namespace lateen::proxy
