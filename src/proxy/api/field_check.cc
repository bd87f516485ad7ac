// The walk over a message by its descriptor.

#include "proxy/api/field_check.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <memory>

#include "base/strings.h"
#include "xds/any.h"

namespace lateen::proxy {
namespace {

namespace pb = google::protobuf;

constexpr int kMostDepth = 100;

bool lists(std::string_view names, std::string_view name) {
  for (const auto one : split(names, ' '))
    if (one == name) return true;
  return false;
}

Result<> check(const pb::Message& message, const std::string& path, int depth);

Result<> check_field(const pb::Message& message, const pb::FieldDescriptor& field,
                     const std::string& path, int depth) {
  if (field.cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE) return {};
  const pb::Reflection& reflection = *message.GetReflection();
  if (!field.is_repeated()) return check(reflection.GetMessage(message, &field), path, depth + 1);
  for (int i = 0; i < reflection.FieldSize(message, &field); ++i)
    TRY(check(reflection.GetRepeatedMessage(message, &field, i),
              path + "[" + std::to_string(i) + "]", depth + 1));
  return {};
}

Result<> check(const pb::Message& message, const std::string& path, int depth) {
  const pb::Descriptor& type = *message.GetDescriptor();
  // An Any is judged by who unpacks it.
  if (depth > kMostDepth || type.file()->package() == "google.protobuf") return {};
  const FieldRow* row = find_fields(std::string_view(type.full_name()));
  std::vector<const pb::FieldDescriptor*> set;
  message.GetReflection()->ListFields(message, &set);
  for (const auto* field : set) {
    const std::string at = path.empty() ? std::string(field->name()) : path + "." + field->name();
    if (row != nullptr) {
      if (lists(row->harmless, field->name())) continue;
      if (!lists(row->honoured, field->name()))
        return invalid("field '" + at + "' of " + type.full_name() + " is not supported",
                       Blame::kConfig);
    }
    TRY(check_field(message, *field, at, depth));
  }
  return {};
}

}  // namespace

const FieldRow* find_fields(std::string_view type) {
  for (const auto table : {filter_fields(), common_fields(), log_fields()})
    for (const auto& row : table)
      if (row.type == type) return &row;
  return nullptr;
}

Result<> check_fields(const pb::Message& message) { return check(message, "", 0); }

Result<> check_fields(const pb::Any& any) {
  const std::string type = xds::carried_type(any);
  if (find_fields(type) == nullptr) return {};
  const auto* descriptor = pb::DescriptorPool::generated_pool()->FindMessageTypeByName(type);
  if (descriptor == nullptr) return {};
  const std::unique_ptr<pb::Message> message(
      pb::MessageFactory::generated_factory()->GetPrototype(descriptor)->New());
  TRY(xds::unpack_into(any, *message));
  return check_fields(*message);
}

}  // namespace lateen::proxy
