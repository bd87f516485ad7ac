// Who is at the other end, as Istio's metadata exchange tells it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "data/json.h"

namespace lateen::proxy {

// Empty strings are "not told".
struct Peer {
  std::string id;    // node id
  std::string name;  // of the pod
  std::string workload;
  std::string namespace_name;
  std::string cluster;
  std::string owner;
  std::string app;
  std::string version;
  std::string canonical_name;
  std::string canonical_revision;
  std::string principal;
};
using PeerRef = std::shared_ptr<const Peer>;

// The metadata that we tell about ourselves, from the bootstrap's node: base64 of a deterministic
// protobuf Struct.
struct LocalIdentity {
  std::string node_id;
  std::string metadata_base64;
  std::string metadata_bytes;  // the Struct, encoded
  Peer peer;
};
LocalIdentity make_local_identity(const std::string& node_id, const data::Json& node_metadata);

// Null when the bytes are no Struct; bounded at 64 KiB.
PeerRef parse_peer(std::string_view id, std::string_view struct_bytes);
PeerRef parse_peer_header(std::string_view id, std::string_view base64);
// "workload;namespace;canonical name;canonical revision;cluster" of an endpoint's metadata.
PeerRef parse_workload_text(std::string_view text);

}  // namespace lateen::proxy
