#include "exchange_config.h"

namespace lateen::fuzz {
namespace {

const std::string kFilters = "type.googleapis.com/envoy.extensions.filters.";

std::string typed(const std::string& name, const std::string& type, const std::string& more = "") {
  return R"({"name": ")" + name + R"(", "typed_config": {"@type": ")" + kFilters + type + "\"" +
         (more.empty() ? "" : ", " + more) + "}}";
}

std::string http(const std::string& name, const std::string& type, const std::string& more = "") {
  return typed(name, "http." + name + ".v3." + type, more);
}

std::string grpc(const std::string& timeout = "1s") {
  return R"("grpc_service": {"envoy_grpc": {"cluster_name": "grpc"}, "timeout": ")" + timeout +
         R"("})";
}

constexpr const char* kRoutes = R"J([
  {"match": {"path_separated_prefix": "/admin"}, "direct_response": {"status": 403}},
  {"match": {"prefix": "/redirect"}, "redirect": {"host_redirect": "x.test", "path_redirect": "/y"}},
  {"match": {"prefix": "/rewrite"}, "route": {"cluster": "app", "prefix_rewrite": "/", "timeout": "3s"}},
  {"match": {"safe_regex": {"regex": "/re/(\\d+)/.*"}}, "route": {"cluster": "app",
    "regex_rewrite": {"pattern": {"regex": "/re/(\\d+)"
}
, "substitution" : "/\\1"
}
}
},
  {"match": {"path_match_policy": {"name": "t", "typed_config": {
     "@type": "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
     "path_template": "/t/{a}/**"}}}, "route": {"cluster": "app"}},
  {"match": {"prefix": "/h2"}, "route": {"cluster": "h2", "timeout": "3s", "max_stream_duration": {"grpc_timeout_header_max": "2s"}}},
  {"match": {"prefix": "/retry"}, "route": {"cluster": "app", "timeout": "5s", "retry_policy": {
     "retry_on": "5xx,reset,connect-failure", "num_retries": 2, "per_try_timeout": "1s"}}},
  {"match": {"prefix": "/mirror"}, "route": {"cluster": "app", "request_mirror_policies": [{"cluster": "h2"}]}},
  {"match": {"prefix": "/refused"}, "route": {"cluster": "refused"}},
  {"match": {"prefix": "/ws"}, "route": {"cluster": "app", "upgrade_configs": [{"upgrade_type": "websocket"}]}},
  {"match": {"connect_matcher": {}}, "route": {"cluster": "app", "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]}},
  {"match": {"prefix": "/hash"}, "route": {"cluster": "ring", "hash_policy": [{"header": {"header_name": "x-hash"}}, {"cookie": {"name": "c", "ttl": "5s"}},
     {"query_parameter": {"name": "q"}}]}},
  {"match": {"prefix": "/", "headers": [{"name": "x-pick", "string_match": {"safe_regex": {"regex": "a+b"}}}],
     "query_parameters": [{"name": "k", "string_match": {"prefix": "v"}}]}, "route": {"cluster": "app", "host_rewrite_header": "x-host"}},
  {"match": {"prefix": "/"}, "route": {"cluster": "app", "timeout": "3s"},
   "request_headers_to_add": [{"header": {"key": "x-seen", "value": "%DOWNSTREAM_REMOTE_ADDRESS% %REQ(:path)% %PROTOCOL% %REQ(x-a?x-b):5%"}}],
   "response_headers_to_add": [{"header": {"key": "x-flags", "value": "%RESPONSE_FLAGS% %RESP(content-type)% %RESPONSE_CODE_DETAILS%"}}]}])J";

std::string manager(const std::string& filters, const std::string& more) {
  return typed(
      "http", "network.http_connection_manager.v3.HttpConnectionManager",
      R"("stat_prefix": "x", "stream_idle_timeout": "10s", "request_headers_timeout": "5s", )" +
          more +
          R"("access_log": [{"name": "f", "typed_config": {
      "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": "/dev/null", "log_format": {
      "text_format_source": {"inline_string": "%START_TIME% %REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL% %RESPONSE_CODE% %TRAILER(x)% %DYNAMIC_METADATA(a:b)% %BYTES_RECEIVED% %UPSTREAM_HOST% %REQ(X-FORWARDED-FOR)% %RESPONSE_CODE_DETAILS%\n"}}}}],
      "route_config": {"name": "r", "virtual_hosts": [
        {"name": "private", "domains": ["private.test", "*.private.test"], "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 418}}]},
        {"name": "all", "domains": ["*"], "routes": )" +
          kRoutes + R"(}]}, "http_filters": [)" + filters + (filters.empty() ? "" : ", ") +
          http("router", "Router") + "]");
}

std::string listener(const std::string& name, const std::string& network,
                     const std::string& listener_filters = "") {
  static int port = 7000;
  return R"({"name": ")" + name +
         R"(", "address": {"socket_address": {"address": "127.0.0.1", "port_value": )" +
         std::to_string(++port) + R"(}}, "listener_filters": [)" + listener_filters +
         R"(], "filter_chains": [{"filters": [)" + network + "]}]}";
}

std::string cluster(const std::string& name, int port, const std::string& more = "") {
  return R"({"name": ")" + name + R"(", "type": "STATIC", "connect_timeout": "1s", )" + more +
         R"("load_assignment": {"cluster_name": ")" + name + R"(", "endpoints": [{"lb_endpoints": [
        {"endpoint": {"address": {"socket_address": {"address": "10.0.0.9", "port_value": )" +
         std::to_string(port) + "}}}}]}]}}";
}

std::string edge_filters() {
  return http("cors", "Cors") + ", " +
         typed("csrf", "http.csrf.v3.CsrfPolicy",
               R"("filter_enabled": {"default_value": {"numerator": 100}})") +
         ", " +
         typed(
             "fault", "http.fault.v3.HTTPFault",
             R"("abort": {"header_abort": {}, "percentage": {"numerator": 100}}, "delay": {"header_delay": {}, "percentage": {"numerator": 100}})") +
         ", " +
         typed(
             "rbac", "http.rbac.v3.RBAC",
             R"("rules": {"action": "DENY", "policies": {"p": {"permissions": [{"url_path": {"path": {"prefix": "/secret"}}},
               {"header": {"name": "x-deny", "string_match": {"contains": "yes", "ignore_case": true}}}], "principals": [{"any": true}]}}})") +
         ", " +
         typed(
             "header_to_metadata", "http.header_to_metadata.v3.Config",
             R"("request_rules": [{"header": "x-a", "on_header_present": {"metadata_namespace": "a", "key": "b", "type": "NUMBER"}, "remove": true},
               {"cookie": "c", "on_header_present": {"metadata_namespace": "a", "key": "c"}}])") +
         ", " +
         typed(
             "header_mutation", "http.header_mutation.v3.HeaderMutation",
             R"("mutations": {"request_mutations": [{"append": {"header": {"key": "x-m", "value": "%REQ(x-b)%"}}}], "response_mutations": [{"remove": "x-drop"}]})") +
         ", " +
         typed(
             "local_ratelimit", "http.local_ratelimit.v3.LocalRateLimit",
             R"("stat_prefix": "l", "token_bucket": {"max_tokens": 1000, "tokens_per_fill": 1000, "fill_interval": "1s"}, "filter_enabled": {"default_value": {"numerator": 100}},
               "filter_enforced": {"default_value": {"numerator": 100}})") +
         ", " + typed("grpc_web", "http.grpc_web.v3.GrpcWeb") + ", " +
         typed("buffer", "http.buffer.v3.Buffer", R"("max_request_bytes": 10000)");
}

// A token's key that nobody has the private half of: signatures are read and refused.
constexpr const char* kJwt =
    R"("providers": {"p": {"issuer": "i", "audiences": ["a"], "forward": true, "payload_in_metadata": "m",
  "from_headers": [{"name": "x-jwt", "value_prefix": "Bearer "}, {"name": "authorization", "value_prefix": "Bearer "}], "from_params": ["jwt"], "from_cookies": ["jwt"],
  "local_jwks": {"inline_string": "{\"keys\":[{\"kty\":\"EC\",\"kid\":\"k\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}"}}},
  "rules": [{"match": {"prefix": "/"}, "requires": {"requires_any": {"requirements": [{"provider_name": "p"}, {"allow_missing_or_failed": {}}]}}}])";

constexpr const char* kLua =
    R"("default_source_code": {"inline_string": "function envoy_on_request(h)\n local m = h:headers():get('x-lua')\n if m then h:headers():add('x-lua-seen', m) end\n if h:headers():get(':path') == '/lua-body' then local b = h:body() if b then h:headers():replace('x-body', tostring(b:length())) end end\n if m == 'respond' then h:respond({[':status'] = '403'}, 'no') end\nend\nfunction envoy_on_response(h)\n h:headers():add('x-lua-done', h:headers():get('x-answer') or 'none')\nend"})";

std::string compressors() {
  const std::string library =
      R"("compressor_library": {"name": "g", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip"}})";
  const std::string gunzip =
      R"("decompressor_library": {"name": "g", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.compression.gzip.decompressor.v3.Gzip"}})";
  const std::string brotli =
      R"("decompressor_library": {"name": "b", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.compression.brotli.decompressor.v3.Brotli"}})";
  return typed("compressor", "http.compressor.v3.Compressor", library) + ", " +
         typed("gunzip", "http.decompressor.v3.Decompressor", gunzip) + ", " +
         typed("unbrotli", "http.decompressor.v3.Decompressor", brotli);
}

std::string side_calls() {
  return typed(
             "ext_authz", "http.ext_authz.v3.ExtAuthz",
             grpc() +
                 R"(, "failure_mode_allow": true, "with_request_body": {"max_request_bytes": 100, "allow_partial_message": true})") +
         ", " +
         typed(
             "ext_proc", "http.ext_proc.v3.ExternalProcessor",
             grpc() +
                 R"(, "failure_mode_allow": true, "processing_mode": {"request_body_mode": "STREAMED", "response_body_mode": "BUFFERED"})") +
         ", " +
         typed("ratelimit", "http.ratelimit.v3.RateLimit",
               R"("domain": "d", "rate_limit_service": {"transport_api_version": "V3", )" + grpc() +
                   "}");
}

}  // namespace

std::string exchange_config() {
  const std::string h2 =
      R"("typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": {"http2_protocol_options": {}}}}, )";
  const std::string tcp = typed("tcp", "network.tcp_proxy.v3.TcpProxy",
                                R"("stat_prefix": "t", "cluster": "app", "idle_timeout": "5s")");
  const std::string tunnel = typed(
      "tcp", "network.tcp_proxy.v3.TcpProxy",
      R"("stat_prefix": "t", "cluster": "h2", "idle_timeout": "5s", "tunneling_config": {"hostname": "h.test:1"})");
  const std::string tls_inspector = typed("tls", "listener.tls_inspector.v3.TlsInspector");
  const std::string http_inspector = typed("http", "listener.http_inspector.v3.HttpInspector");
  const std::string proxy_protocol = typed("pp", "listener.proxy_protocol.v3.ProxyProtocol");
  const std::string websocket =
      R"("upgrade_configs": [{"upgrade_type": "websocket"}], "http2_protocol_options": {"allow_connect": true}, )";
  const std::string edge =
      R"("use_remote_address": true, "normalize_path": true, "merge_slashes": true, "path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT",
    "strip_any_host_port": true, "http_protocol_options": {"accept_http_10": true}, )";
  const std::string listeners[] = {
      listener("plain", manager("", websocket)),
      listener("edge", manager(edge_filters(), edge)),
      listener("jwt", manager(typed("jwt", "http.jwt_authn.v3.JwtAuthentication", kJwt), "")),
      listener("lua", manager(typed("lua", "http.lua.v3.Lua", kLua), "")),
      listener("compress", manager(compressors(), "")),
      listener("side", manager(side_calls(), "")),
      listener("tcp", tcp),
      listener("tunnel", tunnel),
      listener("inspected", manager("", ""),
               proxy_protocol + ", " + tls_inspector + ", " + http_inspector),
      listener(
          "exchange",
          R"({"name": "mx", "typed_config": {"@type": "type.googleapis.com/envoy.tcp.metadataexchange.config.MetadataExchange", "protocol": "istio-peer-exchange"}}, )" +
              tcp),
      listener("bridge", manager(typed("bridge", "http.grpc_http1_bridge.v3.Config") + ", " +
                                     typed("grpc_stats", "http.grpc_stats.v3.FilterConfig"),
                                 "")),
  };
  std::string all;
  for (const auto& each : listeners) all += (all.empty() ? "" : ", ") + each;
  return R"({"node": {"id": "sidecar~127.0.0.1~a.default~default.svc.cluster.local", "cluster": "a"}, "static_resources": {"listeners": [)" +
         all + R"(], "clusters": [)" + cluster("app", 80) + ", " + cluster("h2", 81, h2) + ", " +
         cluster("grpc", 82, h2) + ", " + cluster("refused", 9) + ", " +
         cluster("ring", 80, R"("lb_policy": "RING_HASH", )") + "]}}";
}

}  // namespace lateen::fuzz
