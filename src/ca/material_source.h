// Where the CA's key comes from: files of a mounted Secret cacerts, that Secret itself, or Secret
// istio-ca-secret, which the first control plane makes. Blocking calls; called at start and by the
// rotation thread.
#pragma once

#include <string>

#include "ca/authority.h"
#include "kube/client.h"

namespace lateen::ca {

struct SourceOptions {
  std::string ns = "istio-system";
  std::string directory = "/etc/cacerts";
  std::string trust_domain = "cluster.local";
};
// Two control planes that start at once agree: whoever loses the creation reads the winner's.
Result<Material> load_material(kube::Client& client, const SourceOptions& options, WallTime now);
// Renews a self-signed root near its end, keeping key and secret; others are left alone.
Result<Material> renew_if_due(kube::Client& client, const SourceOptions& options, WallTime now);

}  // namespace lateen::ca
