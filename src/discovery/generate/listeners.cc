#include "discovery/generate/listeners.h"

#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/listener/http_inspector/v3/http_inspector.pb.h"
#include "envoy/extensions/filters/listener/original_dst/v3/original_dst.pb.h"
#include "envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol.pb.h"
#include "envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.pb.h"
#include "xds/any.h"

namespace lateen::discovery {

std::vector<Listener> make_listeners(const View& view) {
  std::vector<Listener> out;
  if (view.proxy.is_gateway()) {
    add_gateway_listeners(view, out);
    return out;
  }
  add_outbound_listeners(view, out);
  add_inbound_listener(view, out);
  return out;
}

void set_address(const std::string& ip, int port, Listener& out) {
  auto& address = *out.mutable_address()->mutable_socket_address();
  address.set_address(ip);
  address.set_port_value(static_cast<std::uint32_t>(port));
}

void add_listener_filter(ListenerFilter kind, Listener& out) {
  namespace listener = envoy::extensions::filters::listener;
  auto& filter = *out.add_listener_filters();
  switch (kind) {
    case ListenerFilter::kOriginalDst:
      filter.set_name("envoy.filters.listener.original_dst");
      *filter.mutable_typed_config() = xds::pack(listener::original_dst::v3::OriginalDst());
      break;
    case ListenerFilter::kTlsInspector:
      filter.set_name("envoy.filters.listener.tls_inspector");
      *filter.mutable_typed_config() = xds::pack(listener::tls_inspector::v3::TlsInspector());
      break;
    case ListenerFilter::kHttpInspector:
      filter.set_name("envoy.filters.listener.http_inspector");
      *filter.mutable_typed_config() = xds::pack(listener::http_inspector::v3::HttpInspector());
      break;
    case ListenerFilter::kProxyProtocol:
      filter.set_name("envoy.filters.listener.proxy_protocol");
      *filter.mutable_typed_config() = xds::pack(listener::proxy_protocol::v3::ProxyProtocol());
      break;
  }
}

}  // namespace lateen::discovery
