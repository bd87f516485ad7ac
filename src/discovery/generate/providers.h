// Extension providers that are services of the mesh: where the proxy reaches them.
#pragma once

#include <optional>
#include <string>

#include "discovery/scope.h"

namespace lateen::discovery {

struct ProviderTarget {
  std::string host;     // zipkin.istio-system.svc.cluster.local
  std::string cluster;  // outbound|9411||zipkin.istio-system.svc.cluster.local
};
// The service may be written "namespace/host" and short. None: the proxy does not see it, or it has
// no such port; a proxy must not be given the name of a cluster that it does not know.
std::optional<ProviderTarget> find_target(const View& view, std::string_view service, int port);
inline std::optional<ProviderTarget> find_target(const View& view,
                                                 const mesh::ExtensionProvider& provider) {
  return find_target(view, provider.service, provider.port);
}

}  // namespace lateen::discovery
