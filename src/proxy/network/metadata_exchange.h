// Istio's TCP metadata exchange: under ALPN istio-peer-exchange each side sends, ahead of its
// bytes, who it is.
#pragma once

#include <memory>

#include "event/loop.h"
#include "net/stream.h"
#include "proxy/compile_context.h"
#include "proxy/network/filter.h"
#include "proxy/stream/peer.h"

namespace lateen::proxy {

inline constexpr std::string_view kPeerExchangeAlpn = "istio-peer-exchange";

// Wraps `stream` when that ALPN was negotiated, else returns it as it is. Ours goes out at once;
// the peer's is cut off what is read, and told through `on_peer` (null: it sent none that can be
// read).
std::unique_ptr<net::Stream> exchange_metadata(event::Loop& loop,
                                               std::unique_ptr<net::Stream> stream,
                                               const LocalIdentity& identity,
                                               Function<void(PeerRef)> on_peer);

// The inbound side's network filter.
class MetadataExchange final : public NetworkFilter {
 public:
  void handle(DownstreamConnection& connection, NetworkNext next) const override;
};

}  // namespace lateen::proxy
