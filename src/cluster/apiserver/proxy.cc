// pods/proxy and services/proxy: a request passed on to a pod or to a ready endpoint of a service,
// and its answer passed back whole. Upgrades are for port-forward.
#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "cluster/apiserver/subresources.h"
#include "http/blocking_client.h"
#include "tls/context.h"

namespace lateen::cluster::apiserver {
namespace {

constexpr std::size_t kMostBytes = 64u << 20;

// "https:name:port", "name:port", "name".
struct ProxyTarget {
  std::string scheme = "http";
  std::string name;
  std::string port;  // empty: the first one
};

std::optional<ProxyTarget> parse_target(std::string_view text) {
  ProxyTarget target;
  const auto parts = split(text, ':');
  if (parts.size() == 1) {
    target.name = parts[0];
  } else if (parts.size() == 2) {
    target.name = parts[0];
    target.port = parts[1];
  } else if (parts.size() == 3 && (parts[0].empty() || parts[0] == "http" || parts[0] == "https")) {
    if (!parts[0].empty()) target.scheme = parts[0];
    target.name = parts[1];
    target.port = parts[2];
  } else {
    return std::nullopt;
  }
  if (target.name.empty()) return std::nullopt;
  return target;
}

Outcome<std::string> pod_address(const Json& pod, const ProxyTarget& target) {
  const auto ip = data::get_string(pod, {"status", "podIP"});
  if (ip.empty()) return Status::unavailable(fmt::format("pod {} has no address yet", target.name));
  std::string port = target.port;
  std::string first;
  for (const auto& container : data::get_array(pod, {"spec", "containers"})) {
    for (const auto& one : data::get_array(container, {"ports"})) {
      const std::string number = fmt::format("{}", data::get_int(one, {"containerPort"}));
      if (first.empty()) first = number;
      if (!port.empty() && data::get_string(one, {"name"}) == port) port = number;
    }
  }
  if (port.empty()) port = first.empty() ? "80" : first;
  if (!parse_uint(port))
    return Status::bad_request(fmt::format("pod {} has no port named \"{}\"", target.name, port));
  return fmt::format("{}:{}", ip, port);
}

Outcome<std::string> service_address(const Store& store, std::string_view ns, const Json& service,
                                     const ProxyTarget& target) {
  const auto& ports = data::get_array(service, {"spec", "ports"});
  const Json* chosen = nullptr;
  for (const auto& one : ports) {
    const bool is_meant = target.port.empty()
                              ? ports.size() == 1
                              : data::get_string(one, {"name"}) == target.port ||
                                    fmt::format("{}", data::get_int(one, {"port"})) == target.port;
    if (is_meant && chosen == nullptr) chosen = &one;
  }
  const Status none = Status::unavailable(
      fmt::format("no endpoints available for service \"{}\"{}", target.name,
                  chosen != nullptr ? "" : ": name one of its ports, as in NAME:PORT"));
  if (chosen == nullptr) return none;
  const auto endpoints = store.get("/endpoints", {std::string(ns), target.name});
  if (endpoints == nullptr) return none;
  for (const auto& subset : data::get_array(endpoints->value, {"subsets"})) {
    for (const auto& port : data::get_array(subset, {"ports"})) {
      if (data::get_string(port, {"name"}) != data::get_string(*chosen, {"name"})) continue;
      for (const auto& address : data::get_array(subset, {"addresses"})) {
        return fmt::format("{}:{}", data::get_string(address, {"ip"}),
                           data::get_int(port, {"port"}));
      }
    }
  }
  return none;
}

bool is_for_one_hop(std::string_view name) {
  for (std::string_view one :
       {"connection", "keep-alive", "proxy-authenticate", "te", "trailer", "transfer-encoding",
        "upgrade", "content-length", "host", "authorization", "content-type", "accept-encoding"}) {
    if (iequals(name, one)) return true;
  }
  return false;
}

// The path behind ".../proxy" and the query, as they came.
std::string path_of(const ApiRequest& request, std::string_view name) {
  std::string path = "/";
  const std::string mark = fmt::format("/{}/proxy", name);
  if (const auto at = request.path.find(mark); at != std::string::npos) {
    const auto rest = request.path.substr(at + mark.size());
    if (rest.starts_with('/')) path = rest;
  }
  std::string query;
  for (const auto& [key, value] : request.query)
    query += fmt::format("{}{}={}", query.empty() ? "?" : "&", percent_encode(key),
                         percent_encode(value));
  return path + query;
}

}  // namespace

Outcome<ApiResponse> Subresources::proxy(Call& call) {
  const auto& request = call.request;
  if (!request.upgrade.empty())
    return Status::bad_request("connections cannot be upgraded here: use kubectl port-forward");
  const auto target = parse_target(call.info.name);
  if (!target)
    return Status::bad_request(
        fmt::format("invalid {} request \"{}\"", call.type->singular, call.info.name));
  const auto& store = resources_.parts().store;
  const auto object = store.get(call.type->bucket, {call.info.ns, target->name});
  if (object == nullptr) return call.not_found(target->name);
  const std::string address =
      call.type->bucket == "/pods"
          ? TRY(pod_address(object->value, *target))
          : TRY(service_address(store, call.info.ns, object->value, *target));

  http::BlockingClientOptions options;
  if (target->scheme == "https") {
    // As upstream: the way is inside the cluster, certificates are nobody's here.
    tls::Options trusting;
    trusting.is_untrusted_accepted = true;
    options.tls = TRY(tls::Context::make(tls::Context::Role::kClient, trusting));
  }
  http::BlockingClient client(std::move(options));
  http::PlainRequest sent;
  sent.method = request.method;
  sent.url = fmt::format("{}://{}{}", target->scheme, address, path_of(request, call.info.name));
  for (const auto& [name, value] : request.headers) {
    if (!is_for_one_hop(name)) sent.headers.emplace_back(name, value);
  }
  if (const auto type = request.header("content-type"); !type.empty())
    sent.headers.emplace_back("content-type", type);
  sent.headers.emplace_back("x-forwarded-uri", request.path);
  sent.body = request.body;
  sent.max_response_bytes = kMostBytes;
  auto answer = client.call(sent);
  if (!answer.ok()) {
    return Status::unavailable(
        fmt::format("error trying to reach service: {}", answer.error().message()));
  }
  ApiResponse response;
  response.status = answer->status;
  response.content_type = answer->header("content-type");
  if (response.content_type.empty()) response.content_type = "application/octet-stream";
  for (auto& [name, value] : answer->headers) {
    if (!is_for_one_hop(name)) response.headers.emplace_back(name, value);
  }
  response.body = std::move(answer->body);
  return response;
}

}  // namespace lateen::cluster::apiserver
