// Addresses that are no pair of one IP family are told as unknown.

#include "proxy/cluster/proxy_header.h"

#include "proxy/stream/forwarding_stream.h"

namespace lateen::proxy {
namespace {

class HeaderStream final : public ForwardingStream {
 public:
  HeaderStream(std::unique_ptr<net::Stream> inner, const std::string& header)
      : ForwardingStream(std::move(inner)) {
    header_.append(header);
    inner_->write(header_);
  }
  net::Io write(Buffer& from) override {
    if (!header_.empty()) {
      const net::Io io = inner_->write(header_);
      if (io.state == net::IoState::kError || !header_.empty()) return {io.state, 0};
    }
    return inner_->write(from);
  }

 private:
  Buffer header_;
};

void put_be16(std::string& out, std::uint16_t value) {
  out += static_cast<char>(value >> 8);
  out += static_cast<char>(value & 0xff);
}

}  // namespace

std::string proxy_header(int version, const net::Address& source, const net::Address& destination) {
  const bool is_known = !source.is_unix() && !destination.is_unix() &&
                        source.ip().is_v4() == destination.ip().is_v4() && source.port() != 0;
  const bool is_v4 = is_known && source.ip().is_v4();
  if (version == 1) {
    if (!is_known) return "PROXY UNKNOWN\r\n";
    return std::string("PROXY ") + (is_v4 ? "TCP4 " : "TCP6 ") + source.ip().to_string() + ' ' +
           destination.ip().to_string() + ' ' + std::to_string(source.port()) + ' ' +
           std::to_string(destination.port()) + "\r\n";
  }
  std::string out("\r\n\r\n\0\r\nQUIT\n", 12);
  out += is_known ? '\x21' : '\x20';  // version 2, PROXY or LOCAL
  out += !is_known ? '\x00' : is_v4 ? '\x11' : '\x21';
  put_be16(out, !is_known ? 0 : is_v4 ? 12 : 36);
  if (!is_known) return out;
  out += source.ip().bytes();
  out += destination.ip().bytes();
  put_be16(out, source.port());
  put_be16(out, destination.port());
  return out;
}

std::unique_ptr<net::Stream> put_proxy_header(std::unique_ptr<net::Stream> stream, int version,
                                              const net::Address& source,
                                              const net::Address& destination) {
  return std::make_unique<HeaderStream>(std::move(stream),
                                        proxy_header(version, source, destination));
}

}  // namespace lateen::proxy
