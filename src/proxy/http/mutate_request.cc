// The rules for headers at the edge and inside the mesh: who the client is, which id the request
// has, what is not to be believed from outside.

#include <algorithm>

#include "base/strings.h"
#include "proxy/http/connection_manager.h"

namespace lateen::proxy {
namespace {

// What an outside client must not set (docs: "HTTP header sanitizing"): at the edge, and anywhere.
constexpr std::string_view kNotAtTheEdge[] = {
    "x-envoy-decorator-operation", "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node", "x-envoy-original-path"};
constexpr std::string_view kInternalOnly[] = {"x-envoy-retry-on",
                                              "x-envoy-retry-grpc-on",
                                              "x-envoy-max-retries",
                                              "x-envoy-upstream-alt-stat-name",
                                              "x-envoy-upstream-rq-timeout-ms",
                                              "x-envoy-upstream-rq-per-try-timeout-ms",
                                              "x-envoy-upstream-rq-timeout-alt-response",
                                              "x-envoy-expected-rq-timeout-ms",
                                              "x-envoy-force-trace",
                                              "x-envoy-ip-tags",
                                              "x-envoy-original-url",
                                              "x-envoy-hedge-on-per-try-timeout",
                                              "x-envoy-retriable-status-codes",
                                              "x-envoy-retriable-header-names",
                                              "x-envoy-internal"};

std::string address_text(const net::Address& address) {
  return address.is_unix() ? std::string() : address.ip().to_string();
}

// The n-th address from the right of x-forwarded-for (0: the last).
std::optional<net::Ip> forwarded_address(std::string_view forwarded_for, std::uint32_t from_right) {
  if (forwarded_for.empty()) return std::nullopt;
  const auto parts = split(forwarded_for, ',');
  if (from_right >= parts.size()) return std::nullopt;
  const auto ip = net::Ip::parse(trim(parts[parts.size() - 1 - from_right]));
  return ip.ok() ? std::optional(*ip) : std::nullopt;
}

// A client of the internal ranges, with nobody else on the way.
bool is_internal(const HttpConfig& config, const std::optional<net::Address>& client,
                 std::string_view forwarded_for) {
  if (config.internal_ranges.empty() || !client || client->is_unix()) return false;
  const bool is_single =
      config.is_remote_address_used
          ? forwarded_for.empty()
          : !forwarded_for.empty() && forwarded_for.find(',') == std::string_view::npos;
  if (!is_single) return false;
  for (const auto& range : config.internal_ranges)
    if (range.contains(client->ip())) return true;
  return false;
}

void find_client(HttpState& stream, http::Request& request) {
  StreamInfo& info = stream.info;
  const HttpConfig& config = *stream.config;
  const net::Address& peer = info.connection.remote;
  const std::string_view scheme = info.connection.tls != nullptr ? "https" : "http";
  const std::string forwarded(request.headers.joined("x-forwarded-for"));
  info.remote = peer;
  if (config.is_remote_address_used) {
    if (config.trusted_hops > 0)
      if (const auto ip = forwarded_address(forwarded, config.trusted_hops - 1))
        info.remote = net::Address(*ip, 0);
    if (!config.is_forwarded_for_kept && !peer.is_unix()) {
      const std::string text =
          forwarded.empty() ? address_text(peer) : forwarded + "," + address_text(peer);
      request.headers.set("x-forwarded-for", text);
    }
    if (config.trusted_hops == 0 || !request.headers.has("x-forwarded-proto"))
      request.headers.set("x-forwarded-proto", scheme);
    if (config.is_forwarded_port_added && !info.connection.local.is_unix() &&
        (config.trusted_hops == 0 || !request.headers.has("x-forwarded-port")))
      request.headers.set("x-forwarded-port", std::to_string(info.connection.local.port()));
  } else {
    if (const auto ip = forwarded_address(forwarded, config.trusted_hops))
      info.remote = net::Address(*ip, 0);
    if (!request.headers.has("x-forwarded-proto")) request.headers.add("x-forwarded-proto", scheme);
  }
  const auto proto = request.headers.get("x-forwarded-proto");
  if (proto && (*proto == "http" || *proto == "https")) request.scheme = *proto;

  // No address is internal unless configured (Envoy 1.33).
  if (is_internal(config, info.remote, forwarded)) {
    request.headers.set("x-envoy-internal", "true");
    return;
  }
  strip_envoy_headers(request.headers, kInternalOnly);
  if (!config.is_remote_address_used) return;
  strip_envoy_headers(request.headers, kNotAtTheEdge);
  if (info.remote && !info.remote->is_unix())
    request.headers.set("x-envoy-external-address", address_text(*info.remote));
}

void set_request_id(HttpState& stream, http::Request& request) {
  const HttpConfig& config = *stream.config;
  const auto given = request.headers.get("x-request-id");
  const bool is_kept = given && !given->empty() &&
                       (!config.is_remote_address_used || config.is_external_request_id_kept);
  if (!is_kept && config.is_request_id_generated)
    request.headers.set("x-request-id", stream.info.worker.loop().random().uuid());
  stream.info.request_id = request.headers.get("x-request-id").value_or("");
}

void set_client_certificate(HttpState& stream, http::Request& request) {
  using Mode = HttpConfig::ClientCert;
  const HttpConfig& config = *stream.config;
  const net::TlsInfo* tls = stream.info.connection.tls;
  const bool has_certificate = tls != nullptr && tls->has_peer_certificate;
  if (config.client_cert == Mode::kAlwaysForward) return;
  if (config.client_cert == Mode::kSanitize || !has_certificate) {
    request.headers.remove("x-forwarded-client-cert");
    return;
  }
  if (config.client_cert == Mode::kForwardOnly) return;
  std::string element;
  for (const auto& uri : tls->local_uri_sans) element += (element.empty() ? "By=" : ";By=") + uri;
  element += (element.empty() ? "Hash=" : ";Hash=") + tls->peer_fingerprint_sha256;
  if (config.is_cert_set) element += ";Cert=\"" + percent_encode(tls->peer_certificate_pem) + "\"";
  if (config.is_cert_subject_set) element += ";Subject=\"" + tls->peer_subject + "\"";
  if (config.is_cert_uri_set) {
    for (const auto& uri : tls->peer_uri_sans) element += ";URI=" + uri;
    if (tls->peer_uri_sans.empty()) element += ";URI=";
  }
  if (config.is_cert_dns_set)
    for (const auto& dns : tls->peer_dns_sans) element += ";DNS=" + dns;
  if (config.client_cert == Mode::kAppendForward && request.headers.has("x-forwarded-client-cert"))
    element = std::string(request.headers.joined("x-forwarded-client-cert")) + "," + element;
  request.headers.set("x-forwarded-client-cert", element);
}

bool has_escaped_slash(std::string_view path) {
  for (std::size_t i = 0; i + 2 < path.size(); ++i) {
    if (path[i] != '%') continue;
    const std::string_view code = path.substr(i + 1, 2);
    if (iequals(code, "2f") || iequals(code, "5c")) return true;
  }
  return false;
}

std::optional<http::Response> fix_path(HttpState& stream, http::Request& request) {
  const HttpConfig& config = *stream.config;
  Arena& arena = stream.exchange.arena;
  if (const auto hash = request.path.find('#'); hash != std::string_view::npos) {
    if (config.is_fragment_rejected)
      return local_reply(stream, 400, "", "path_normalization_failed");
    request.path = request.path.substr(0, hash);
  }
  if (!request.path.starts_with('/')) return std::nullopt;
  const auto mark = request.path.find('?');
  std::string path(request.path.substr(0, mark));
  const std::string query(mark == std::string_view::npos ? std::string_view()
                                                         : request.path.substr(mark));
  using Escaped = HttpConfig::EscapedSlash;
  bool is_redirected = false;
  if (config.escaped_slash != Escaped::kKeep && has_escaped_slash(path)) {
    if (config.escaped_slash == Escaped::kReject)
      return local_reply(stream, 400, "", "path_normalization_failed");
    for (const auto code : {"%2f", "%2F"}) path = replace_all(path, code, "/");
    for (const auto code : {"%5c", "%5C"}) path = replace_all(path, code, "\\");
    request.path = arena.copy(path + query);
    is_redirected = config.escaped_slash == Escaped::kRedirect;
  }
  std::string result = path;
  if (config.is_path_normalized) {
    const auto normal = normalize_path(path, config.is_slash_merged);
    if (!normal) return local_reply(stream, 400, "", "path_normalization_failed");
    result = *normal;
  } else if (config.is_slash_merged) {
    while (result.find("//") != std::string::npos) result = replace_all(result, "//", "/");
  }
  if (result != path) request.path = arena.copy(result + query);
  if (!is_redirected) return std::nullopt;
  auto response = local_reply(stream, 307, "", "path_normalized_redirect");
  response.headers.add("location", request.path);
  return response;
}

}  // namespace

void strip_envoy_headers(http::Headers& headers, std::span<const std::string_view> names) {
  headers.remove_if([&](const http::Headers::Field& field) {
    if (field.name.size() < 8 || !iequals(field.name.substr(0, 8), "x-envoy-")) return false;
    for (const auto name : names)
      if (iequals(field.name, name)) return true;
    return false;
  });
}

std::optional<std::string> normalize_path(std::string_view path, bool is_merging_slashes) {
  std::string text(path);
  for (char& c : text)
    if (c == '\\') c = '/';
  // Escapes of unreserved characters are decoded first, so that "%2e%2e" cannot hide.
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      // What a path may not hold (RFC 3986 §3.3) is escaped, so that there is one spelling of it.
      if (static_cast<unsigned char>(text[i]) >= 0x80 ||
          std::string_view("\"<>^`{|}").find(text[i]) != std::string_view::npos)
        decoded += percent_encode(text.substr(i, 1));
      else decoded += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const auto code = percent_decode(text.substr(i, 3));
    if (!code.ok()) return std::nullopt;
    const char c = (*code)[0];
    if (c == '\0') return std::nullopt;  // Ends the path for some, and not for others.
    const bool is_unreserved = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' ||
                               c == '.' || c == '_' || c == '~';
    if (is_unreserved) decoded += c;
    else decoded += text.substr(i, 3);
    i += 2;
  }
  std::vector<std::string_view> kept;
  const auto parts = split(std::string_view(decoded).substr(1), '/');
  bool ends_in_slash = false;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const bool is_last = i + 1 == parts.size();
    const std::string_view part = parts[i];
    // "..;x" is a dot segment to servers that read parameters of segments.
    const std::string_view name = part.substr(0, part.find(';'));
    if (name == "." || name == "..") {
      if (name == ".." && !kept.empty()) kept.pop_back();
      ends_in_slash = is_last;
      continue;
    }
    if (part.empty() && is_last) {
      ends_in_slash = true;
      continue;
    }
    kept.push_back(part);
  }
  std::string out;
  // Slashes merge last: an empty segment is one that ".." takes away.
  for (const auto part : kept)
    if (!part.empty() || !is_merging_slashes) out += "/" + std::string(part);
  if (ends_in_slash || out.empty()) out += '/';
  return out;
}

static void strip_port(HttpState& stream, http::Request& request) {
  const auto colon = request.authority.rfind(':');
  if (colon == std::string_view::npos ||
      request.authority.find(']', colon) != std::string_view::npos)
    return;
  const auto port = parse_uint(request.authority.substr(colon + 1));
  if (!port) return;
  const net::Address& local = stream.info.connection.local;
  if (stream.config->is_any_port_stripped || (!local.is_unix() && local.port() == *port))
    request.authority = request.authority.substr(0, colon);
}

// Names with "_" look to CGI-like servers as those with "-".
static bool fix_underscores(HttpState& stream, http::Request& request) {
  const auto has_underscore = [](const http::Headers::Field& field) {
    return field.name.find('_') != std::string_view::npos;
  };
  if (std::none_of(request.headers.begin(), request.headers.end(), has_underscore)) return true;
  if (stream.config->underscore == HttpConfig::Underscore::kReject) return false;
  request.headers.remove_if(has_underscore);
  return true;
}

std::optional<http::Response> mutate_request(HttpState& stream, http::Request& request) {
  const HttpConfig& config = *stream.config;
  stream.info.original_path = {};
  if (config.underscore != HttpConfig::Underscore::kAllow && !fix_underscores(stream, request))
    return local_reply(stream, 400, "", "unexpected_underscore");
  find_client(stream, request);
  set_request_id(stream, request);
  set_client_certificate(stream, request);
  if ((config.is_any_port_stripped || config.is_own_port_stripped) && request.method != "CONNECT")
    strip_port(stream, request);
  if (config.is_trailing_dot_stripped && request.authority.ends_with('.'))
    request.authority.remove_suffix(1);
  return fix_path(stream, request);
}

}  // namespace lateen::proxy
