#include "discovery/generate/providers.h"

#include "discovery/generate/names.h"

namespace lateen::discovery {

std::optional<ProviderTarget> find_target(const View& view, std::string_view text, int port) {
  const auto parts = split_once(text, "/");
  const std::string host(parts ? parts->second : text);
  const std::string& domain = view.mesh.domain();
  for (const std::string& name : {host, host + ".svc." + domain, host + "." + domain}) {
    const mesh::Service* service = view.scope.find(name);
    if (service == nullptr || (parts && service->ns != parts->first)) continue;
    if (service->find_port(port) == nullptr) continue;
    return ProviderTarget{service->host, outbound_name(port, "", service->host)};
  }
  return std::nullopt;
}

}  // namespace lateen::discovery
