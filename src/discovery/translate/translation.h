// Kubernetes Ingresses and the Gateway API's objects as Istio's own Gateways and VirtualServices,
// and what they are told in their status. Pure.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "discovery/snapshot.h"

namespace lateen::discovery {

struct Translation {
  // By kind, namespace and name.
  using Key = std::tuple<std::string, std::string, std::string>;
  using Objects = std::map<Key, data::Json>;
  // Kinds that are translated: "Ingress", "IngressClass", "Gateway", …; Namespaces and Services are
  // looked at too.
  static bool takes(std::string_view kind, std::string_view api_version);

  Configs<mesh::Gateway> gateways;
  Configs<mesh::VirtualService> virtual_services;
  // The status that each Gateway API object should have.
  std::map<Key, data::Json> statuses;
};

struct TranslationInput {
  const Translation::Objects& objects;
  const mesh::MeshConfig& mesh;
  std::string domain;
  std::string system_namespace;
  // Addresses of a service, for statuses.
  const std::vector<mesh::ServicePtr>& services;
};

std::shared_ptr<const Translation> translate(const TranslationInput& input);

// Parts, each in its own file.
void translate_ingresses(const TranslationInput& input, Translation& out);
void translate_gateway_api(const TranslationInput& input, Translation& out);

}  // namespace lateen::discovery
