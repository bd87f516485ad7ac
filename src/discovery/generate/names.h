// Names in generated config, as Istio spells them: tools, metrics and EnvoyFilters rely on them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lateen::discovery {

// "outbound|9080|v1|reviews.default.svc.cluster.local"
std::string outbound_name(int port, std::string_view subset, std::string_view host);
// "inbound|9080||"
std::string inbound_name(int port);
// "outbound_.9080_.v1_.reviews.default.svc.cluster.local": SNI inside the mesh
std::string sni_name(int port, std::string_view subset, std::string_view host);

struct OutboundName {
  int port = 0;
  std::string subset;
  std::string host;
};
// Of "outbound|…" and "outbound_.…"; nullopt for other names.
std::optional<OutboundName> parse_outbound_name(std::string_view name);

// "/apis/networking.istio.io/v1alpha3/namespaces/default/virtual-service/reviews": which config
// made a route or cluster.
std::string config_path(std::string_view kind_path, std::string_view ns, std::string_view name);

inline constexpr std::string_view kPassthrough = "PassthroughCluster";
inline constexpr std::string_view kBlackHole = "BlackHoleCluster";
inline constexpr std::string_view kInboundPassthrough = "InboundPassthroughCluster";

}  // namespace lateen::discovery
