// Format commands on addresses, TLS, metadata and the upstream.

#include "base/strings.h"
#include "proxy/cluster/cluster.h"
#include "proxy/match/cel.h"
#include "proxy/route/route.h"
#include "proxy/stream/formatter.h"
#include "proxy/stream/formatter_more.h"
#include "proxy/stream/stream_info.h"

namespace lateen::proxy {
namespace {

using data::Json;

FieldValue address_value(const net::Address& address, std::string_view suffix) {
  if (suffix == "_WITHOUT_PORT")
    return address.is_unix() ? std::string(address.path()) : address.ip().to_string();
  if (suffix == "_PORT")
    return address.is_unix() ? FieldValue(nullptr) : FieldValue(address.port());
  return address.to_string();
}

ReadCommand address_command(std::string_view name) {
  const auto suffix_of = [&](std::string_view stem) -> std::optional<std::string> {
    if (!name.starts_with(stem)) return std::nullopt;
    const std::string_view rest = name.substr(stem.size());
    if (rest.empty() || rest == "_WITHOUT_PORT" || rest == "_PORT") return std::string(rest);
    return std::nullopt;
  };
  if (auto s = suffix_of("DOWNSTREAM_LOCAL_ADDRESS"))
    return [s = *s](const StreamInfo& info) { return address_value(info.connection.local, s); };
  if (auto s = suffix_of("DOWNSTREAM_DIRECT_LOCAL_ADDRESS"))
    return
        [s = *s](const StreamInfo& info) { return address_value(info.connection.direct_local, s); };
  if (auto s = suffix_of("DOWNSTREAM_REMOTE_ADDRESS"))
    return [s = *s](const StreamInfo& info) {
      return address_value(info.remote ? *info.remote : info.connection.remote, s);
    };
  if (auto s = suffix_of("DOWNSTREAM_DIRECT_REMOTE_ADDRESS"))
    return [s = *s](const StreamInfo& info) {
      return address_value(info.connection.direct_remote, s);
    };
  if (name == "DOWNSTREAM_LOCAL_PORT")
    return [](const StreamInfo& info) { return address_value(info.connection.local, "_PORT"); };
  if (name == "DOWNSTREAM_REMOTE_PORT")
    return [](const StreamInfo& info) { return address_value(info.connection.remote, "_PORT"); };
  if (auto s = suffix_of("UPSTREAM_HOST"))
    return [s = *s](const StreamInfo& info) {
      return info.upstream.host ? address_value(info.upstream.address, s) : FieldValue(nullptr);
    };
  if (auto s = suffix_of("UPSTREAM_REMOTE_ADDRESS"))
    return [s = *s](const StreamInfo& info) {
      return info.upstream.host ? address_value(info.upstream.address, s) : FieldValue(nullptr);
    };
  if (auto s = suffix_of("UPSTREAM_LOCAL_ADDRESS"))
    return [s = *s](const StreamInfo& info) {
      return info.upstream.local ? address_value(*info.upstream.local, s) : FieldValue(nullptr);
    };
  return nullptr;
}

ReadCommand tls_command(std::string_view name) {
  const auto read = [](auto get) {
    return [get](const StreamInfo& info) -> FieldValue {
      return info.connection.tls == nullptr ? FieldValue(nullptr)
                                            : FieldValue::unless_empty(get(*info.connection.tls));
    };
  };
  using net::TlsInfo;
  if (name == "DOWNSTREAM_PEER_URI_SAN")
    return read([](const TlsInfo& t) { return join(t.peer_uri_sans, ","); });
  if (name == "DOWNSTREAM_PEER_DNS_SAN")
    return read([](const TlsInfo& t) { return join(t.peer_dns_sans, ","); });
  if (name == "DOWNSTREAM_LOCAL_URI_SAN")
    return read([](const TlsInfo& t) { return join(t.local_uri_sans, ","); });
  if (name == "DOWNSTREAM_PEER_SUBJECT")
    return read([](const TlsInfo& t) { return t.peer_subject; });
  if (name == "DOWNSTREAM_TLS_VERSION") return read([](const TlsInfo& t) { return t.version; });
  if (name == "DOWNSTREAM_TLS_CIPHER") return read([](const TlsInfo& t) { return t.cipher; });
  if (name == "DOWNSTREAM_PEER_FINGERPRINT_256")
    return read([](const TlsInfo& t) { return t.peer_fingerprint_sha256; });
  if (name == "DOWNSTREAM_PEER_CERT")
    return read([](const TlsInfo& t) { return percent_encode(t.peer_certificate_pem); });
  return nullptr;
}

const Json* walk(const Json& from, const std::vector<std::string>& path, std::size_t first) {
  const Json* at = &from;
  for (std::size_t i = first; i < path.size(); ++i) {
    const auto* object = at->if_object();
    if (object == nullptr) return nullptr;
    const auto* found = object->if_contains(path[i]);
    if (found == nullptr) return nullptr;
    at = found;
  }
  return at;
}

Json lookup(const data::JsonObject& root, const std::vector<std::string>& path) {
  if (path.empty()) return nullptr;
  const auto* top = root.if_contains(path[0]);
  if (top == nullptr) return nullptr;
  const Json* found = walk(*top, path, 1);
  return found == nullptr ? Json(nullptr) : *found;
}

std::vector<std::string> path_of(std::string_view argument) {
  std::vector<std::string> path;
  for (const auto part : split(argument, ':')) path.emplace_back(part);
  return path;
}

ReadCommand metadata_command(std::string_view kind, std::string_view argument) {
  auto path = path_of(argument);
  if (kind == "DYNAMIC")
    return [path](const StreamInfo& info) { return lookup(info.metadata, path); };
  if (kind == "CLUSTER")
    return [path](const StreamInfo& info) {
      return info.upstream.cluster ? lookup(info.upstream.cluster->metadata, path)
                                   : FieldValue(nullptr);
    };
  if (kind == "UPSTREAM")
    return [path](const StreamInfo& info) {
      return info.upstream.host ? lookup(info.upstream.host->metadata, path) : FieldValue(nullptr);
    };
  if (kind == "ROUTE")
    return [path](const StreamInfo& info) {
      return info.route != nullptr ? lookup(info.route->metadata, path) : FieldValue(nullptr);
    };
  return nullptr;
}

}  // namespace

ReadCommand compile_upstream_command(std::string_view name, std::string_view argument) {
  if (auto read = address_command(name)) return read;
  if (auto read = tls_command(name)) return read;
  if (name == "UPSTREAM_CLUSTER" || name == "UPSTREAM_CLUSTER_RAW") {
    const bool is_raw = name == "UPSTREAM_CLUSTER_RAW";
    return [is_raw](const StreamInfo& info) {
      const bool is_alias =
          !is_raw && info.upstream.cluster && !info.upstream.cluster->alt_stat_name.empty();
      return FieldValue::unless_empty(std::string_view(
          is_alias ? info.upstream.cluster->alt_stat_name : info.upstream.cluster_name));
    };
  }
  if (name == "UPSTREAM_TRANSPORT_FAILURE_REASON")
    return [](const StreamInfo& info) {
      return FieldValue::unless_empty(info.upstream.transport_failure);
    };
  if (name == "DOWNSTREAM_TRANSPORT_FAILURE_REASON")
    return [](const StreamInfo&) -> FieldValue { return nullptr; };
  if (name == "UPSTREAM_TLS_VERSION")
    return
        [](const StreamInfo& info) { return FieldValue::unless_empty(info.upstream.tls_version); };
  if (name == "UPSTREAM_PEER_URI_SAN")
    return [](const StreamInfo& info) {
      return FieldValue::unless_empty(join(info.upstream.peer_uri_sans, ","));
    };
  if (name == "DYNAMIC_METADATA") return metadata_command("DYNAMIC", argument);
  if (name == "CLUSTER_METADATA") return metadata_command("CLUSTER", argument);
  if (name == "UPSTREAM_METADATA") return metadata_command("UPSTREAM", argument);
  if (name == "METADATA") {
    const auto both = split_once(argument, ":");
    return both ? metadata_command(both->first, both->second) : nullptr;
  }
  if (name == "FILTER_STATE" || name == "UPSTREAM_FILTER_STATE") {
    const auto both = split_once(argument, ":");
    return
        [key = std::string(both ? both->first : argument)](const StreamInfo& info) -> FieldValue {
          const auto found = info.state.find(key);
          return found == info.state.end() ? FieldValue(nullptr)
                                           : FieldValue(std::string_view(found->second));
        };
  }
  if (name == "CEL") {
    auto expression = CelExpression::parse(argument);
    if (!expression.ok()) return nullptr;
    return [expression = *std::move(expression)](const StreamInfo& info) -> FieldValue {
      auto value = expression.evaluate(info, nullptr);
      return value ? *std::move(value) : FieldValue(nullptr);
    };
  }
  return compile_more_command(name, argument);
}

}  // namespace lateen::proxy
