// The Struct behind x-envoy-peer-metadata: NAME, NAMESPACE, WORKLOAD_NAME, CLUSTER_ID, OWNER,
// LABELS.

#include "proxy/stream/peer.h"

#include "base/strings.h"
#include "xds/any.h"
#include "xds/json.h"

namespace lateen::proxy {
namespace {

constexpr std::size_t kMaxPeerBytes = 64 * 1024;
constexpr std::string_view kLabelsKept[] = {"app", "version", "service.istio.io/canonical-name",
                                            "service.istio.io/canonical-revision"};

std::string text_of(const data::Json& json, std::initializer_list<std::string_view> path) {
  return std::string(data::get_string(json, path));
}

Peer peer_of(std::string_view id, const data::Json& json) {
  Peer peer;
  peer.id = id;
  peer.name = text_of(json, {"NAME"});
  peer.workload = text_of(json, {"WORKLOAD_NAME"});
  peer.namespace_name = text_of(json, {"NAMESPACE"});
  peer.cluster = text_of(json, {"CLUSTER_ID"});
  peer.owner = text_of(json, {"OWNER"});
  peer.app = text_of(json, {"LABELS", "app"});
  peer.version = text_of(json, {"LABELS", "version"});
  peer.canonical_name = text_of(json, {"LABELS", "service.istio.io/canonical-name"});
  peer.canonical_revision = text_of(json, {"LABELS", "service.istio.io/canonical-revision"});
  if (peer.canonical_name.empty()) peer.canonical_name = peer.workload;
  if (peer.canonical_revision.empty() && !peer.canonical_name.empty())
    peer.canonical_revision = "latest";
  return peer;
}

}  // namespace

LocalIdentity make_local_identity(const std::string& node_id, const data::Json& node_metadata) {
  data::JsonObject told;
  for (const std::string_view name : {"NAME", "NAMESPACE", "WORKLOAD_NAME", "CLUSTER_ID", "OWNER"})
    if (const auto value = data::get_string(node_metadata, {name}); !value.empty())
      told[name] = value;
  data::JsonObject labels;
  for (const std::string_view name : kLabelsKept)
    if (const auto value = data::get_string(node_metadata, {"LABELS", name}); !value.empty())
      labels[name] = value;
  if (!labels.contains("service.istio.io/canonical-name")) {
    const std::string_view fallback = data::get_string(
        node_metadata, {"LABELS", "app"}, data::get_string(node_metadata, {"WORKLOAD_NAME"}));
    if (!fallback.empty()) labels["service.istio.io/canonical-name"] = fallback;
  }
  if (!labels.contains("service.istio.io/canonical-revision"))
    labels["service.istio.io/canonical-revision"] =
        data::get_string(node_metadata, {"LABELS", "version"}, "latest");
  told["LABELS"] = std::move(labels);
  LocalIdentity identity;
  identity.node_id = node_id;
  identity.metadata_bytes = xds::serialize(xds::json_to_struct(told));
  identity.metadata_base64 = base64_encode(identity.metadata_bytes);
  identity.peer = peer_of(node_id, data::Json(told));
  return identity;
}

PeerRef parse_peer(std::string_view id, std::string_view struct_bytes) {
  google::protobuf::Struct holder;
  if (struct_bytes.size() > kMaxPeerBytes) return nullptr;
  if (!holder.ParseFromArray(struct_bytes.data(), static_cast<int>(struct_bytes.size())))
    return nullptr;
  return std::make_shared<const Peer>(peer_of(id, xds::struct_to_json(holder)));
}

PeerRef parse_peer_header(std::string_view id, std::string_view base64) {
  if (base64.size() > 2 * kMaxPeerBytes) return nullptr;
  const auto bytes = base64_decode(base64);
  return bytes.ok() ? parse_peer(id, *bytes) : nullptr;
}

PeerRef parse_workload_text(std::string_view text) {
  const auto parts = split(text, ';');
  if (parts.size() < 5) return nullptr;
  Peer peer;
  peer.workload = parts[0];
  peer.namespace_name = parts[1];
  peer.canonical_name = parts[2];
  peer.canonical_revision = parts[3];
  peer.cluster = parts[4];
  peer.app = parts[2];
  peer.version = parts[3];
  return std::make_shared<const Peer>(std::move(peer));
}

}  // namespace lateen::proxy
