// Application protocols of ports, and how Istio finds them: appProtocol, then the port name's
// prefix, then well-known ports; otherwise the proxy looks at the first bytes.
#pragma once

#include <string>
#include <string_view>

namespace lateen::mesh {

enum class Protocol : unsigned char {
  kUnsupported,  // not named: to be detected
  kHttp,
  kHttp2,
  kGrpc,
  kGrpcWeb,
  kHttps,
  kTls,
  kTcp,
  kUdp,
  kMongo,
  kRedis,
  kMysql,
  kHbone,
  kHttpProxy,
};

std::string_view to_string(Protocol protocol);   // "HTTP", "UnsupportedProtocol"
Protocol parse_protocol(std::string_view text);  // any case
// Of a Kubernetes service port. `transport` is TCP, UDP or SCTP.
Protocol select_protocol(int port, std::string_view name, std::string_view transport,
                         std::string_view app_protocol);

inline bool is_http(Protocol p) {
  return p == Protocol::kHttp || p == Protocol::kHttp2 || p == Protocol::kGrpc ||
         p == Protocol::kGrpcWeb || p == Protocol::kHttpProxy;
}
inline bool is_http2(Protocol p) {
  return p == Protocol::kHttp2 || p == Protocol::kGrpc || p == Protocol::kGrpcWeb;
}
inline bool is_tls(Protocol p) { return p == Protocol::kHttps || p == Protocol::kTls; }
inline bool is_tcp(Protocol p) {
  return p == Protocol::kTcp || is_tls(p) || p == Protocol::kMongo || p == Protocol::kRedis ||
         p == Protocol::kMysql;
}

}  // namespace lateen::mesh
