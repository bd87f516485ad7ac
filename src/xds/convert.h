// Small conversions from Envoy's messages to our values, shared by everything that compiles
// configuration.
#pragma once

#include <google/protobuf/duration.pb.h>

#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "net/address.h"

namespace envoy::config::core::v3 {
class Address;
class CidrRange;
class DataSource;
}  // namespace envoy::config::core::v3
namespace envoy::type::v3 {
class FractionalPercent;
}

namespace lateen::xds {

nanoseconds to_nanos(const google::protobuf::Duration& duration);
milliseconds to_millis(
    const google::protobuf::Duration& duration);  // rounded up: 1ns is 1ms, not "off"
google::protobuf::Duration to_duration(nanoseconds span);

// A socket address with a literal IP (empty: any), or a pipe. A host name is InvalidArgument: see
// is_host_name().
Result<net::Address> to_address(const envoy::config::core::v3::Address& address);
// The name and port when the address needs DNS.
struct HostName {
  std::string name;
  std::uint16_t port = 0;
};
std::optional<HostName> to_host_name(const envoy::config::core::v3::Address& address);
Result<net::Cidr> to_cidr(const envoy::config::core::v3::CidrRange& range);
// Reads files and environment variables as it says.
Result<std::string> read_data(const envoy::config::core::v3::DataSource& source);
// In millionths.
std::uint32_t to_millionths(const envoy::type::v3::FractionalPercent& percent);

}  // namespace lateen::xds
