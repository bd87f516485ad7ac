// The Gateway API's Gateways while their routes are bound: listeners and what they let in.
#pragma once

#include <string>
#include <vector>

#include "discovery/translate/translation.h"

namespace lateen::discovery {

struct Listener {
  std::string name;
  std::string hostname;  // "" any
  int port = 0;
  std::string protocol;  // HTTP, HTTPS, TLS, TCP
  std::string gateway;   // the generated one: "ns/name"
  const data::Json* value = nullptr;
  bool is_passthrough = false;
  std::string problem, reason;  // why it is not programmed; empty: it is
  int attached = 0;
};
struct BoundGateway {
  std::string ns, name;
  const data::Json* value = nullptr;
  std::vector<Listener> listeners;
  std::vector<std::string> addresses;
};

// A condition of a status.
data::Json condition(std::string_view type, bool is_true, std::string_view reason,
                     std::string_view message, std::int64_t generation);
inline constexpr std::string_view kGatewayApiGroup = "gateway.networking.k8s.io";
inline constexpr std::string_view kGatewayController = "istio.io/gateway-controller";

// Whether something of `from_kind` in `from_ns` may point at `to_kind` `name` in `to_ns`: always in
// its own namespace, elsewhere when a ReferenceGrant there says so.
bool is_reference_granted(const Translation::Objects& objects, std::string_view from_kind,
                          std::string_view from_ns, std::string_view to_group,
                          std::string_view to_kind, std::string_view to_ns, std::string_view name);

void bind_routes(const TranslationInput& input, std::vector<BoundGateway>& gateways,
                 Translation& out);

}  // namespace lateen::discovery
