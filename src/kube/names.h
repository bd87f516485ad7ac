// What names, labels and annotations may look like (apimachinery/pkg/util/validation). Pure
// functions.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace lateen::kube {

// The cluster's own: what Istio never injects.
inline constexpr std::array<std::string_view, 4> kSystemNamespaces = {
    "kube-system", "kube-public", "kube-node-lease", "local-path-storage"};

// Each returns what is wrong, in upstream's words; empty when the value is fine.
std::string check_dns1123_label(std::string_view value);      // "my-name", up to 63 characters
std::string check_dns1123_subdomain(std::string_view value);  // "example.com", up to 253
std::string check_dns1035_label(std::string_view value);      // starts with a letter (Services)
std::string check_qualified_name(std::string_view value);     // label and annotation keys
std::string check_label_value(std::string_view value);
std::string check_config_map_key(std::string_view value);  // keys of ConfigMaps and Secrets
std::string check_env_name(std::string_view value);
std::string check_path_segment_name(
    std::string_view value);                          // RBAC names: anything without '/' and '%'
std::string check_port_name(std::string_view value);  // IANA_SVC_NAME, up to 15

}  // namespace lateen::kube
