// One pass over a head that is known to be complete. Everything that two HTTP implementations could
// read differently (request smuggling) is refused rather than repaired.
#include "http/h1_parser.h"

#include <array>
#include <cstring>

#include "base/eight_bytes.h"
#include "base/strings.h"

namespace lateen::http::h1 {
namespace {

constexpr unsigned char kToken = 1, kValue = 2, kTarget = 4, kHost = 8;

constexpr std::array<unsigned char, 256> make_classes() {
  std::array<unsigned char, 256> classes{};
  for (int c = 0; c < 256; ++c) {
    const bool is_alnum =
        (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (is_alnum) classes[c] |= kToken;
    if ((c >= 0x20 && c != 0x7f) || c == '\t') classes[c] |= kValue;
    if (c > 0x20 && c < 0x7f) classes[c] |= kTarget;
    if (is_alnum) classes[c] |= kHost;
  }
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) {
    classes[static_cast<unsigned char>(c)] |= kToken;
  }
  // RFC 3986 §3.2, without user information and without the comma that joins two fields.
  for (const char c : std::string_view("-._~%!$&'()*+;=:[]")) {
    classes[static_cast<unsigned char>(c)] |= kHost;
  }
  return classes;
}
constexpr auto kClasses = make_classes();

bool is_all(std::string_view text, unsigned char wanted) {
  for (const char c : text) {
    if ((kClasses[static_cast<unsigned char>(c)] & wanted) == 0) return false;
  }
  return true;
}

// is_all(text, kValue) for values, which nearly always are printable text: eight bytes at a time.
bool is_value(std::string_view text) {
  for (; text.size() >= 8; text.remove_prefix(8)) {
    std::uint64_t word;
    std::memcpy(&word, text.data(), 8);
    if ((has_byte_below(word, 0x20) || has_byte(word, 0x7f)) && !is_all(text.substr(0, 8), kValue))
      return false;
  }
  return is_all(text, kValue);
}

std::string_view trim_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Cuts off the next line without its CRLF. HeadScanner saw that each line ends with CRLF.
std::string_view next_line(std::string_view& rest) {
  const auto* end = static_cast<const char*>(std::memchr(rest.data(), '\n', rest.size()));
  if (end == nullptr) return std::exchange(rest, {});
  const std::size_t length = static_cast<std::size_t>(end - rest.data());
  const std::string_view line = rest.substr(0, length > 0 ? length - 1 : 0);
  rest.remove_prefix(length + 1);
  return line;
}

constexpr Refusal kBadField{400, "a header field name is not a token"};
constexpr int kMostConnectionOptions = 64;
constexpr Refusal kTooMany{431, "too many header fields"};

// The fields that steer the connection, as found.
struct Steering {
  std::string_view host, connection, upgrade, transfer_encoding, content_length;
  int hosts = 0, transfer_encodings = 0, content_lengths = 0, upgrades = 0, options = 0;
  bool has_stolen_name = false;       // Connection names a field that is not its own
  bool has_connection_names = false;  // Connection names fields beyond the usual ones
  bool is_continue_expected = false;
  bool is_close = false, is_keep_alive = false, has_upgrade_option = false;
  bool is_trailer_wanted = false;
};

// Fields that say who the request is for and from whom: a client that names them in Connection
// wants the next hop not to see them.
bool is_never_hop_by_hop(std::string_view name) {
  return name.front() == ':' || iequals(name, "host") ||
         (name.size() > 12 && iequals(name.substr(0, 12), "x-forwarded-"));
}

void note_connection(Steering& steering, std::string_view value) {
  while (!value.empty()) {
    const std::size_t comma = value.find(',');
    const std::string_view option = trim_blanks(value.substr(0, comma));
    value = comma == std::string_view::npos ? std::string_view() : value.substr(comma + 1);
    if (option.empty()) continue;
    ++steering.options;
    if (iequals(option, "close")) steering.is_close = true;
    else if (iequals(option, "keep-alive")) steering.is_keep_alive = true;
    else if (iequals(option, "upgrade")) steering.has_upgrade_option = true;
    else if (!iequals(option, "te")) {
      steering.has_connection_names = true;
      steering.has_stolen_name |= is_never_hop_by_hop(option);
    }
  }
}

// Notes a steering field; says whether it must not become an ordinary field.
bool steer(Steering& steering, std::string_view name, std::string_view value) {
  switch (name.size()) {
    case 2:
      if (!iequals(name, "te")) return false;
      if (has_token(value, "trailers")) steering.is_trailer_wanted = true;
      return true;
    case 4:
      if (!iequals(name, "host")) return false;
      steering.host = value;
      ++steering.hosts;
      return true;
    case 6:
      if (!iequals(name, "expect")) return false;
      if (!iequals(value, "100-continue")) return false;
      steering.is_continue_expected = true;
      return true;
    case 7:
      if (!iequals(name, "upgrade")) return false;
      // Two fields ask for two things, of which nobody offers both.
      steering.upgrade = steering.upgrades++ == 0 ? value : "several protocols";
      return true;
    case 10:
      if (iequals(name, "keep-alive")) return true;
      if (!iequals(name, "connection")) return false;
      steering.connection = value;
      note_connection(steering, value);
      return true;
    case 14:
      if (!iequals(name, "content-length")) return false;
      // Several are refused below, even equal ones: no number.
      steering.content_length = steering.content_lengths++ == 0 ? value : "several";
      return steering.content_lengths > 1;
    case 16: return iequals(name, "proxy-connection");
    case 17:
      if (!iequals(name, "transfer-encoding")) return false;
      steering.transfer_encoding = value;
      ++steering.transfer_encodings;
      return true;
    default: return false;
  }
}

std::optional<Refusal> parse_fields(std::string_view rest, const Limits& limits, Headers& out,
                                    Steering& steering) {
  std::size_t count = 0;
  for (;;) {
    const std::string_view line = next_line(rest);
    if (line.empty()) return std::nullopt;
    if (++count > limits.max_header_count) return kTooMany;
    if (line.front() == ' ' || line.front() == '\t') {
      return Refusal{400, "a header field is folded over two lines (obs-fold)"};
    }
    std::size_t colon = 0;
    while (colon < line.size() && (kClasses[static_cast<unsigned char>(line[colon])] & kToken)) {
      ++colon;
    }
    if (colon == line.size()) return Refusal{400, "a header line has no colon"};
    if (colon == 0 || line[colon] != ':') return kBadField;
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = trim_blanks(line.substr(colon + 1));
    if (!is_value(value)) return Refusal{400, "a header value has control characters"};
    if (!steer(steering, name, value)) out.add_view(name, value);
  }
}

// Drops fields that Connection names (RFC 9110 §7.6.1).
void drop_named(Headers& headers, std::string_view connection) {
  headers.remove_if([&](const Headers::Field& f) { return has_token(connection, f.name); });
}

std::optional<Refusal> find_length(const Steering& steering, std::uint64_t& length) {
  const std::string_view text = steering.content_length;
  if (text.empty() || text.size() > 19) return Refusal{400, "content-length is not one number"};
  length = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return Refusal{400, "content-length is not one number"};
    length = length * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return std::nullopt;
}

// Framing by transfer-encoding and content-length; kNone when neither is there.
std::optional<Refusal> find_framing(const Steering& steering, Version version, HeadFacts& facts) {
  if (steering.transfer_encodings > 0) {
    if (steering.content_lengths > 0) {
      return Refusal{400, "both transfer-encoding and content-length"};
    }
    if (version == Version::kHttp10) return Refusal{400, "transfer-encoding in HTTP/1.0"};
    if (steering.transfer_encodings > 1 || !iequals(steering.transfer_encoding, "chunked")) {
      return Refusal{501, "the only transfer-encoding understood is chunked"};
    }
    facts.framing = Framing::kChunked;
    return std::nullopt;
  }
  if (steering.content_lengths > 0) {
    if (auto refusal = find_length(steering, facts.length)) return refusal;
    facts.framing = facts.length > 0 ? Framing::kLength : Framing::kNone;
  }
  return std::nullopt;
}

std::optional<Refusal> parse_version(std::string_view text, Version& out) {
  if (text.size() != 8 || !text.starts_with("HTTP/") || text[6] != '.' || text[5] < '0' ||
      text[5] > '9' || text[7] < '0' || text[7] > '9') {
    return Refusal{400, "the start line has no HTTP version"};
  }
  if (text[5] != '1') return Refusal{505, "only HTTP/1 is spoken on this connection"};
  out = text[7] == '0' ? Version::kHttp10 : Version::kHttp11;
  return std::nullopt;
}

// RFC 9110 §9, and the registry of methods. What is none of them is more often the rest of a body
// that somebody took for a request than a method of its own.
bool is_method(std::string_view text) {
  static constexpr std::string_view kMethods[] = {
      "HEAD",       "PUT",        "DELETE",   "OPTIONS",    "PATCH",  "CONNECT",  "TRACE",
      "ACL",        "BIND",       "CHECKOUT", "COPY",       "LINK",   "LOCK",     "MERGE",
      "MKACTIVITY", "MKCALENDAR", "MKCOL",    "MOVE",       "NOTIFY", "PROPFIND", "PROPPATCH",
      "PURGE",      "QUERY",      "REBIND",   "REPORT",     "SEARCH", "SOURCE",   "SUBSCRIBE",
      "UNBIND",     "UNLINK",     "UNLOCK",   "UNSUBSCRIBE"};
  if (text == "GET" || text == "POST") return true;
  for (const auto method : kMethods)
    if (text == method) return true;
  return false;
}

// The port of an authority in a target; false when what stands there is none.
bool has_port(std::string_view authority) {
  const std::size_t colon = authority.rfind(':');
  if (colon == std::string_view::npos || authority.find(']', colon) != std::string_view::npos)
    return false;
  const auto port = parse_uint(authority.substr(colon + 1));
  return port && *port <= 65535;
}
bool is_port_wrong(std::string_view authority) {
  const std::size_t colon = authority.rfind(':');
  return colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos &&
         !has_port(authority);
}

// Splits the request target into authority and path (RFC 9112 §3.2).
std::optional<Refusal> parse_target(std::string_view target, const Steering& steering,
                                    Request& out) {
  constexpr Refusal kBad{400, "the request target is malformed"};
  if (target.empty() || !is_all(target, kTarget)) return kBad;
  out.authority = steering.host;
  if (out.method == "CONNECT") {
    if (!is_authority(target) || !has_port(target)) return kBad;
    out.authority = target;
    out.path = {};
    return std::nullopt;
  }
  if (target.front() == '/') {
    out.path = target;
    return std::nullopt;
  }
  if (target == "*") {
    if (out.method != "OPTIONS") return kBad;
    out.path = target;
    return std::nullopt;
  }
  const std::size_t scheme_end = target.find("://");
  if (scheme_end == std::string_view::npos || scheme_end == 0) return kBad;
  const std::string_view scheme = target.substr(0, scheme_end);
  if (!iequals(scheme, "http") && !iequals(scheme, "https")) return kBad;
  std::string_view rest = target.substr(scheme_end + 3);
  const std::size_t authority_end = rest.find_first_of("/?#");
  out.authority = rest.substr(0, authority_end);
  if (out.authority.empty() || !is_authority(out.authority) || is_port_wrong(out.authority))
    return kBad;
  if (authority_end == std::string_view::npos) out.path = "/";
  else if (rest[authority_end] == '/') out.path = rest.substr(authority_end);
  else out.path = out.headers.arena().concat("/", rest.substr(authority_end));
  return std::nullopt;
}

std::optional<Refusal> check_host(const Steering& steering, Version version) {
  if (steering.hosts > 1) return Refusal{400, "more than one host field"};
  if (steering.hosts == 0 && version != Version::kHttp10) return Refusal{400, "no host field"};
  if (!is_authority(steering.host)) return Refusal{400, "the host field is malformed"};
  if (steering.has_stolen_name || steering.options > kMostConnectionOptions) {
    return Refusal{400, "the connection field names what is not the connection's"};
  }
  return std::nullopt;
}

}  // namespace

HeadScanner::State HeadScanner::scan(std::string_view bytes) {
  while (scanned_ < bytes.size()) {
    const auto* found = static_cast<const char*>(
        std::memchr(bytes.data() + scanned_, '\n', bytes.size() - scanned_));
    if (found == nullptr) {
      scanned_ = bytes.size();
      return State::kMore;
    }
    const std::size_t at = static_cast<std::size_t>(found - bytes.data());
    scanned_ = at + 1;
    if (at == line_start_ || bytes[at - 1] != '\r') return State::kBareLineFeed;
    if (at == line_start_ + 1) return State::kComplete;
    line_start_ = at + 1;
  }
  return State::kMore;
}

bool is_token(std::string_view text) { return !text.empty() && is_all(text, kToken); }
bool is_field_value(std::string_view text) { return is_value(text); }
bool is_authority(std::string_view text) { return is_all(text, kHost); }

bool has_token(std::string_view list, std::string_view token) {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    if (iequals(trim_blanks(list.substr(0, comma)), token)) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
  return false;
}

std::optional<Refusal> parse_request(std::string_view head, const Limits& limits, Request& out,
                                     HeadFacts& facts) {
  const std::string_view line = next_line(head);
  const std::size_t method_end = line.find(' ');
  if (method_end == std::string_view::npos) return Refusal{400, "the request line is malformed"};
  out.method = line.substr(0, method_end);
  if (!is_method(out.method)) return Refusal{400, "the method is unknown"};
  const std::size_t target_end = line.rfind(' ');
  if (target_end == method_end) return Refusal{400, "the request line has no HTTP version"};
  const std::string_view target = line.substr(method_end + 1, target_end - method_end - 1);
  if (auto refusal = parse_version(line.substr(target_end + 1), out.version)) return refusal;

  Steering steering;
  out.headers.reserve(16);
  if (auto refusal = parse_fields(head, limits, out.headers, steering)) return refusal;
  if (auto refusal = check_host(steering, out.version)) return refusal;
  if (auto refusal = parse_target(target, steering, out)) return refusal;
  if (auto refusal = find_framing(steering, out.version, facts)) return refusal;
  if (steering.has_connection_names) drop_named(out.headers, steering.connection);
  if (steering.is_trailer_wanted) out.headers.add_view("te", "trailers");

  const bool is_11 = out.version == Version::kHttp11;
  facts.is_keep_alive = !steering.is_close && (is_11 || steering.is_keep_alive);
  facts.is_continue_expected = steering.is_continue_expected && is_11;
  if (out.method == "CONNECT") {
    if (facts.framing != Framing::kNone) return Refusal{400, "CONNECT with a body"};
    facts.framing = Framing::kTunnel;
  } else if (is_11 && steering.has_upgrade_option && facts.framing == Framing::kNone &&
             !has_token(steering.upgrade, "h2c")) {
    // An upgrade together with a body is ignored: the body comes first and few get it right.
    out.upgrade = steering.upgrade;
    if (!out.upgrade.empty()) facts.framing = Framing::kTunnel;
  }
  return std::nullopt;
}

std::optional<Refusal> parse_response(std::string_view head, const Limits& limits,
                                      std::string_view request_method, bool is_upgrade_wanted,
                                      Response& out, HeadFacts& facts) {
  const std::string_view line = next_line(head);
  if (line.size() < 12) return Refusal{502, "the status line is malformed"};
  if (auto refusal = parse_version(line.substr(0, 8), out.version)) return refusal;
  int status = 0;
  for (int i = 9; i < 12; ++i) {
    if (line[i] < '0' || line[i] > '9') return Refusal{502, "the status is not a number"};
    status = status * 10 + (line[i] - '0');
  }
  if (line[8] != ' ' || (line.size() > 12 && line[12] != ' ') || status < 100 ||
      !is_all(line.substr(12), kValue)) {
    return Refusal{502, "the status line is malformed"};
  }
  out.status = status;

  Steering steering;
  out.headers.reserve(16);
  if (auto refusal = parse_fields(head, limits, out.headers, steering)) return refusal;
  if (steering.hosts > 0) out.headers.add_view("host", steering.host);
  if (auto refusal = find_framing(steering, out.version, facts)) return refusal;
  if (steering.has_connection_names) drop_named(out.headers, steering.connection);

  const bool is_11 = out.version == Version::kHttp11;
  facts.is_keep_alive = !steering.is_close && (is_11 || steering.is_keep_alive);
  // RFC 9112 §6.3: these have no body, whatever they say; what follows would be another's answer.
  if ((status < 200 || status == 204) &&
      (steering.transfer_encodings > 0 || facts.framing == Framing::kLength)) {
    return Refusal{502, "a response that cannot have a body says that it has one"};
  }
  if (status == 101) {
    if (!is_upgrade_wanted) return Refusal{502, "101 without a request to upgrade"};
    if (!steering.upgrade.empty()) out.headers.add_view("upgrade", steering.upgrade);
    facts.framing = Framing::kTunnel;
  } else if (request_method == "CONNECT" && status >= 200 && status < 300) {
    facts.framing = Framing::kTunnel;
  } else if (request_method == "HEAD" || status < 200 || status == 204 || status == 304) {
    facts.framing = Framing::kNone;
  } else if (steering.transfer_encodings == 0 && steering.content_lengths == 0) {
    facts.framing = Framing::kUntilClose;
    facts.is_keep_alive = false;
  }
  return std::nullopt;
}

std::optional<Refusal> parse_trailers(std::string_view text, const Limits& limits, Headers& out) {
  Steering dropped;
  return parse_fields(text, limits, out, dropped).has_value()
             ? std::optional(Refusal{400, "malformed trailer fields"})
             : (out.remove("content-length"), std::nullopt);
}

}  // namespace lateen::http::h1
