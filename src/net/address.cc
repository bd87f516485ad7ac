// Parsing and printing by inet_pton/inet_ntop; comparison and CIDR tests on raw bytes.
#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <charconv>
#include <cstring>

#include "base/strings.h"

namespace lateen::net {

Result<Ip> Ip::parse(std::string_view text) {
  char copy[INET6_ADDRSTRLEN + 1] = {};
  if (text.size() < sizeof copy) {
    std::memcpy(copy, text.data(), text.size());
    Ip ip;
    if (inet_pton(AF_INET, copy, ip.bytes_.data()) == 1) return ip;
    if (inet_pton(AF_INET6, copy, ip.bytes_.data()) == 1) {
      ip.is_v4_ = false;
      return ip;
    }
  }
  return invalid("\"" + std::string(text) + "\" is not an IP address");
}

Ip Ip::v4(std::uint32_t host_order) {
  Ip ip;
  const std::uint32_t net_order = htonl(host_order);
  std::memcpy(ip.bytes_.data(), &net_order, 4);
  return ip;
}

Ip Ip::v6(const std::array<std::uint8_t, 16>& bytes) {
  Ip ip;
  ip.is_v4_ = false;
  ip.bytes_ = bytes;
  return ip;
}

bool Ip::is_loopback() const {
  if (is_v4_) return bytes_[0] == 127;
  const Ip plain = unmapped();
  if (plain.is_v4_) return plain.is_loopback();
  for (int i = 0; i < 15; ++i) {
    if (bytes_[static_cast<std::size_t>(i)] != 0) return false;
  }
  return bytes_[15] == 1;
}

bool Ip::is_unspecified() const {
  for (const auto byte : bytes_) {
    if (byte != 0) return false;
  }
  return true;
}

std::string_view Ip::bytes() const {
  return {reinterpret_cast<const char*>(bytes_.data()), is_v4_ ? 4u : 16u};
}

std::uint32_t Ip::v4_bits() const {
  std::uint32_t bits;
  std::memcpy(&bits, bytes_.data(), 4);
  return ntohl(bits);
}

Ip Ip::unmapped() const {
  static constexpr std::uint8_t kPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (is_v4_ || std::memcmp(bytes_.data(), kPrefix, sizeof kPrefix) != 0) return *this;
  Ip ip;
  std::memcpy(ip.bytes_.data(), bytes_.data() + 12, 4);
  return ip;
}

namespace {
// By hand for IPv4: access logs have five addresses a request, and inet_ntop's printf takes a
// thousand instructions for each. Returns the end.
char* write_ip(std::string_view bytes, char* out) {
  if (bytes.size() != 4) {
    inet_ntop(AF_INET6, bytes.data(), out, INET6_ADDRSTRLEN);
    return out + std::strlen(out);
  }
  for (std::size_t i = 0; i < 4; ++i) {
    if (i > 0) *out++ = '.';
    out = std::to_chars(out, out + 3, static_cast<unsigned char>(bytes[i])).ptr;
  }
  return out;
}
}  // namespace

std::string Ip::to_string() const {
  char text[INET6_ADDRSTRLEN];
  return {text, write_ip(bytes(), text)};
}

Cidr::Cidr(Ip ip, int prefix_bits) : ip_(ip), prefix_bits_(prefix_bits) {
  std::array<std::uint8_t, 16> bytes{};
  const std::string_view raw = ip.bytes();
  for (std::size_t i = 0; i < raw.size(); ++i) {
    const int left = prefix_bits - static_cast<int>(i) * 8;
    const std::uint8_t mask = left >= 8   ? 0xff
                              : left <= 0 ? 0
                                          : static_cast<std::uint8_t>(0xff << (8 - left));
    bytes[i] = static_cast<std::uint8_t>(raw[i]) & mask;
  }
  if (ip.is_v4()) {
    ip_ = Ip::v4(static_cast<std::uint32_t>(bytes[0]) << 24 |
                 static_cast<std::uint32_t>(bytes[1]) << 16 |
                 static_cast<std::uint32_t>(bytes[2]) << 8 | bytes[3]);
  } else {
    ip_ = Ip::v6(bytes);
  }
}

Result<Cidr> Cidr::parse(std::string_view text) {
  const auto parts = split_once(text, "/");
  const Ip ip = TRY(Ip::parse(parts ? parts->first : text));
  const int most = ip.is_v4() ? 32 : 128;
  if (!parts) return Cidr(ip, most);
  const auto bits = parse_int(parts->second);
  if (!bits || *bits < 0 || *bits > most)
    return invalid("\"" + std::string(text) + "\" is not a CIDR range");
  return Cidr(ip, static_cast<int>(*bits));
}

bool Cidr::contains(const Ip& ip) const {
  if (ip.is_v4() != ip_.is_v4()) return false;
  return Cidr(ip, prefix_bits_).ip_ == ip_;
}

std::string Cidr::to_string() const { return ip_.to_string() + "/" + std::to_string(prefix_bits_); }

Address Address::unix_path(std::string path) {
  Address address;
  address.path_ = std::move(path);
  return address;
}

Result<Address> Address::parse(std::string_view text) {
  if (text.starts_with("unix:")) {
    text.remove_prefix(5);
    if (text.starts_with("//")) text.remove_prefix(2);
    if (text.empty()) return invalid("\"unix:\" needs a path");
    return unix_path(std::string(text));
  }
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return invalid("\"" + std::string(text) +
                   "\" is not an address: expected IP:PORT or unix:PATH");
  }
  std::string_view host = text.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return invalid("\"" + std::string(text) + "\": write an IPv6 address as [ADDRESS]:PORT");
  }
  const auto port = parse_uint(text.substr(colon + 1));
  if (!port || *port > 65535)
    return invalid("\"" + std::string(text) + "\": the port is not 0 to 65535");
  return Address(TRY(Ip::parse(host)), static_cast<std::uint16_t>(*port));
}

Result<Address> Address::from_sockaddr(const sockaddr* raw, socklen_t length) {
  if (raw->sa_family == AF_INET && length >= sizeof(sockaddr_in)) {
    const auto* in = reinterpret_cast<const sockaddr_in*>(raw);
    return Address(Ip::v4(ntohl(in->sin_addr.s_addr)), ntohs(in->sin_port));
  }
  if (raw->sa_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
    const auto* in = reinterpret_cast<const sockaddr_in6*>(raw);
    std::array<std::uint8_t, 16> bytes;
    std::memcpy(bytes.data(), &in->sin6_addr, 16);
    return Address(Ip::v6(bytes), ntohs(in->sin6_port));
  }
  if (raw->sa_family == AF_UNIX) {
    const auto* un = reinterpret_cast<const sockaddr_un*>(raw);
    const std::size_t bytes =
        length > offsetof(sockaddr_un, sun_path) ? length - offsetof(sockaddr_un, sun_path) : 0;
    if (bytes == 0) return unix_path("@");  // unnamed
    if (un->sun_path[0] == '\0') return unix_path("@" + std::string(un->sun_path + 1, bytes - 1));
    return unix_path(std::string(un->sun_path, strnlen(un->sun_path, bytes)));
  }
  return invalid("unknown address family " + std::to_string(raw->sa_family));
}

int Address::family() const { return is_unix() ? AF_UNIX : ip_.is_v4() ? AF_INET : AF_INET6; }

Result<socklen_t> Address::to_sockaddr(sockaddr_storage& out) const {
  std::memset(&out, 0, sizeof out);
  if (is_unix()) {
    auto* un = reinterpret_cast<sockaddr_un*>(&out);
    if (path_.size() >= sizeof un->sun_path) {
      return invalid("unix socket path is longer than 107 bytes: " + path_);
    }
    un->sun_family = AF_UNIX;
    std::memcpy(un->sun_path, path_.data(), path_.size());
    if (path_[0] == '@') {
      un->sun_path[0] = '\0';
      return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path_.size());
    }
    return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path_.size() + 1);
  }
  if (ip_.is_v4()) {
    auto* in = reinterpret_cast<sockaddr_in*>(&out);
    in->sin_family = AF_INET;
    in->sin_port = htons(port_);
    in->sin_addr.s_addr = htonl(ip_.v4_bits());
    return static_cast<socklen_t>(sizeof *in);
  }
  auto* in = reinterpret_cast<sockaddr_in6*>(&out);
  in->sin6_family = AF_INET6;
  in->sin6_port = htons(port_);
  std::memcpy(&in->sin6_addr, ip_.bytes().data(), 16);
  return static_cast<socklen_t>(sizeof *in);
}

std::string Address::to_string() const {
  if (is_unix()) return "unix:" + path_;
  char text[INET6_ADDRSTRLEN + 8];
  char* end = text;
  if (!ip_.is_v4()) *end++ = '[';
  end = write_ip(ip_.bytes(), end);
  if (!ip_.is_v4()) *end++ = ']';
  *end++ = ':';
  return {text, std::to_chars(end, text + sizeof text, port_).ptr};
}

}  // namespace lateen::net
