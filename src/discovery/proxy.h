// Proxy: who is at the other end of a discovery stream, read from its node (id and metadata).
// Immutable.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/json.h"
#include "mesh/labels.h"
#include "mesh/service.h"

namespace lateen::discovery {

struct Proxy {
  enum class Type : unsigned char { kSidecar, kRouter, kWaypoint, kOther };
  Type type = Type::kSidecar;
  std::string id;  // the node's: "sidecar~10.1.0.9~reviews-v1-x.default~default.svc.cluster.local"
  std::string name;  // "reviews-v1-x.default"
  std::string pod;   // "reviews-v1-x"
  std::string ns;
  std::string dns_domain;        // "default.svc.cluster.local"
  std::vector<std::string> ips;  // never empty
  mesh::Labels labels;
  std::string service_account;
  std::string cluster_id;
  std::string network;
  std::string version;  // ISTIO_VERSION
  std::string locality;
  std::string trust_domain = "cluster.local";
  std::vector<int> pod_ports;
  bool is_lateen = false;          // our own proxy, which has no filter for Mongo
  bool has_istio_filters = false;  // the proxy knows Istio's own Envoy filters
  bool is_intercepting = true;     // INTERCEPTION_MODE is not NONE
  bool is_http10_accepted = false;
  bool uses_auto_addresses =
      false;                 // answers DNS itself: DNS_CAPTURE, and no DNS_AUTO_ALLOCATE: false
  bool is_verified = false;  // its identity was proved: it may be sent secrets
  std::string envoy_version;
  data::Json metadata = data::JsonObject{};
  std::string shared_metadata;  // as text, without what tells the replicas of a workload apart

  bool is_gateway() const { return type == Type::kRouter; }
  std::string identity() const;  // SPIFFE ID
  // node metadata of that name as text, "" when absent.
  std::string_view meta(std::string_view name) const { return data::get_string(metadata, {name}); }
};

// `node_id` has four parts between '~'; `metadata` is the node's struct.
Result<Proxy> read_proxy(std::string_view node_id, const data::Json& metadata,
                         std::string_view locality);

}  // namespace lateen::discovery
