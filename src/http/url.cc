// Splits a URL by hand: there is little in it that a client needs.
#include "http/url.h"

#include "base/strings.h"

namespace lateen::http {

static Result<Url> parse_unix(std::string_view text) {
  Url url;
  url.scheme = "http";
  url.authority = "localhost";
  const std::size_t end = text.find(":/", 1);
  url.unix_path = text.substr(0, end);
  if (url.unix_path.empty()) return invalid("URL without a socket path: unix:" + std::string(text));
  if (end != std::string_view::npos) url.path = text.substr(end + 1);
  return url;
}

Result<Url> Url::parse(std::string_view text) {
  if (text.starts_with("unix:")) return parse_unix(text.substr(5));
  const std::string whole(text);
  Url url;
  const std::size_t scheme_end = text.find("://");
  if (scheme_end == std::string_view::npos) return invalid("not a URL (no scheme): " + whole);
  url.scheme = to_lower(text.substr(0, scheme_end));
  if (url.scheme != "http" && url.scheme != "https") {
    return invalid("URL scheme '" + url.scheme + "' is not http or https: " + whole);
  }
  text.remove_prefix(scheme_end + 3);
  text = text.substr(0, text.find('#'));
  const std::size_t authority_end = text.find_first_of("/?");
  std::string_view authority = text.substr(0, authority_end);
  if (authority_end != std::string_view::npos) {
    url.path = text.substr(authority_end);
    if (url.path[0] == '?') url.path.insert(0, "/");
  }
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
    return invalid("a URL with user information is not supported; use an authorization header");
  }
  std::string_view port;
  if (authority.starts_with("[")) {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos) return invalid("URL with an unclosed '[': " + whole);
    url.host = authority.substr(1, close - 1);
    port = authority.substr(close + 1);
    if (!port.empty() && port[0] != ':') return invalid("malformed host in URL: " + whole);
    if (!port.empty()) port.remove_prefix(1);
  } else {
    const std::size_t colon = authority.rfind(':');
    url.host = authority.substr(0, colon);
    if (colon != std::string_view::npos) port = authority.substr(colon + 1);
  }
  if (url.host.empty()) return invalid("URL without a host: " + whole);
  const std::uint16_t usual = url.scheme == "https" ? 443 : 80;
  url.port = usual;
  if (!port.empty()) {
    const auto number = parse_uint(port);
    if (!number || *number == 0 || *number > 65535) return invalid("bad port in URL: " + whole);
    url.port = static_cast<std::uint16_t>(*number);
  }
  const bool is_v6 = url.host.find(':') != std::string::npos;
  url.authority = is_v6 ? "[" + url.host + "]" : url.host;
  if (url.port != usual) url.authority += ":" + std::to_string(url.port);
  return url;
}

std::string Url::host_and_port() const {
  const bool is_v6 = host.find(':') != std::string::npos;
  return (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

}  // namespace lateen::http
