// RequestAuthentication as Envoy's JWT filter. Key sets are inlined: the control plane fetched
// them.
#pragma once

#include "discovery/generate/telemetry.h"

namespace lateen::discovery {

// Adds envoy.filters.http.jwt_authn when a RequestAuthentication holds for this proxy.
void add_jwt_authentication(const View& view, HttpConnectionManager& out);

}  // namespace lateen::discovery
