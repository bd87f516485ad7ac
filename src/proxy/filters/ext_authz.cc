// External authorization over HTTP or gRPC (envoy.service.auth.v3): the service says yes, with
// headers for the upstream, or no, with its own answer for the client.

#include "envoy/extensions/filters/http/ext_authz/v3/ext_authz.pb.h"
#include "envoy/service/auth/v3/external_auth.pb.h"
#include "grpc/client.h"
#include "proxy/filters/filters.h"
#include "proxy/filters/rbac/metadata_matcher.h"
#include "proxy/http/config.h"
#include "proxy/worker/worker.h"
#include "xds/any.h"
#include "xds/convert.h"
#include "xds/json.h"

namespace lateen::proxy {
namespace {

namespace api = envoy::extensions::filters::http::ext_authz::v3;
namespace auth = envoy::service::auth::v3;

struct RouteSettings final : RouteFilterConfig {
  bool is_disabled = false;
  std::map<std::string, std::string> extensions;
};

bool matches_any(const std::vector<StringMatcher>& matchers, std::string_view name) {
  for (const auto& matcher : matchers)
    if (matcher.matches(name)) return true;
  return false;
}

class ExtAuthz final : public HttpFilter {
 public:
  std::string cluster, authority, path_prefix;
  bool is_grpc = false;
  milliseconds timeout{200};
  bool is_failure_allowed = false;
  int error_status = 403;
  std::size_t most_body = 0;  // 0: the body is not sent
  std::vector<StringMatcher> sent_headers, upstream_headers, client_headers;
  std::vector<std::pair<std::string, std::string>> added_headers;
  bool is_peer_certificate_sent = false;
  std::optional<MetadataMatcher> enabled;

  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override;

 private:
  struct Pending {
    http::Request request;
    Next next;
    http::Done done;
    std::string body;
  };
  using PendingRef = std::shared_ptr<Pending>;
  void ask(HttpState& stream, PendingRef pending) const;
  void ask_http(HttpState& stream, Upstream& upstream, const HostRef& host, const PoolKey& key,
                PendingRef pending) const;
  void ask_grpc(HttpState& stream, Upstream& upstream, const HostRef& host, const PoolKey& key,
                PendingRef pending) const;
  auth::CheckRequest check_request(HttpState& stream, const Pending& pending) const;
  void on_http_answer(HttpState& stream, const PendingRef& pending, http::Response response) const;
  void on_grpc_answer(HttpState& stream, const PendingRef& pending,
                      const auth::CheckResponse& answer) const;
  void fail(HttpState& stream, const PendingRef& pending, std::string_view why) const;
};

void ExtAuthz::handle(HttpState& stream, http::Request request, Next next, http::Done done) const {
  const auto* entry = route_config_for(stream.info, "envoy.filters.http.ext_authz");
  const auto* route =
      entry == nullptr ? nullptr : dynamic_cast<const RouteSettings*>(entry->config.get());
  const bool is_off = (route != nullptr && route->is_disabled) ||
                      (enabled && !enabled->matches(stream.info.metadata));
  if (is_off) return next(stream, std::move(request), std::move(done));
  auto pending = std::make_shared<Pending>(Pending{std::move(request), next, std::move(done), {}});
  if (most_body == 0 || pending->request.body.empty()) return ask(stream, std::move(pending));
  http::Body body = std::move(pending->request.body);
  http::read_all(stream.exchange.scope, stream.exchange.loop, std::move(body), most_body,
                 [this, &stream, pending](Result<Buffer> whole) mutable {
                   if (!whole.ok())
                     return pending->done(local_reply(stream, 413, "Payload Too Large",
                                                      "request_payload_too_large"));
                   pending->body = whole->to_string();
                   pending->request.body = http::Body::of(pending->body);
                   ask(stream, std::move(pending));
                 });
}

void ExtAuthz::fail(HttpState& stream, const PendingRef& pending, std::string_view why) const {
  if (is_failure_allowed)
    return pending->next(stream, std::move(pending->request), std::move(pending->done));
  pending->done(local_reply(stream, error_status, "", "ext_authz_error{" + std::string(why) + "}",
                            Flag::kUnauthorizedExternal));
}

void ExtAuthz::ask(HttpState& stream, PendingRef pending) const {
  const UpstreamRef upstream = stream.info.worker.find_cluster(cluster);
  const HostRef host = upstream == nullptr ? nullptr : upstream->pick({});
  if (host == nullptr) return fail(stream, pending, "no_host");
  PoolKey key;
  key.address = host->address;
  key.transport_socket = host->transport_socket;
  if (is_grpc || upstream->config().http == ClusterConfig::Http::kHttp2)
    key.protocol = http::ClientOptions::Protocol::kHttp2;
  if (is_grpc) ask_grpc(stream, *upstream, host, key, std::move(pending));
  else ask_http(stream, *upstream, host, key, std::move(pending));
}

void ExtAuthz::ask_http(HttpState& stream, Upstream& upstream, const HostRef& host,
                        const PoolKey& key, PendingRef pending) const {
  const http::Request& from = pending->request;
  http::Request check(stream.exchange.arena);
  check.method = from.method;
  check.scheme = from.scheme;
  check.authority = from.authority;
  check.path = stream.exchange.arena.concat(path_prefix, from.path);
  for (const auto& field : from.headers) {
    const bool is_default = iequals(field.name, "authorization");
    if (is_default || matches_any(sent_headers, to_lower(field.name)))
      check.headers.add(field.name, field.value);
  }
  for (const auto& [name, value] : added_headers) check.headers.set(name, value);
  if (!pending->body.empty()) check.body = http::Body::of(pending->body);
  auto answered = std::make_shared<bool>(false);
  auto scope = std::make_shared<event::Scope>();
  upstream.pool(host, key).call(*scope, stream.exchange, std::move(check),
                                [this, &stream, pending, answered](http::CallResult result) {
                                  if (std::exchange(*answered, true)) return;
                                  if (!result.response) return fail(stream, pending, "connection");
                                  on_http_answer(stream, pending, *std::move(result.response));
                                });
  // The scope lives until the limit, or until the exchange ends: its timer holds it.
  event::after(stream.exchange.scope, stream.exchange.loop, timeout,
               [this, &stream, pending, answered, scope] {
                 if (std::exchange(*answered, true)) return;
                 scope->cancel_all();
                 fail(stream, pending, "timeout");
               });
}

void ExtAuthz::on_http_answer(HttpState& stream, const PendingRef& pending,
                              http::Response response) const {
  if (response.status == 200) {
    for (const auto& field : response.headers)
      if (matches_any(upstream_headers, to_lower(field.name)))
        pending->request.headers.set(field.name, field.value);
    return pending->next(stream, std::move(pending->request), std::move(pending->done));
  }
  if (response.status >= 500) return fail(stream, pending, "status");
  constexpr std::size_t kMostAnswer = 1u << 20;
  auto held = std::make_shared<http::Response>(std::move(response));
  http::Body body = std::move(held->body);
  http::read_all(
      stream.exchange.scope, stream.exchange.loop, std::move(body), kMostAnswer,
      [this, &stream, pending, held](Result<Buffer> whole) {
        auto reply = local_reply(stream, held->status, whole.ok() ? whole->to_string() : "",
                                 "ext_authz_denied", Flag::kUnauthorizedExternal);
        for (const auto& field : held->headers) {
          const std::string name = to_lower(field.name);
          const bool is_kept = client_headers.empty()
                                   ? name != "content-length" && name != "date" && name != "server"
                                   : matches_any(client_headers, name);
          if (is_kept && name != "content-length") reply.headers.set(field.name, field.value);
        }
        pending->done(std::move(reply));
      });
}

auth::CheckRequest ExtAuthz::check_request(HttpState& stream, const Pending& pending) const {
  const StreamInfo& info = stream.info;
  const http::Request& from = pending.request;
  auth::CheckRequest check;
  auto& attributes = *check.mutable_attributes();
  const auto address = [](const net::Address& at, auto* peer) {
    auto& socket = *peer->mutable_address()->mutable_socket_address();
    socket.set_address(at.ip().to_string());
    socket.set_port_value(at.port());
  };
  address(info.remote ? *info.remote : info.connection.remote, attributes.mutable_source());
  address(info.connection.local, attributes.mutable_destination());
  if (const net::TlsInfo* tls = info.connection.tls) {
    if (!tls->peer_uri_sans.empty())
      attributes.mutable_source()->set_principal(tls->peer_uri_sans.front());
    if (!tls->local_uri_sans.empty())
      attributes.mutable_destination()->set_principal(tls->local_uri_sans.front());
    if (is_peer_certificate_sent)
      attributes.mutable_source()->set_certificate(percent_encode(tls->peer_certificate_pem));
  }
  auto& http = *attributes.mutable_request()->mutable_http();
  http.set_id(std::to_string(info.connection.id));
  http.set_method(std::string(from.method));
  http.set_path(std::string(from.path));
  http.set_host(std::string(from.authority));
  http.set_scheme(std::string(from.scheme));
  http.set_protocol(std::string(http::to_string(from.version)));
  http.set_size(from.body.length() ? static_cast<std::int64_t>(*from.body.length()) : -1);
  auto& headers = *http.mutable_headers();
  headers[":method"] = http.method();
  headers[":path"] = http.path();
  headers[":authority"] = http.host();
  headers[":scheme"] = http.scheme();
  for (const auto& field : from.headers) {
    std::string& value = headers[to_lower(field.name)];
    value = value.empty() ? std::string(field.value) : value + "," + std::string(field.value);
  }
  http.set_body(pending.body);
  return check;
}

void ExtAuthz::ask_grpc(HttpState& stream, Upstream& upstream, const HostRef& host,
                        const PoolKey& key, PendingRef pending) const {
  grpc::unary(stream.exchange.scope, stream.exchange.loop, upstream.pool(host, key),
              authority.empty() ? cluster : authority, "/envoy.service.auth.v3.Authorization/Check",
              {}, check_request(stream, *pending).SerializeAsString(), timeout,
              [this, &stream, pending](Result<std::string> bytes) {
                auth::CheckResponse answer;
                if (!bytes.ok() || !answer.ParseFromString(*bytes))
                  return fail(stream, pending, "grpc");
                on_grpc_answer(stream, pending, answer);
              });
}

void ExtAuthz::on_grpc_answer(HttpState& stream, const PendingRef& pending,
                              const auth::CheckResponse& answer) const {
  if (answer.has_dynamic_metadata())
    stream.info.metadata["envoy.filters.http.ext_authz"] =
        xds::struct_to_json(answer.dynamic_metadata());
  if (answer.status().code() == 0) {
    for (const auto& option : answer.ok_response().headers()) {
      const std::string& value =
          option.header().value().empty() ? option.header().raw_value() : option.header().value();
      if (option.append().value())
        pending->request.headers.add(to_lower(option.header().key()), value);
      else pending->request.headers.set(to_lower(option.header().key()), value);
    }
    for (const auto& name : answer.ok_response().headers_to_remove())
      if (!name.starts_with(':') && !iequals(name, "host")) pending->request.headers.remove(name);
    return pending->next(stream, std::move(pending->request), std::move(pending->done));
  }
  const auto& denied = answer.denied_response();
  const int status =
      denied.has_status() && denied.status().code() > 0 ? denied.status().code() : 403;
  auto reply =
      local_reply(stream, status, denied.body(), "ext_authz_denied", Flag::kUnauthorizedExternal);
  for (const auto& option : denied.headers())
    reply.headers.set(to_lower(option.header().key()), option.header().value());
  pending->done(std::move(reply));
}

Result<std::vector<StringMatcher>> matchers_of(
    const envoy::type::matcher::v3::ListStringMatcher& config) {
  return compile_list(config);
}

}  // namespace

Result<HttpFilterRef> make_ext_authz(const google::protobuf::Any& config, const CompileContext&) {
  const auto from = TRY(xds::unpack<api::ExtAuthz>(config));
  auto made = std::make_shared<ExtAuthz>();
  made->is_failure_allowed = from.failure_mode_allow();
  if (from.has_status_on_error() && from.status_on_error().code() > 0)
    made->error_status = from.status_on_error().code();
  made->is_peer_certificate_sent = from.include_peer_certificate();
  if (from.has_with_request_body()) {
    made->most_body = from.with_request_body().max_request_bytes();
  }
  if (from.has_filter_enabled_metadata())
    made->enabled = TRY(MetadataMatcher::compile(from.filter_enabled_metadata()));
  if (from.has_allowed_headers()) made->sent_headers = TRY(matchers_of(from.allowed_headers()));
  if (from.has_http_service()) {
    const auto& service = from.http_service();
    made->cluster = service.server_uri().cluster();
    made->timeout = xds::to_millis(service.server_uri().timeout());
    made->path_prefix = service.path_prefix();
    for (auto& one : TRY(matchers_of(service.authorization_request().allowed_headers())))
      made->sent_headers.push_back(std::move(one));
    for (const auto& header : service.authorization_request().headers_to_add())
      made->added_headers.emplace_back(to_lower(header.key()), header.value());
    made->upstream_headers =
        TRY(matchers_of(service.authorization_response().allowed_upstream_headers()));
    made->client_headers =
        TRY(matchers_of(service.authorization_response().allowed_client_headers()));
  } else if (from.has_grpc_service()) {
    made->is_grpc = true;
    made->cluster = from.grpc_service().envoy_grpc().cluster_name();
    made->authority = from.grpc_service().envoy_grpc().authority();
    if (from.grpc_service().has_timeout())
      made->timeout = xds::to_millis(from.grpc_service().timeout());
  } else {
    return invalid("ext_authz: no service to ask", Blame::kConfig);
  }
  if (made->timeout.count() == 0) made->timeout = milliseconds(200);
  return HttpFilterRef(std::move(made));
}

Result<RouteConfigRef> make_ext_authz_route(const google::protobuf::Any& config,
                                            const CompileContext&) {
  const auto from = TRY(xds::unpack<api::ExtAuthzPerRoute>(config));
  auto made = std::make_shared<RouteSettings>();
  made->is_disabled = from.disabled();
  return RouteConfigRef(std::move(made));
}

}  // namespace lateen::proxy
