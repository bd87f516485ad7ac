// Conversions that need more than a field access.

#include "xds/convert.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "envoy/config/core/v3/address.pb.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/type/v3/percent.pb.h"

namespace lateen::xds {

nanoseconds to_nanos(const google::protobuf::Duration& duration) {
  return seconds(duration.seconds()) + nanoseconds(duration.nanos());
}

milliseconds to_millis(const google::protobuf::Duration& duration) {
  return std::chrono::ceil<milliseconds>(to_nanos(duration));
}

google::protobuf::Duration to_duration(nanoseconds span) {
  google::protobuf::Duration made;
  made.set_seconds(span / seconds(1));
  made.set_nanos(static_cast<std::int32_t>((span % seconds(1)).count()));
  return made;
}

Result<net::Address> to_address(const envoy::config::core::v3::Address& address) {
  if (address.has_pipe()) return net::Address::unix_path(address.pipe().path());
  if (address.has_envoy_internal_address())
    return invalid("an internal address has no socket", Blame::kConfig);
  if (!address.has_socket_address())
    return invalid("an address without socket_address or pipe", Blame::kConfig);
  const auto& socket = address.socket_address();
  if (socket.port_value() > 65535)
    return invalid("port " + std::to_string(socket.port_value()) + " is over 65535",
                   Blame::kConfig);
  const auto port = static_cast<std::uint16_t>(socket.port_value());
  if (socket.address().empty()) return net::Address(net::Ip(), port);
  auto ip = net::Ip::parse(socket.address());
  if (!ip.ok()) return invalid("malformed IP address: " + socket.address(), Blame::kConfig);
  return net::Address(*ip, port);
}

std::optional<HostName> to_host_name(const envoy::config::core::v3::Address& address) {
  if (!address.has_socket_address()) return std::nullopt;
  const auto& socket = address.socket_address();
  if (net::Ip::parse(socket.address()).ok()) return std::nullopt;
  return HostName{socket.address(), static_cast<std::uint16_t>(socket.port_value())};
}

Result<net::Cidr> to_cidr(const envoy::config::core::v3::CidrRange& range) {
  auto ip = TRY(net::Ip::parse(range.address_prefix()));
  const std::uint32_t bits = range.prefix_len().value();
  if (bits > (ip.is_v4() ? 32u : 128u))
    return invalid("prefix length " + std::to_string(bits) + " of " + range.address_prefix(),
                   Blame::kConfig);
  return net::Cidr(ip, static_cast<int>(bits));
}

Result<std::string> read_data(const envoy::config::core::v3::DataSource& source) {
  using Source = envoy::config::core::v3::DataSource;
  switch (source.specifier_case()) {
    case Source::kInlineString: return source.inline_string();
    case Source::kInlineBytes: return source.inline_bytes();
    case Source::kEnvironmentVariable: {
      const char* value = std::getenv(source.environment_variable().c_str());
      if (value == nullptr)
        return not_found("environment variable " + source.environment_variable(), Blame::kConfig);
      return std::string(value);
    }
    case Source::kFilename: {
      std::ifstream file(source.filename(), std::ios::binary);
      if (!file) return errno_error("reading " + source.filename(), errno);
      std::ostringstream text;
      text << file.rdbuf();
      return std::move(text).str();
    }
    default: return std::string();
  }
}

std::uint32_t to_millionths(const envoy::type::v3::FractionalPercent& percent) {
  using Percent = envoy::type::v3::FractionalPercent;
  std::uint64_t value = percent.numerator();
  if (percent.denominator() == Percent::HUNDRED) value *= 10'000;
  if (percent.denominator() == Percent::TEN_THOUSAND) value *= 100;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(value, 1'000'000));
}

}  // namespace lateen::xds
