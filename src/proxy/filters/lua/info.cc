// Read-only facts for scripts: metadata, the stream, the connection and its certificates; and the
// dynamic metadata, which scripts may write.

#include <luajit-2.1/lua.hpp>

#include "base/strings.h"
#include "proxy/filters/lua/flow.h"
#include "proxy/filters/lua/objects.h"
#include "proxy/route/route.h"

namespace lateen::proxy {
namespace {

void push_text(lua_State* state, std::string_view text) {
  lua_pushlstring(state, text.data(), text.size());
}
int text_or_nil(lua_State* state, std::string_view text) {
  if (text.empty()) lua_pushnil(state);
  else push_text(state, text);
  return 1;
}

// An object's value under argument 2, or all of it as a table for pairs().
int object_get(lua_State* state, const data::JsonObject* object) {
  std::size_t size = 0;
  const char* key = luaL_checklstring(state, 2, &size);
  const data::Json* found =
      object == nullptr ? nullptr : object->if_contains(std::string_view(key, size));
  if (found == nullptr) return 0;
  push_json(state, *found);
  return 1;
}
int object_pairs(lua_State* state, const data::JsonObject* object) {
  lua_getglobal(state, "next");
  lua_newtable(state);
  if (object != nullptr)
    for (const auto& [key, value] : *object) {
      lua_pushlstring(state, key.data(), key.size());
      push_json(state, value);
      lua_settable(state, -3);
    }
  lua_pushnil(state);
  return 3;
}

const data::JsonObject* route_metadata(LuaFlow& flow) {
  const StreamInfo& info = flow.stream().info;
  if (info.route == nullptr) return nullptr;
  for (const std::string_view name :
       {std::string_view(flow.run().filter), std::string_view("envoy.filters.http.lua")})
    if (const auto* found = info.route->metadata.if_contains(name)) return found->if_object();
  return nullptr;
}
int metadata_get(lua_State* state) {
  return object_get(state, route_metadata(flow_of(state, "metadata")));
}
int metadata_pairs(lua_State* state) {
  return object_pairs(state, route_metadata(flow_of(state, "metadata")));
}
int context_get(lua_State* state) {
  return object_get(state, flow_of(state, "context").run().context);
}
int context_pairs(lua_State* state) {
  return object_pairs(state, flow_of(state, "context").run().context);
}

int info_protocol(lua_State* state) {
  LuaFlow& flow = flow_of(state, "streamInfo");
  const auto& request = flow.stream().info.request;
  push_text(state, request ? http::to_string(request->version) : "HTTP/1.1");
  return 1;
}
int info_route(lua_State* state) {
  const StreamInfo& info = flow_of(state, "streamInfo").stream().info;
  push_text(state, info.route != nullptr ? std::string_view(info.route->name) : "");
  return 1;
}
int info_virtual_cluster(lua_State* state) {
  flow_of(state, "streamInfo");
  return 0;
}

void push_address(lua_State* state, const net::Address& address) {
  push_text(state, address.to_string());
}
int info_local(lua_State* state) {
  push_address(state, flow_of(state, "streamInfo").stream().info.connection.local);
  return 1;
}
int info_direct_local(lua_State* state) {
  push_address(state, flow_of(state, "streamInfo").stream().info.connection.direct_local);
  return 1;
}
int info_remote(lua_State* state) {
  const StreamInfo& info = flow_of(state, "streamInfo").stream().info;
  push_address(state, info.remote ? *info.remote : info.connection.remote);
  return 1;
}
int info_direct_remote(lua_State* state) {
  push_address(state, flow_of(state, "streamInfo").stream().info.connection.direct_remote);
  return 1;
}
int info_server_name(lua_State* state) {
  push_text(state, flow_of(state, "streamInfo").stream().info.connection.sni);
  return 1;
}
int info_metadata(lua_State* state) {
  push_object(state, "dynamicMetadata", flow_of(state, "streamInfo"));
  return 1;
}
int info_state(lua_State* state) {
  push_object(state, "filterState", flow_of(state, "streamInfo"));
  return 1;
}
int push_ssl(lua_State* state, LuaFlow& flow) {
  if (flow.stream().info.connection.tls == nullptr) lua_pushnil(state);
  else push_object(state, "ssl", flow);
  return 1;
}
int info_ssl(lua_State* state) { return push_ssl(state, flow_of(state, "streamInfo")); }
int connection_ssl(lua_State* state) { return push_ssl(state, flow_of(state, "connection")); }
int info_unknown(lua_State* state) {
  flow_of(state, "streamInfo");
  return 0;
}

int dynamic_get(lua_State* state) {
  return object_get(state, &flow_of(state, "dynamicMetadata").stream().info.metadata);
}
int dynamic_pairs(lua_State* state) {
  return object_pairs(state, &flow_of(state, "dynamicMetadata").stream().info.metadata);
}
void store(lua_State* state, StreamInfo& info, std::string_view filter, std::string_view key) {
  data::ensure_object(info.metadata[filter], {})[key] = read_json(state, 4);
}
int dynamic_set(lua_State* state) {
  LuaFlow& flow = flow_of(state, "dynamicMetadata");
  std::size_t filter_size = 0, key_size = 0;
  const char* filter = luaL_checklstring(state, 2, &filter_size);
  const char* key = luaL_checklstring(state, 3, &key_size);
  luaL_checkany(state, 4);
  store(state, flow.stream().info, {filter, filter_size}, {key, key_size});
  return 0;
}

int state_get(lua_State* state) {
  const StreamInfo& info = flow_of(state, "filterState").stream().info;
  std::size_t size = 0;
  const char* key = luaL_checklstring(state, 2, &size);
  const auto found = info.state.find(std::string_view(key, size));
  if (found == info.state.end()) return 0;
  push_text(state, found->second);
  return 1;
}

const net::TlsInfo& tls_of(lua_State* state) {
  return *flow_of(state, "ssl").stream().info.connection.tls;
}
int push_list(lua_State* state, const std::vector<std::string>& values) {
  lua_newtable(state);
  int at = 0;
  for (const auto& value : values) {
    push_text(state, value);
    lua_rawseti(state, -2, ++at);
  }
  return 1;
}
int ssl_presented(lua_State* state) {
  lua_pushboolean(state, tls_of(state).has_peer_certificate ? 1 : 0);
  return 1;
}
int ssl_peer_uris(lua_State* state) { return push_list(state, tls_of(state).peer_uri_sans); }
int ssl_local_uris(lua_State* state) { return push_list(state, tls_of(state).local_uri_sans); }
int ssl_peer_dns(lua_State* state) { return push_list(state, tls_of(state).peer_dns_sans); }
int ssl_digest(lua_State* state) {
  return text_or_nil(state, tls_of(state).peer_fingerprint_sha256);
}
int ssl_subject(lua_State* state) { return text_or_nil(state, tls_of(state).peer_subject); }
int ssl_version(lua_State* state) { return text_or_nil(state, tls_of(state).version); }
int ssl_cipher(lua_State* state) { return text_or_nil(state, tls_of(state).cipher); }
int ssl_pem(lua_State* state) {
  const std::string text = percent_encode(tls_of(state).peer_certificate_pem);
  return text_or_nil(state, text);
}
int ssl_none(lua_State* state) {
  tls_of(state);
  lua_pushnil(state);
  return 1;
}

constexpr luaL_Reg kMetadata[] = {
    {"get", metadata_get}, {"__pairs", metadata_pairs}, {nullptr, nullptr}};
constexpr luaL_Reg kContext[] = {
    {"get", context_get}, {"__pairs", context_pairs}, {nullptr, nullptr}};
constexpr luaL_Reg kInfo[] = {{"protocol", info_protocol},
                              {"routeName", info_route},
                              {"virtualClusterName", info_virtual_cluster},
                              {"downstreamLocalAddress", info_local},
                              {"downstreamDirectLocalAddress", info_direct_local},
                              {"downstreamRemoteAddress", info_remote},
                              {"downstreamDirectRemoteAddress", info_direct_remote},
                              {"requestedServerName", info_server_name},
                              {"dynamicMetadata", info_metadata},
                              {"dynamicTypedMetadata", info_unknown},
                              {"filterState", info_state},
                              {"downstreamSslConnection", info_ssl},
                              {nullptr, nullptr}};
constexpr luaL_Reg kConnection[] = {{"ssl", connection_ssl}, {nullptr, nullptr}};
constexpr luaL_Reg kDynamic[] = {
    {"get", dynamic_get}, {"set", dynamic_set}, {"__pairs", dynamic_pairs}, {nullptr, nullptr}};
constexpr luaL_Reg kState[] = {{"get", state_get}, {nullptr, nullptr}};
constexpr luaL_Reg kSsl[] = {{"peerCertificatePresented", ssl_presented},
                             {"peerCertificateValidated", ssl_presented},
                             {"uriSanPeerCertificate", ssl_peer_uris},
                             {"uriSanLocalCertificate", ssl_local_uris},
                             {"dnsSansPeerCertificate", ssl_peer_dns},
                             {"sha256PeerCertificateDigest", ssl_digest},
                             {"subjectPeerCertificate", ssl_subject},
                             {"tlsVersion", ssl_version},
                             {"ciphersuiteString", ssl_cipher},
                             {"urlEncodedPemEncodedPeerCertificate", ssl_pem},
                             {"dnsSansLocalCertificate", ssl_none},
                             {"serialNumberPeerCertificate", ssl_none},
                             {"issuerPeerCertificate", ssl_none},
                             {"subjectLocalCertificate", ssl_none},
                             {"validFromPeerCertificate", ssl_none},
                             {"expirationPeerCertificate", ssl_none},
                             {"sessionId", ssl_none},
                             {nullptr, nullptr}};

}  // namespace

void register_info(lua_State* state) {
  register_type(state, "metadata", kMetadata);
  register_type(state, "context", kContext);
  register_type(state, "streamInfo", kInfo);
  register_type(state, "connection", kConnection);
  register_type(state, "dynamicMetadata", kDynamic);
  register_type(state, "filterState", kState);
  register_type(state, "ssl", kSsl);
}

}  // namespace lateen::proxy
