// One function per root, over what StreamInfo knows.

#include "proxy/match/attributes.h"

#include "base/strings.h"
#include "proxy/cluster/cluster.h"
#include "proxy/match/header_matcher.h"
#include "proxy/route/route.h"
#include "proxy/worker/worker.h"

namespace lateen::proxy {
namespace {

using data::Json;
using Found = std::optional<Json>;

constexpr std::string_view kRoots[] = {"request",    "response", "source",   "destination",
                                       "connection", "upstream", "metadata", "filter_state",
                                       "xds",        "node"};

Found text(std::string_view value) { return value.empty() ? Found() : Found(Json(value)); }
Found text_or_none(const std::optional<std::string_view>& value) {
  return value ? Found(Json(*value)) : Found();
}

Json headers_object(const http::Headers& headers) {
  data::JsonObject made;
  for (const auto& field : headers) {
    const std::string name = to_lower(field.name);
    auto& slot = made[name];
    if (slot.is_null()) slot = field.value;
    else slot = std::string(data::as_string(slot)) + "," + std::string(field.value);
  }
  return made;
}

std::string duration_text(nanoseconds span) {
  const auto whole = span.count() / 1'000'000'000;
  std::string digits = std::to_string(span.count() % 1'000'000'000);
  digits.insert(0, 9 - digits.size(), '0');
  while (!digits.empty() && digits.back() == '0') digits.pop_back();
  return std::to_string(whole) + (digits.empty() ? "" : "." + digits) + "s";
}

Found request_attribute(std::string_view name, const StreamInfo& info,
                        const http::Request& request) {
  const auto mark = request.path.find_first_of("?#");
  if (name == "path") return Json(request.path);
  if (name == "url_path") return Json(request.path.substr(0, mark));
  if (name == "query") {
    const auto question = request.path.find('?');
    if (question == std::string_view::npos) return Json("");
    const std::string_view rest = request.path.substr(question + 1);
    return Json(rest.substr(0, rest.find('#')));
  }
  if (name == "host") return Json(request.authority);
  if (name == "scheme") return text(request.scheme);
  if (name == "method") return Json(request.method);
  if (name == "referer") return text_or_none(request.headers.get("referer"));
  if (name == "useragent") return text_or_none(request.headers.get("user-agent"));
  if (name == "id") return text(info.request_id);
  if (name == "protocol") return Json(http::to_string(request.version));
  if (name == "time") return Json(format_rfc3339(info.started_wall, 9));
  if (name == "duration")
    return info.finished ? Found(Json(duration_text(*info.finished - info.started))) : Found();
  if (name == "size") {
    if (const auto length = request.headers.get("content-length"))
      if (const auto number = parse_uint(*length)) return Json(*number);
    return Json(info.bytes_received);
  }
  if (name == "total_size") return Json(info.bytes_received);
  if (name == "headers") {
    Json made = headers_object(request.headers);
    auto& object = *made.if_object();
    object[":authority"] = request.authority;
    object[":method"] = request.method;
    object[":path"] = request.path;
    object[":scheme"] = request.scheme;
    object["host"] = request.authority;
    return made;
  }
  return std::nullopt;
}

Found response_attribute(std::string_view name, const StreamInfo& info) {
  if (name == "code") return info.status == 0 ? Found() : Found(Json(info.status));
  if (name == "code_details") return text(info.details);
  if (name == "flags") return Json(info.flags.bits());
  if (name == "size" || name == "total_size") return Json(info.bytes_sent);
  if (name == "grpc_status") {
    if (!info.grpc_status) return std::nullopt;
    const auto code = parse_int(*info.grpc_status);
    return code ? Found(Json(*code)) : Found();
  }
  if (name == "headers")
    return info.response_headers ? Found(headers_object(*info.response_headers)) : Found();
  if (name == "trailers") {
    data::JsonObject made;
    for (const auto& [key, value] : info.response_trailers) made[to_lower(key)] = value;
    return Found(Json(std::move(made)));
  }
  if (name == "backend_latency")
    return info.upstream_first_byte_sent && info.response_started
               ? Found(Json(duration_text(*info.response_started - *info.upstream_first_byte_sent)))
               : Found();
  return std::nullopt;
}

Found address_attribute(std::string_view name, const net::Address& address) {
  if (name == "address") return Json(address.to_string());
  if (name == "port" && !address.is_unix()) return Json(address.port());
  return std::nullopt;
}

Found connection_attribute(std::string_view name, const StreamInfo& info) {
  const net::TlsInfo* tls = info.connection.tls;
  if (name == "id") return Json(info.connection.id);
  if (name == "mtls") return Json(tls != nullptr && tls->has_peer_certificate);
  if (name == "requested_server_name") return text(info.connection.sni);
  if (name == "termination_details") return text(info.connection.termination_details);
  if (name == "transport_failure_reason") return std::nullopt;
  if (tls == nullptr) return std::nullopt;
  if (name == "tls_version") return text(tls->version);
  if (name == "subject_peer_certificate") return text(tls->peer_subject);
  if (name == "sha256_peer_certificate_digest") return text(tls->peer_fingerprint_sha256);
  if (name == "uri_san_peer_certificate")
    return tls->peer_uri_sans.empty() ? Found() : Found(Json(tls->peer_uri_sans.front()));
  if (name == "dns_san_peer_certificate")
    return tls->peer_dns_sans.empty() ? Found() : Found(Json(tls->peer_dns_sans.front()));
  if (name == "uri_san_local_certificate")
    return tls->local_uri_sans.empty() ? Found() : Found(Json(tls->local_uri_sans.front()));
  return std::nullopt;
}

Found upstream_attribute(std::string_view name, const StreamInfo& info) {
  const UpstreamInfo& upstream = info.upstream;
  if (name == "transport_failure_reason") return text(upstream.transport_failure);
  if (name == "request_attempt_count") return Json(upstream.attempts);
  if (name == "tls_version") return text(upstream.tls_version);
  if (name == "uri_san_peer_certificate")
    return upstream.peer_uri_sans.empty() ? Found() : Found(Json(upstream.peer_uri_sans.front()));
  if (name == "local_address")
    return upstream.local ? Found(Json(upstream.local->to_string())) : Found();
  if (upstream.host == nullptr) return std::nullopt;
  return address_attribute(name, upstream.address);
}

Found xds_attribute(std::string_view name, const StreamInfo& info) {
  if (name == "cluster_name") return text(info.upstream.cluster_name);
  if (name == "cluster_metadata")
    return info.upstream.cluster ? Found(Json(info.upstream.cluster->metadata)) : Found();
  if (name == "route_name") return info.route != nullptr ? text(info.route->name) : Found();
  if (name == "route_metadata")
    return info.route != nullptr ? Found(Json(info.route->metadata)) : Found();
  if (name == "virtual_host_name")
    return info.virtual_host != nullptr ? text(info.virtual_host->name) : Found();
  if (name == "upstream_host_metadata")
    return info.upstream.host ? Found(Json(info.upstream.host->metadata)) : Found();
  if (name == "filter_chain_name") return text(info.connection.filter_chain);
  if (name == "listener_direction")
    return Json(info.connection.is_inbound ? 1 : info.connection.is_outbound ? 2 : 0);
  return std::nullopt;
}

Found root_attribute(std::string_view root, std::string_view name, const StreamInfo& info,
                     const http::Request* request) {
  if (request == nullptr && info.request) request = &*info.request;
  if (root == "request")
    return request == nullptr ? Found() : request_attribute(name, info, *request);
  if (root == "response") return response_attribute(name, info);
  if (root == "source")
    return address_attribute(name, info.remote ? *info.remote : info.connection.remote);
  if (root == "destination") return address_attribute(name, info.connection.local);
  if (root == "connection") return connection_attribute(name, info);
  if (root == "upstream") return upstream_attribute(name, info);
  if (root == "xds") return xds_attribute(name, info);
  if (root == "node") {
    const auto& identity = info.worker.shared().identity;
    if (name == "id") return text(identity.node_id);
    if (name == "cluster") return text(info.worker.shared().node_cluster);
  }
  return std::nullopt;
}

}  // namespace

bool is_attribute_root(std::string_view root) {
  for (const auto known : kRoots)
    if (root == known) return true;
  return false;
}

Found find_attribute(const std::vector<std::string>& path, const StreamInfo& info,
                     const http::Request* request) {
  if (path.empty()) return std::nullopt;
  Found value;
  std::size_t used = 2;
  if (path[0] == "metadata" || path[0] == "filter_state") {
    if (path[0] == "metadata") {
      value = Json(data::JsonObject{{"filter_metadata", info.metadata}});
    } else {
      data::JsonObject all;
      for (const auto& [key, held] : info.state) all[key] = held;
      value = Json(std::move(all));
    }
    used = 1;
  } else {
    if (path.size() < 2) return std::nullopt;
    // One header needs no map of all.
    if (path.size() == 3 && path[0] == "request" && path[1] == "headers") {
      const http::Request* head = request != nullptr || !info.request ? request : &*info.request;
      if (head == nullptr) return std::nullopt;
      if (const auto pseudo = path[2].starts_with(':') ? header_of(*head, path[2]) : std::nullopt)
        return Json(*pseudo);
      if (path[2] == "host") return Json(head->authority);
      if (!head->headers.has(path[2])) return std::nullopt;
      return Json(head->headers.joined(path[2]));
    }
    value = root_attribute(path[0], path[1], info, request);
  }
  for (std::size_t i = used; value && i < path.size(); ++i) {
    const auto* object = value->if_object();
    const auto* found = object == nullptr ? nullptr : object->if_contains(path[i]);
    if (found == nullptr) return std::nullopt;
    value = Json(*found);
  }
  return value;
}

Found find_attribute(std::string_view name, const StreamInfo& info, const http::Request* request) {
  std::vector<std::string> path;
  for (const auto part : split(name, '.')) path.emplace_back(part);
  return find_attribute(path, info, request);
}

}  // namespace lateen::proxy
