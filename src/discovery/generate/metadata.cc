#include "discovery/generate/metadata.h"

#include <google/protobuf/struct.pb.h>

#include "envoy/config/core/v3/base.pb.h"

namespace lateen::discovery {
namespace {

google::protobuf::Struct& istio(envoy::config::core::v3::Metadata& metadata) {
  return (*metadata.mutable_filter_metadata())["istio"];
}

void set_text(google::protobuf::Struct& object, const std::string& key, std::string_view value) {
  (*object.mutable_fields())[key].set_string_value(std::string(value));
}

}  // namespace

void add_service(const mesh::Service& service, envoy::config::core::v3::Metadata& out) {
  auto& list = *(*istio(out).mutable_fields())["services"].mutable_list_value();
  google::protobuf::Struct& entry = *list.add_values()->mutable_struct_value();
  set_text(entry, "host", service.host);
  set_text(entry, "name", service.name);
  set_text(entry, "namespace", service.ns);
}

void set_istio_text(std::string_view key, std::string_view value,
                    envoy::config::core::v3::Metadata& out) {
  set_text(istio(out), std::string(key), value);
}

void set_istio_number(std::string_view key, double value, envoy::config::core::v3::Metadata& out) {
  (*istio(out).mutable_fields())[std::string(key)].set_number_value(value);
}

void set_endpoint_metadata(const mesh::Endpoint& endpoint, bool takes_mtls,
                           std::string_view cluster_id, envoy::config::core::v3::Metadata& out) {
  if (takes_mtls) {
    set_text((*out.mutable_filter_metadata())["envoy.transport_socket_match"], "tlsMode", "istio");
  }
  if (endpoint.workload_name.empty()) return;
  std::string workload = endpoint.workload_name;
  workload.append(";").append(endpoint.ns).append(";").append(endpoint.canonical_name);
  workload.append(";").append(endpoint.canonical_revision).append(";").append(cluster_id);
  set_istio_text("workload", workload, out);
}

}  // namespace lateen::discovery
