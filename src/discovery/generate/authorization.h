// AuthorizationPolicy as Envoy's RBAC filters (HTTP and TCP), and external authorization for action
// CUSTOM.
#pragma once

#include "discovery/generate/telemetry.h"

namespace envoy::config::listener::v3 {
class FilterChain;
}

namespace lateen::discovery {

// AUDIT, DENY, ALLOW, in this order; nothing when no policy holds for this proxy.
void add_http_authorization(const View& view, HttpConnectionManager& out);
// DENY and ALLOW for a gRPC application without a proxy, which knows nothing else.
void add_proxyless_authorization(const View& view, HttpConnectionManager& out);
void add_tcp_authorization(const View& view, envoy::config::listener::v3::FilterChain& out);
// A shadow RBAC that finds what a CUSTOM policy asks about, and ext_authz that asks then.
void add_external_authorization(const View& view, HttpConnectionManager& out);

}  // namespace lateen::discovery
