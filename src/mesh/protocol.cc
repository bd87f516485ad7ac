#include "mesh/protocol.h"

#include <utility>

#include "base/strings.h"

namespace lateen::mesh {
namespace {

constexpr std::pair<std::string_view, Protocol> kNames[] = {
    {"tcp", Protocol::kTcp},
    {"udp", Protocol::kUdp},
    {"grpc", Protocol::kGrpc},
    {"http", Protocol::kHttp},
    {"http2", Protocol::kHttp2},
    {"grpc-web", Protocol::kGrpcWeb},
    {"https", Protocol::kHttps},
    {"tls", Protocol::kTls},
    {"mongo", Protocol::kMongo},
    {"redis", Protocol::kRedis},
    {"mysql", Protocol::kMysql},
    {"hbone", Protocol::kHbone},
    {"http_proxy", Protocol::kHttpProxy},
};

}  // namespace

std::string_view to_string(Protocol protocol) {
  switch (protocol) {
    case Protocol::kHttp: return "HTTP";
    case Protocol::kHttp2: return "HTTP2";
    case Protocol::kGrpc: return "GRPC";
    case Protocol::kGrpcWeb: return "GRPC-Web";
    case Protocol::kHttps: return "HTTPS";
    case Protocol::kTls: return "TLS";
    case Protocol::kTcp: return "TCP";
    case Protocol::kUdp: return "UDP";
    case Protocol::kMongo: return "Mongo";
    case Protocol::kRedis: return "Redis";
    case Protocol::kMysql: return "MySQL";
    case Protocol::kHbone: return "HBONE";
    case Protocol::kHttpProxy: return "HTTP_PROXY";
    case Protocol::kUnsupported: break;
  }
  return "UnsupportedProtocol";
}

Protocol parse_protocol(std::string_view text) {
  for (const auto& [name, protocol] : kNames) {
    if (iequals(text, name)) return protocol;
  }
  return Protocol::kUnsupported;
}

Protocol select_protocol(int port, std::string_view name, std::string_view transport,
                         std::string_view app_protocol) {
  if (transport == "UDP") return Protocol::kUdp;
  if (iequals(app_protocol, "kubernetes.io/h2c")) return Protocol::kHttp2;
  if (iequals(app_protocol, "kubernetes.io/ws")) return Protocol::kHttp;
  if (iequals(app_protocol, "kubernetes.io/wss")) return Protocol::kHttps;
  if (!app_protocol.empty()) return parse_protocol(app_protocol);
  const std::string lower = to_lower(name);
  if (lower.starts_with("grpc-web")) return Protocol::kGrpcWeb;
  const Protocol by_name = parse_protocol(std::string_view(lower).substr(0, lower.find('-')));
  if (by_name != Protocol::kUnsupported && by_name != Protocol::kUdp) return by_name;
  switch (port) {
    case 25:
    case 53:
    case 3306:
    case 27017: return Protocol::kTcp;
    default: return Protocol::kUnsupported;
  }
}

}  // namespace lateen::mesh
