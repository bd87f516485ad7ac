// LDS: the listeners of a sidecar (virtualOutbound, one per service port, virtualInbound) or of a
// gateway.
#pragma once

#include <string>
#include <vector>

#include "discovery/scope.h"

namespace envoy::config::listener::v3 {
class Listener;
}

namespace lateen::discovery {

using Listener = envoy::config::listener::v3::Listener;

std::vector<Listener> make_listeners(const View& view);

// Parts.
void add_outbound_listeners(const View& view, std::vector<Listener>& out);
void add_inbound_listener(const View& view, std::vector<Listener>& out);
void add_gateway_listeners(const View& view, std::vector<Listener>& out);

enum class ListenerFilter : unsigned char {
  kOriginalDst,
  kTlsInspector,
  kHttpInspector,
  kProxyProtocol,
};
void set_address(const std::string& ip, int port, Listener& out);
void add_listener_filter(ListenerFilter kind, Listener& out);

}  // namespace lateen::discovery
