// envoy.filters.http.stateful_session: the client carries the address of its host, in a cookie or a
// header; requests with it go there as long as that host may be used.

#include "base/strings.h"
#include "envoy/extensions/filters/http/stateful_session/v3/stateful_session.pb.h"
#include "envoy/extensions/http/stateful_session/cookie/v3/cookie.pb.h"
#include "envoy/extensions/http/stateful_session/header/v3/header.pb.h"
#include "proxy/cluster/cluster.h"
#include "proxy/filters/filters.h"
#include "xds/any.h"
#include "xds/convert.h"

namespace lateen::proxy {
namespace {

namespace api = envoy::extensions::filters::http::stateful_session::v3;

// Where the address is kept.
struct SessionStore final : RouteFilterConfig {
  enum class Kind : unsigned char { kNone, kCookie, kHeader } kind = Kind::kNone;
  bool is_disabled = false;  // on a route
  bool is_strict = false;    // no other host when that one is gone
  std::string name;
  std::string path;  // of the cookie
  std::int64_t ttl_seconds = 0;
  std::string attributes;  // "; Secure; SameSite=Lax"
};

// The cookie's value is a small protobuf message: the address is field 1, the end of life field 2.
std::string encode_session(const std::string& address, std::uint64_t expires) {
  std::string bytes = "\n";
  bytes += static_cast<char>(address.size());
  bytes += address;
  if (expires != 0) {
    bytes += '\x10';
    for (; expires >= 0x80; expires >>= 7) bytes += static_cast<char>(expires | 0x80);
    bytes += static_cast<char>(expires);
  }
  return base64_encode(bytes);
}

std::optional<std::string> decode_session(std::string_view text, std::uint64_t now) {
  const auto bytes = base64_decode(text);
  if (!bytes.ok() || bytes->size() < 2 || (*bytes)[0] != '\n') return std::nullopt;
  const std::size_t length = static_cast<unsigned char>((*bytes)[1]);
  if (length >= 0x80 || bytes->size() < length + 2) return std::nullopt;
  std::string address = bytes->substr(2, length);
  std::string_view rest = std::string_view(*bytes).substr(length + 2);
  if (rest.empty()) return address;
  if (rest[0] != '\x10') return std::nullopt;
  std::uint64_t expires = 0;
  for (std::size_t i = 1; i < rest.size() && i < 10; ++i)
    expires |= static_cast<std::uint64_t>(rest[i] & 0x7f) << (7 * (i - 1));
  return expires != 0 && expires < now ? std::nullopt : std::optional<std::string>(address);
}

std::uint64_t unix_seconds(const HttpState& stream) {
  const auto now = stream.exchange.loop.clock().wall().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<seconds>(now).count());
}

std::optional<std::string> find_session(const SessionStore& store, const HttpState& stream,
                                        const http::Request& request) {
  if (store.kind == SessionStore::Kind::kHeader) {
    const auto value = request.headers.get(store.name);
    if (!value) return std::nullopt;
    auto address = base64_decode(*value);
    return address.ok() ? std::optional<std::string>(*address) : std::nullopt;
  }
  for (const auto& field : request.headers) {
    if (!iequals(field.name, "cookie")) continue;
    for (const auto part : split(field.value, ';')) {
      const auto pair = split_once(trim(part), "=");
      if (!pair || pair->first != store.name) continue;
      std::string_view value = pair->second;
      if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
        value = value.substr(1, value.size() - 2);
      return decode_session(value, unix_seconds(stream));
    }
  }
  return std::nullopt;
}

// RFC 6265 §5.1.4.
bool is_path_covered(std::string_view path, std::string_view cookie_path) {
  if (cookie_path.empty() || cookie_path == "/") return true;
  if (!path.starts_with(cookie_path)) return false;
  return path.size() == cookie_path.size() || cookie_path.back() == '/' ||
         path[cookie_path.size()] == '/' || path[cookie_path.size()] == '?' ||
         path[cookie_path.size()] == '#';
}

void put_session(const SessionStore& store, HttpState& stream, const std::string& address,
                 http::Headers& headers) {
  if (store.kind == SessionStore::Kind::kHeader)
    return headers.set(store.name, base64_encode(address));
  const std::uint64_t expires =
      store.ttl_seconds > 0 ? unix_seconds(stream) + static_cast<std::uint64_t>(store.ttl_seconds)
                            : 0;
  std::string cookie = store.name + "=\"" + encode_session(address, expires) + "\"";
  if (store.ttl_seconds > 0) cookie += "; Max-Age=" + std::to_string(store.ttl_seconds);
  if (!store.path.empty()) cookie += "; Path=" + store.path;
  headers.add("set-cookie", cookie + store.attributes + "; HttpOnly");
}

class StatefulSession final : public HttpFilter {
 public:
  std::string name;
  std::shared_ptr<const SessionStore> store;

  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override {
    const auto* entry = route_config_for(stream.info, name);
    const auto* of_route =
        entry == nullptr ? nullptr : dynamic_cast<const SessionStore*>(entry->config.get());
    const SessionStore& used = of_route != nullptr ? *of_route : *store;
    if (used.is_disabled || used.kind == SessionStore::Kind::kNone ||
        (used.kind == SessionStore::Kind::kCookie && !is_path_covered(request.path, used.path)))
      return next(stream, std::move(request), std::move(done));
    auto wanted = find_session(used, stream, request);
    if (wanted) {
      if (const auto address = net::Address::parse(*wanted); address.ok()) {
        stream.info.wanted_host = *address;
        stream.info.is_wanted_host_strict = used.is_strict;
      }
    }
    next(stream, std::move(request),
         [&stream, &used, wanted = std::move(wanted),
          done = std::move(done)](Result<http::Response> response) mutable {
           const UpstreamInfo& upstream = stream.info.upstream;
           if (response.ok() && upstream.host != nullptr && !stream.info.is_local_reply) {
             const std::string address = upstream.address.to_string();
             if (!wanted || *wanted != address)
               put_session(used, stream, address, response->headers);
           }
           done(std::move(response));
         });
  }
};

Result<std::shared_ptr<SessionStore>> compile(const api::StatefulSession& from) {
  auto made = std::make_shared<SessionStore>();
  made->is_strict = from.strict();
  if (!from.has_session_state()) return made;
  const auto& any = from.session_state().typed_config();
  const std::string type = xds::carried_type(any);
  if (type.ends_with("cookie.v3.CookieBasedSessionState")) {
    namespace cookie = envoy::extensions::http::stateful_session::cookie::v3;
    const auto state = TRY(xds::unpack<cookie::CookieBasedSessionState>(any));
    if (state.cookie().name().empty())
      return invalid("stateful_session: the cookie has no name", Blame::kConfig);
    made->kind = SessionStore::Kind::kCookie;
    made->name = state.cookie().name();
    made->path = state.cookie().path();
    made->ttl_seconds = state.cookie().ttl().seconds();
    for (const auto& one : state.cookie().attributes())
      made->attributes +=
          "; " + one.name() + (one.value().empty() ? std::string() : "=" + one.value());
    return made;
  }
  if (type.ends_with("header.v3.HeaderBasedSessionState")) {
    namespace header = envoy::extensions::http::stateful_session::header::v3;
    const auto state = TRY(xds::unpack<header::HeaderBasedSessionState>(any));
    if (state.name().empty())
      return invalid("stateful_session: the header has no name", Blame::kConfig);
    made->kind = SessionStore::Kind::kHeader;
    made->name = to_lower(state.name());
    return made;
  }
  return invalid(
      "stateful_session: session state '" + type + "' is not supported; cookie and header are",
      Blame::kConfig);
}

}  // namespace

Result<HttpFilterRef> make_stateful_session(const google::protobuf::Any& config,
                                            const CompileContext& context) {
  auto made = std::make_shared<StatefulSession>();
  made->name = context.filter_name;
  made->store = TRY(compile(TRY(xds::unpack<api::StatefulSession>(config))));
  return HttpFilterRef(std::move(made));
}

Result<RouteConfigRef> make_stateful_session_route(const google::protobuf::Any& config,
                                                   const CompileContext&) {
  const auto from = TRY(xds::unpack<api::StatefulSessionPerRoute>(config));
  auto made = TRY(compile(from.stateful_session()));
  made->is_disabled = from.disabled();
  return RouteConfigRef(std::move(made));
}

}  // namespace lateen::proxy
