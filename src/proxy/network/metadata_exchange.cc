// Wire form: be32 0x3D230467, be32 length, then an Any holding a Struct with the keys
// x-envoy-peer-metadata and x-envoy-peer-metadata-id.

#include "proxy/network/metadata_exchange.h"

#include "proxy/listener/downstream_connection.h"
#include "proxy/stream/forwarding_stream.h"
#include "xds/any.h"
#include "xds/json.h"

namespace lateen::proxy {
namespace {

constexpr std::uint32_t kMagic = 0x3D230467;
constexpr std::size_t kMostBytes = 64 * 1024;

std::string be32(std::uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
          static_cast<char>(value >> 8), static_cast<char>(value)};
}
std::uint32_t read_be32(std::string_view bytes) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i)
    value = value << 8 | static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)]);
  return value;
}

std::string announcement(const LocalIdentity& identity) {
  google::protobuf::Struct told;
  google::protobuf::Struct metadata;
  metadata.ParseFromString(identity.metadata_bytes);
  *(*told.mutable_fields())["x-envoy-peer-metadata"].mutable_struct_value() = metadata;
  (*told.mutable_fields())["x-envoy-peer-metadata-id"].set_string_value(identity.node_id);
  const std::string body = xds::serialize(xds::pack(told));
  return be32(kMagic) + be32(static_cast<std::uint32_t>(body.size())) + body;
}

PeerRef parse_announcement(std::string_view body) {
  google::protobuf::Any any;
  google::protobuf::Struct told;
  if (!any.ParseFromArray(body.data(), static_cast<int>(body.size())) || !any.UnpackTo(&told))
    return nullptr;
  const auto metadata = told.fields().find("x-envoy-peer-metadata");
  const auto id = told.fields().find("x-envoy-peer-metadata-id");
  if (metadata == told.fields().end()) return nullptr;
  return parse_peer(id == told.fields().end() ? "" : id->second.string_value(),
                    xds::serialize(metadata->second.struct_value()));
}

class ExchangeStream final : public ForwardingStream {
 public:
  ExchangeStream(std::unique_ptr<net::Stream> inner, std::string announcement,
                 Function<void(PeerRef)> on_peer)
      : ForwardingStream(std::move(inner)), on_peer_(std::move(on_peer)) {
    out_.append(announcement);
    inner_->write(out_);
  }

  net::Io read(Buffer& into, std::size_t most_bytes) override {
    while (!is_known_) {
      const net::Io io = inner_->read(in_, 16 * 1024);
      if (io.state == net::IoState::kEof || io.state == net::IoState::kError) {
        is_known_ = true;
        if (in_.empty()) return io;
        break;
      }
      if (io.state == net::IoState::kAgain) return io;
      parse();
    }
    if (in_.empty()) return inner_->read(into, most_bytes);
    const std::size_t count = std::min(most_bytes, in_.size());
    into.append(in_.take(count));
    return {net::IoState::kOk, count};
  }
  net::Io write(Buffer& from) override {
    if (!out_.empty()) {
      const net::Io io = inner_->write(out_);
      if (io.state == net::IoState::kError || !out_.empty()) return io;
    }
    return inner_->write(from);
  }

 private:
  void parse() {
    if (in_.size() < 8) return;
    const std::string_view head = in_.flatten(8);
    if (read_be32(head) != kMagic) {
      is_known_ = true;  // The peer speaks without introduction.
      return tell(nullptr);
    }
    const std::size_t size = read_be32(head.substr(4));
    if (size > kMostBytes) {
      is_known_ = true;
      return tell(nullptr);
    }
    if (in_.size() < 8 + size) return;
    in_.drop(8);
    PeerRef peer = parse_announcement(in_.flatten(size));
    in_.drop(size);
    is_known_ = true;
    tell(std::move(peer));
  }
  void tell(PeerRef peer) {
    if (auto on_peer = std::move(on_peer_)) on_peer(std::move(peer));
  }

  Function<void(PeerRef)> on_peer_;
  Buffer in_;
  Buffer out_;
  bool is_known_ = false;
};

}  // namespace

std::unique_ptr<net::Stream> exchange_metadata(event::Loop&, std::unique_ptr<net::Stream> stream,
                                               const LocalIdentity& identity,
                                               Function<void(PeerRef)> on_peer) {
  if (stream->tls() == nullptr || stream->tls()->alpn != kPeerExchangeAlpn) return stream;
  return std::make_unique<ExchangeStream>(std::move(stream), announcement(identity),
                                          std::move(on_peer));
}

void MetadataExchange::handle(DownstreamConnection& connection, NetworkNext next) const {
  connection.stream() =
      exchange_metadata(connection.loop(), std::move(connection.stream()),
                        connection.worker().shared().identity, [&connection](PeerRef peer) {
                          connection.facts().peer = peer;
                          connection.info().downstream_peer = std::move(peer);
                        });
  next(connection);
}

}  // namespace lateen::proxy
