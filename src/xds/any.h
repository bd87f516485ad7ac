// Any, as xDS uses it: packing, unpacking, TypedStruct, and the type URLs of the discovery
// services. Pure functions, thread-safe.
#pragma once

#include <google/protobuf/any.pb.h>

#include <string>
#include <string_view>

#include "base/result.h"

namespace lateen::xds {

inline constexpr std::string_view kTypePrefix = "type.googleapis.com/";

inline constexpr std::string_view kClusterType =
    "type.googleapis.com/envoy.config.cluster.v3.Cluster";
inline constexpr std::string_view kEndpointType =
    "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
inline constexpr std::string_view kListenerType =
    "type.googleapis.com/envoy.config.listener.v3.Listener";
inline constexpr std::string_view kRouteType =
    "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
inline constexpr std::string_view kSecretType =
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
inline constexpr std::string_view kExtensionType =
    "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig";
inline constexpr std::string_view kNameTableType =
    "type.googleapis.com/istio.networking.nds.v1.NameTable";

// "type.googleapis.com/" and the message's full name.
std::string type_url_of(const google::protobuf::Message& message);

// Equal messages give equal bytes (maps are written in key order), so results can be compared and
// cached.
google::protobuf::Any pack(const google::protobuf::Message& message);
std::string serialize(const google::protobuf::Message& message);

// Full name of what `any` carries: for a TypedStruct (udpa and xds) the type inside it.
std::string carried_type(const google::protobuf::Any& any);

// Decodes into `into`; a TypedStruct's fields are read as JSON. InvalidArgument when the type
// differs or the bytes are no such message.
Result<> unpack_into(const google::protobuf::Any& any, google::protobuf::Message& into);

template <typename Message>
Result<Message> unpack(const google::protobuf::Any& any) {
  Message message;
  if (auto done = unpack_into(any, message); !done.ok()) return std::move(done).error();
  return message;
}

}  // namespace lateen::xds
