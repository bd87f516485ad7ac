// Parsers of hostile first bytes: every length is checked, nothing is read beyond what came.

#include "proxy/listener/inspect.h"

#include <array>
#include <cstring>

#include "base/strings.h"

namespace lateen::proxy {
namespace {

// Reads big-endian fields from a view; `ok` turns false when it runs dry.
struct Reader {
  std::string_view rest;
  bool ok = true;
  std::uint32_t number(int bytes) {
    if (rest.size() < static_cast<std::size_t>(bytes)) {
      ok = false;
      return 0;
    }
    std::uint32_t value = 0;
    for (int i = 0; i < bytes; ++i)
      value = value << 8 | static_cast<unsigned char>(rest[static_cast<std::size_t>(i)]);
    rest.remove_prefix(static_cast<std::size_t>(bytes));
    return value;
  }
  std::string_view take(std::size_t bytes) {
    if (rest.size() < bytes) {
      ok = false;
      return {};
    }
    const auto taken = rest.substr(0, bytes);
    rest.remove_prefix(bytes);
    return taken;
  }
};

void read_extension(std::uint32_t type, std::string_view body, ClientHello& hello) {
  Reader reader{body};
  if (type == 0) {  // server_name, RFC 6066 §3
    Reader list{reader.take(reader.number(2))};
    while (list.ok && !list.rest.empty()) {
      const std::uint32_t kind = list.number(1);
      const std::string_view name = list.take(list.number(2));
      if (list.ok && kind == 0) hello.server_name = to_lower(name);
    }
  } else if (type == 16) {  // ALPN, RFC 7301 §3.1
    Reader list{reader.take(reader.number(2))};
    while (list.ok && !list.rest.empty()) {
      const std::string_view name = list.take(list.number(1));
      if (list.ok) hello.alpn.emplace_back(name);
    }
  }
}

bool parse_hello(std::string_view body, ClientHello& hello) {
  Reader reader{body};
  reader.number(2);               // legacy version
  reader.take(32);                // random
  reader.take(reader.number(1));  // session id
  reader.take(reader.number(2));  // cipher suites
  reader.take(reader.number(1));  // compression
  if (!reader.ok) return false;
  if (reader.rest.empty()) return true;  // no extensions
  Reader extensions{reader.take(reader.number(2))};
  if (!reader.ok) return false;
  while (!extensions.rest.empty()) {
    const std::uint32_t type = extensions.number(2);
    const std::string_view content = extensions.take(extensions.number(2));
    if (!extensions.ok) return false;
    read_extension(type, content, hello);
  }
  return true;
}

}  // namespace

Seen inspect_tls(std::string_view bytes, ClientHello& hello) {
  if (bytes.empty()) return Seen::kNeedMore;
  if (bytes[0] != 0x16) return Seen::kNo;
  if (bytes.size() >= 2 && bytes[1] != 0x03) return Seen::kNo;
  // The handshake message may be spread over several records (RFC 8446 §5.1).
  std::string message;
  std::string_view rest = bytes;
  std::size_t wanted = 4;
  bool is_cut = false;  // the last record is not there to its end
  while (true) {
    if (message.size() >= 4) {
      if (message[0] != 0x01) return Seen::kNo;  // not a ClientHello
      Reader length{std::string_view(message).substr(1, 3)};
      wanted = 4 + length.number(3);
      if (wanted > kMostInspectedBytes) return Seen::kNo;
      if (message.size() >= wanted) break;
    }
    if (is_cut || rest.size() < 5) return Seen::kNeedMore;
    if (rest[0] != 0x16) return Seen::kNo;
    Reader record{rest.substr(3, 2)};
    const std::size_t size = record.number(2);
    if (size == 0 || size > 16 * 1024 + 256) return Seen::kNo;
    message += rest.substr(5, size);
    is_cut = rest.size() < 5 + size;
    if (!is_cut) rest.remove_prefix(5 + size);
  }
  return parse_hello(std::string_view(message).substr(4, wanted - 4), hello) ? Seen::kYes
                                                                             : Seen::kNo;
}

Seen inspect_http(std::string_view bytes, std::string& protocol) {
  constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  static constexpr std::array<std::string_view, 35> kMethods = {
      "GET",        "HEAD",     "POST",       "PUT",      "DELETE", "CONNECT",   "OPTIONS",
      "TRACE",      "COPY",     "LOCK",       "MKCOL",    "MOVE",   "PROPFIND",  "PROPPATCH",
      "SEARCH",     "UNLOCK",   "BIND",       "REBIND",   "UNBIND", "ACL",       "REPORT",
      "MKACTIVITY", "CHECKOUT", "MERGE",      "M-SEARCH", "NOTIFY", "SUBSCRIBE", "UNSUBSCRIBE",
      "PATCH",      "PURGE",    "MKCALENDAR", "LINK",     "UNLINK", "SOURCE",    "QUERY"};
  if (bytes.starts_with(kPreface)) {
    protocol = "h2c";
    return Seen::kYes;
  }
  if (kPreface.starts_with(bytes)) return Seen::kNeedMore;
  const auto space = bytes.find(' ');
  const std::string_view method = bytes.substr(0, space);
  bool is_possible = false;
  for (const auto known : kMethods)
    is_possible = is_possible ||
                  (space == std::string_view::npos ? known.starts_with(method) : known == method);
  if (!is_possible) return Seen::kNo;
  const auto end = bytes.find('\n');
  if (end == std::string_view::npos) {
    if (bytes.size() < 8192) return Seen::kNeedMore;
    protocol = "http/1.1";  // A request line this long says no more than its method does.
    return Seen::kYes;
  }
  std::string_view line = bytes.substr(0, end);
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.ends_with(" HTTP/1.1")) protocol = "http/1.1";
  else if (line.ends_with(" HTTP/1.0")) protocol = "http/1.0";
  else return Seen::kNo;
  return Seen::kYes;
}

namespace {

// The longest line of version 1, with its end (its specification, §2.1).
constexpr std::size_t kMostLineBytes = 107;

Seen inspect_proxy_v1(std::string_view bytes, ProxyHeader& header) {
  const auto end = bytes.substr(0, kMostLineBytes).find("\r\n");
  if (end == std::string_view::npos)
    return bytes.size() < kMostLineBytes ? Seen::kNeedMore : Seen::kNo;
  const auto words = split(bytes.substr(0, end), ' ');
  header.bytes = end + 2;
  if (words.size() >= 2 && words[1] == "UNKNOWN") {
    header.is_local = true;
    return Seen::kYes;
  }
  if (words.size() != 6) return Seen::kNo;
  const auto source = net::Ip::parse(words[2]);
  const auto destination = net::Ip::parse(words[3]);
  const auto source_port = parse_uint(words[4]);
  const auto destination_port = parse_uint(words[5]);
  if (!source.ok() || !destination.ok() || !source_port || !destination_port ||
      *source_port > 65535 || *destination_port > 65535)
    return Seen::kNo;
  const bool is_v6 = words[1] == "TCP6";
  if ((!is_v6 && words[1] != "TCP4") || source->is_v4() == is_v6 || destination->is_v4() == is_v6)
    return Seen::kNo;
  header.source = net::Address(*source, static_cast<std::uint16_t>(*source_port));
  header.destination = net::Address(*destination, static_cast<std::uint16_t>(*destination_port));
  return Seen::kYes;
}

Seen inspect_proxy_v2(std::string_view bytes, ProxyHeader& header) {
  if (bytes.size() < 16) return Seen::kNeedMore;
  const auto command = static_cast<unsigned char>(bytes[12]);
  const auto family = static_cast<unsigned char>(bytes[13]);
  if (command >> 4 != 2 || (command & 0xf) > 1) return Seen::kNo;
  Reader length{bytes.substr(14, 2)};
  const std::size_t size = length.number(2);
  if (bytes.size() < 16 + size) return Seen::kNeedMore;
  header.bytes = 16 + size;
  Reader body{bytes.substr(16, size)};
  const auto v6 = [&] {
    std::array<std::uint8_t, 16> raw{};
    const auto taken = body.take(16);
    if (body.ok) std::memcpy(raw.data(), taken.data(), 16);
    return net::Ip::v6(raw);
  };
  if ((command & 0xf) == 0 || (family != 0x11 && family != 0x21)) {
    header.is_local = true;
    return Seen::kYes;
  }
  const net::Ip source = family == 0x11 ? net::Ip::v4(body.number(4)) : v6();
  const net::Ip destination = family == 0x11 ? net::Ip::v4(body.number(4)) : v6();
  header.source = net::Address(source, static_cast<std::uint16_t>(body.number(2)));
  header.destination = net::Address(destination, static_cast<std::uint16_t>(body.number(2)));
  return body.ok ? Seen::kYes : Seen::kNo;
}

}  // namespace

Seen inspect_proxy(std::string_view bytes, ProxyHeader& header) {
  constexpr std::string_view kV2("\r\n\r\n\0\r\nQUIT\n", 12);
  constexpr std::string_view kV1 = "PROXY ";
  if (bytes.starts_with(kV2)) return inspect_proxy_v2(bytes, header);
  if (bytes.starts_with(kV1)) return inspect_proxy_v1(bytes, header);
  if (kV2.starts_with(bytes) || kV1.starts_with(bytes)) return Seen::kNeedMore;
  return Seen::kNo;
}

}  // namespace lateen::proxy
