// Which fields of Envoy's API have an effect here. Each message that is read has a row that names
// the fields it honours and those that change nothing; any other field that is set is refused by
// name, so that nothing is ignored in silence. The same rows make docs/envoy-api.md. Pure
// functions, thread-safe.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "xds/any.h"

namespace lateen::proxy {

struct FieldRow {
  std::string_view type;      // full name of the message
  std::string_view honoured;  // field names, a space between
  std::string_view harmless;  // accepted without effect
  std::string_view why;       // of the harmless ones
};
// Sorted by type within each table.
std::span<const FieldRow> filter_fields();     // HTTP filters
std::span<const FieldRow> common_fields();     // messages that several of them hold
std::span<const FieldRow> log_fields();        // access loggers
std::span<const FieldRow> bootstrap_fields();  // and tracing
std::span<const FieldRow> listener_fields();   // with network filters, RBAC and matchers
std::span<const FieldRow> http_fields();       // the connection manager and the codecs
std::span<const FieldRow> route_fields();
std::span<const FieldRow> cluster_fields();  // and endpoints
std::span<const FieldRow> tls_fields();      // transport sockets and secrets
std::span<const FieldRow> part_fields();     // what messages of filters hold

struct FieldTable {
  std::string_view title;  // in the document
  std::span<const FieldRow> rows;
};
std::vector<FieldTable> field_tables();

// Fails with the path of the first field that is set and has no effect, or that is not known at
// all. Messages without a row are looked into, but their own fields are not judged.
Result<> check_fields(const google::protobuf::Message& message);
// Of what `any` carries, when its type is linked in and has a row.
Result<> check_fields(const google::protobuf::Any& any);

// Decodes, then checks.
template <typename Message>
Result<Message> unpack_checked(const google::protobuf::Any& any) {
  auto message = xds::unpack<Message>(any);
  if (!message.ok()) return message;
  if (auto done = check_fields(*message); !done.ok()) return std::move(done).error();
  return message;
}

// docs/envoy-api.md.
std::string api_document();

}  // namespace lateen::proxy
