// filter_metadata["istio"] of clusters, routes and endpoints: what telemetry and tools read back.
#pragma once

#include <string>
#include <string_view>

#include "mesh/service.h"

namespace envoy::config::core::v3 {
class Metadata;
}

namespace lateen::discovery {

// services: [{host, name, namespace}]; several calls add several.
void add_service(const mesh::Service& service, envoy::config::core::v3::Metadata& out);
void set_istio_text(std::string_view key, std::string_view value,
                    envoy::config::core::v3::Metadata& out);
void set_istio_number(std::string_view key, double value, envoy::config::core::v3::Metadata& out);
// filter_metadata["envoy.transport_socket_match"]["tlsMode"] = "istio" where it takes mutual TLS,
// and the workload's name under "istio".
void set_endpoint_metadata(const mesh::Endpoint& endpoint, bool takes_mtls,
                           std::string_view cluster_id, envoy::config::core::v3::Metadata& out);

}  // namespace lateen::discovery
