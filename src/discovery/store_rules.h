// Small rules of the store: which namespaces are watched, and which addresses hosts are given.
#pragma once

#include <set>
#include <string>

#include "discovery/translate/translation.h"

namespace lateen::discovery {

bool has_gateways(const Translation::Objects& objects);
// Whether one of the mesh's discoverySelectors (Kubernetes label selectors) picks the namespace.
bool is_selected(const data::JsonArray& selectors, const std::string& ns,
                 const Translation::Objects& objects);

// Hosts of service entries that have no address of their own get one of 240.240.0.0/16, which every
// control plane computes alike: by the host's name, the next free one when it is taken.
class AutoAddresses {
 public:
  std::string take(std::string_view name);

 private:
  std::set<std::uint32_t> taken_;
};
bool wants_address(const mesh::Service& service);

// The certificate, key and CA of a Secret, under the names that kubernetes.io/tls and Istio's
// gateways use; null when it has none.
TlsSecretPtr read_secret(const data::Json& object);

}  // namespace lateen::discovery
