// Any and TypedStruct. Deterministic bytes matter twice: the control plane caches encoded resources
// by content, the proxy skips resources that did not change.

#include "xds/any.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "udpa/type/v1/typed_struct.pb.h"
#include "xds/json.h"
#include "xds/type/v3/typed_struct.pb.h"

namespace lateen::xds {
namespace {

constexpr std::string_view kUdpaTypedStruct = "type.googleapis.com/udpa.type.v1.TypedStruct";
constexpr std::string_view kXdsTypedStruct = "type.googleapis.com/xds.type.v3.TypedStruct";

std::string_view name_of_url(std::string_view url) {
  const auto slash = url.rfind('/');
  return slash == std::string_view::npos ? url : url.substr(slash + 1);
}

template <typename TypedStruct>
Result<> unpack_typed_struct(const google::protobuf::Any& any, google::protobuf::Message& into) {
  TypedStruct holder;
  if (!holder.ParseFromString(any.value()))
    return invalid("a TypedStruct that is no protobuf message");
  if (name_of_url(holder.type_url()) != into.GetDescriptor()->full_name())
    return invalid("a TypedStruct of " + holder.type_url() + " where " +
                   into.GetDescriptor()->full_name() + " belongs");
  return from_json(struct_to_json(holder.value()), into);
}

}  // namespace

std::string type_url_of(const google::protobuf::Message& message) {
  return std::string(kTypePrefix) + message.GetDescriptor()->full_name();
}

std::string serialize(const google::protobuf::Message& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream sink(&bytes);
    google::protobuf::io::CodedOutputStream out(&sink);
    out.SetSerializationDeterministic(true);
    message.SerializePartialToCodedStream(&out);
  }
  return bytes;
}

google::protobuf::Any pack(const google::protobuf::Message& message) {
  google::protobuf::Any any;
  any.set_type_url(type_url_of(message));
  *any.mutable_value() = serialize(message);
  return any;
}

std::string carried_type(const google::protobuf::Any& any) {
  if (any.type_url() == kUdpaTypedStruct) {
    udpa::type::v1::TypedStruct holder;
    if (holder.ParseFromString(any.value())) return std::string(name_of_url(holder.type_url()));
  } else if (any.type_url() == kXdsTypedStruct) {
    ::xds::type::v3::TypedStruct holder;
    if (holder.ParseFromString(any.value())) return std::string(name_of_url(holder.type_url()));
  }
  return std::string(name_of_url(any.type_url()));
}

Result<> unpack_into(const google::protobuf::Any& any, google::protobuf::Message& into) {
  if (name_of_url(any.type_url()) == into.GetDescriptor()->full_name()) {
    if (into.ParseFromString(any.value())) return {};
    return invalid("bytes that are no " + into.GetDescriptor()->full_name());
  }
  if (any.type_url() == kUdpaTypedStruct)
    return unpack_typed_struct<udpa::type::v1::TypedStruct>(any, into);
  if (any.type_url() == kXdsTypedStruct)
    return unpack_typed_struct<::xds::type::v3::TypedStruct>(any, into);
  return invalid("type " + any.type_url() + " where " + into.GetDescriptor()->full_name() +
                 " belongs");
}

}  // namespace lateen::xds
