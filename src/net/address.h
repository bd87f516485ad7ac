// Addresses of sockets: IPv4, IPv6 (with zone), Unix paths (abstract with a leading '@'), and CIDR
// ranges.
#pragma once

#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace lateen::net {

// An IP without a port. Value type, 17 bytes.
class Ip {
 public:
  Ip() = default;                                  // 0.0.0.0
  static Result<Ip> parse(std::string_view text);  // "10.1.2.3", "::1"; no brackets, no zone
  static Ip v4(std::uint32_t host_order);
  static Ip v6(const std::array<std::uint8_t, 16>& bytes);

  bool is_v4() const { return is_v4_; }
  bool is_loopback() const;
  bool is_unspecified() const;
  // 4 or 16 bytes in network order.
  std::string_view bytes() const;
  std::uint32_t v4_bits() const;  // host order; only when is_v4()
  // ::ffff:a.b.c.d becomes a.b.c.d; others stay.
  Ip unmapped() const;
  std::string to_string() const;  // RFC 5952 for IPv6
  auto operator<=>(const Ip&) const = default;

 private:
  bool is_v4_ = true;
  std::array<std::uint8_t, 16> bytes_{};  // IPv4 uses the first four
};

class Cidr {
 public:
  // "10.0.0.0/8", "::/0"; a bare IP is a /32 or /128. Host bits are cleared.
  static Result<Cidr> parse(std::string_view text);
  Cidr(Ip ip, int prefix_bits);
  bool contains(const Ip& ip) const;
  const Ip& ip() const { return ip_; }
  int prefix_bits() const { return prefix_bits_; }
  std::string to_string() const;

 private:
  Ip ip_;
  int prefix_bits_;
};

class Address {
 public:
  Address() = default;  // 0.0.0.0:0
  Address(Ip ip, std::uint16_t port) : ip_(ip), port_(port) {}
  static Address unix_path(std::string path);
  // "1.2.3.4:80", "[::1]:80", "unix:/path", "unix:@abstract". No names: see net/resolver.h.
  static Result<Address> parse(std::string_view text);
  static Result<Address> from_sockaddr(const sockaddr* raw, socklen_t length);

  bool is_unix() const { return !path_.empty(); }
  const Ip& ip() const { return ip_; }
  std::uint16_t port() const { return port_; }
  const std::string& path() const { return path_; }
  int family() const;  // AF_INET, AF_INET6, AF_UNIX
  // Fails only for a Unix path over 107 bytes.
  Result<socklen_t> to_sockaddr(sockaddr_storage& out) const;
  std::string to_string() const;  // parse()'s forms
  auto operator<=>(const Address&) const = default;

 private:
  Ip ip_;
  std::uint16_t port_ = 0;
  std::string path_;
};

}  // namespace lateen::net

template <>
struct std::hash<lateen::net::Ip> {
  std::size_t operator()(const lateen::net::Ip& ip) const {
    return std::hash<std::string_view>{}(ip.bytes());
  }
};
template <>
struct std::hash<lateen::net::Address> {
  std::size_t operator()(const lateen::net::Address& a) const {
    return std::hash<std::string_view>{}(a.ip().bytes()) * 31 + a.port() +
           std::hash<std::string>{}(a.path());
  }
};
