// What the service is asked: an HTTP request like the client's, or a CheckRequest.

#include "base/strings.h"
#include "envoy/service/auth/v3/external_auth.pb.h"
#include "proxy/filters/ext_authz/settings.h"
#include "xds/json.h"

namespace lateen::proxy {
namespace {

namespace auth = envoy::service::auth::v3;

void write_address(const net::Address& from, auth::AttributeContext::Peer& out) {
  if (from.is_unix()) {
    out.mutable_address()->mutable_pipe()->set_path(from.path());
    return;
  }
  auto& socket = *out.mutable_address()->mutable_socket_address();
  socket.set_address(from.ip().to_string());
  socket.set_port_value(from.port());
}

void write_peers(const AuthzSettings& settings, const StreamInfo& info,
                 auth::AttributeContext& out) {
  write_address(info.remote ? *info.remote : info.connection.remote, *out.mutable_source());
  write_address(info.connection.local, *out.mutable_destination());
  const net::TlsInfo* tls = info.connection.tls;
  if (tls == nullptr) return;
  auto& source = *out.mutable_source();
  if (!tls->peer_uri_sans.empty()) source.set_principal(tls->peer_uri_sans.front());
  else if (!tls->peer_dns_sans.empty()) source.set_principal(tls->peer_dns_sans.front());
  else source.set_principal(tls->peer_subject);
  if (!tls->local_uri_sans.empty())
    out.mutable_destination()->set_principal(tls->local_uri_sans.front());
  if (settings.is_peer_certificate_sent)
    source.set_certificate(percent_encode(tls->peer_certificate_pem));
  if (settings.is_tls_session_sent) out.mutable_tls_session()->set_sni(info.connection.sni);
}

void write_headers(const AuthzSettings& settings, const http::Request& request,
                   auth::AttributeContext::HttpRequest& out) {
  if (settings.are_headers_raw)
    return write_request(request, settings.forward, *out.mutable_header_map());
  auto& headers = *out.mutable_headers();
  const auto put = [&](std::string name, std::string_view value) {
    if (!settings.forward.shows(name)) return;
    std::string& slot = headers[name];
    slot = slot.empty() ? std::string(value) : slot + "," + std::string(value);
  };
  put(":method", request.method);
  put(":path", request.path);
  put(":authority", request.authority);
  put(":scheme", request.scheme);
  for (const auto& field : request.headers) put(to_lower(field.name), field.value);
}

void write_metadata(const data::JsonObject& from, const std::vector<std::string>& names,
                    envoy::config::core::v3::Metadata& out) {
  for (const auto& name : names)
    if (const auto* found = from.if_contains(name); found != nullptr && found->if_object())
      (*out.mutable_filter_metadata())[name] = xds::json_to_struct(*found->if_object());
}

}  // namespace

SideRequest http_question(const AuthzService& service, const AuthzSettings& settings,
                          const http::Request& request, std::string body) {
  SideRequest made;
  made.method = request.method;
  made.scheme = request.scheme;
  made.authority = request.authority;
  made.path = service.path_prefix + std::string(request.path);
  made.timeout = service.timeout;
  for (const auto& field : request.headers) {
    const std::string name = to_lower(field.name);
    const bool is_sent = name == "authorization" || matches_any(service.sent, name) ||
                         (!settings.forward.allowed.empty() && settings.forward.shows(name));
    if (is_sent && name != "content-length" && !matches_any(settings.forward.denied, name))
      made.headers.emplace_back(name, field.value);
  }
  for (const auto& [name, value] : service.added) {
    const std::string& added = name;  // clang 14 captures no structured bindings
    std::erase_if(made.headers, [&](const auto& one) { return one.first == added; });
    made.headers.emplace_back(name, value);
  }
  made.headers.emplace_back("content-length", std::to_string(body.size()));
  made.body = std::move(body);
  return made;
}

void grpc_question(const AuthzSettings& settings, const AuthzRoute* route, HttpState& stream,
                   const http::Request& request, const std::string& body, bool is_body_raw,
                   auth::CheckRequest& out) {
  const StreamInfo& info = stream.info;
  auto& attributes = *out.mutable_attributes();
  write_peers(settings, info, attributes);
  const auto since = std::chrono::duration_cast<nanoseconds>(info.started_wall.time_since_epoch());
  auto& time = *attributes.mutable_request()->mutable_time();
  time.set_seconds(since.count() / 1'000'000'000);
  time.set_nanos(static_cast<std::int32_t>(since.count() % 1'000'000'000));
  auto& http = *attributes.mutable_request()->mutable_http();
  http.set_id(std::to_string(info.connection.id));
  http.set_method(std::string(request.method));
  http.set_path(std::string(request.path));
  http.set_host(std::string(request.authority));
  http.set_scheme(std::string(request.scheme));
  http.set_protocol(std::string(http::to_string(request.version)));
  http.set_size(request.body.length() ? static_cast<std::int64_t>(*request.body.length()) : -1);
  write_headers(settings, request, http);
  if (is_body_raw) http.set_raw_body(body);
  else http.set_body(body);
  if (route != nullptr)
    for (const auto& [key, value] : route->extensions)
      (*attributes.mutable_context_extensions())[key] = value;
  write_metadata(info.metadata, settings.metadata_namespaces,
                 *attributes.mutable_metadata_context());
  if (info.route != nullptr)
    write_metadata(info.route->metadata, settings.route_namespaces,
                   *attributes.mutable_route_metadata_context());
}

}  // namespace lateen::proxy
