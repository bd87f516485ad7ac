// Paths to meanings: /api/v1/namespaces/NS/RESOURCE/NAME/SUBRESOURCE and its siblings.
#include "cluster/apiserver/request.h"

#include <algorithm>

#include "base/strings.h"
#include "cluster/apiserver/protobuf.h"
#include "data/yaml.h"

namespace lateen::cluster::apiserver {

bool User::in_group(std::string_view group) const {
  return std::find(groups.begin(), groups.end(), group) != groups.end();
}

std::string_view ApiRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}
std::string_view ApiRequest::param(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return {};
}
bool ApiRequest::has_param(std::string_view name) const {
  return std::any_of(query.begin(), query.end(),
                     [&](const auto& pair) { return pair.first == name; });
}
bool ApiRequest::is_param_true(std::string_view name) const {
  if (!has_param(name)) return false;
  const auto value = param(name);
  return value != "false" && value != "0";  // as Go's conversion: present and not false
}
std::vector<std::string_view> ApiRequest::params(std::string_view name) const {
  std::vector<std::string_view> found;
  for (const auto& [key, value] : query) {
    if (key == name) found.push_back(value);
  }
  return found;
}

namespace {

std::string verb_of(const ApiRequest& request, const RequestInfo& info, bool is_legacy_watch) {
  const auto& method = request.method;
  if (method == "POST") return "create";
  if (method == "PUT") return "update";
  if (method == "PATCH") return "patch";
  if (method == "DELETE") return info.name.empty() ? "deletecollection" : "delete";
  if (method != "GET" && method != "HEAD") return to_lower(method);
  if (is_legacy_watch) return "watch";
  if (request.is_param_true("watch") && info.subresource.empty() && info.name.empty())
    return "watch";
  return info.name.empty() ? "list" : "get";
}

}  // namespace

RequestInfo parse_info(const ApiRequest& request) {
  RequestInfo info;
  info.verb = to_lower(request.method);
  std::vector<std::string> parts;
  for (const auto& part : split(request.path, '/')) {
    if (part.empty()) continue;
    parts.push_back(percent_decode(part).value_or(std::string(part)));
  }
  std::size_t at = 0;
  if (parts.size() >= 3 && parts[0] == "api") {
    info.version = parts[1];
    at = 2;
  } else if (parts.size() >= 4 && parts[0] == "apis") {
    info.group = parts[1];
    info.version = parts[2];
    at = 3;
  } else {
    return info;
  }
  bool is_legacy_watch = false;
  if (parts[at] == "watch") {
    is_legacy_watch = true;
    if (++at >= parts.size()) return info;
  }
  info.is_resource = true;
  if (parts[at] == "namespaces") {
    if (parts.size() > at + 1) info.ns = parts[at + 1];
    // namespaces/NAME, namespaces/NAME/status and /finalize are about the namespace itself.
    const bool is_inside =
        parts.size() > at + 2 && parts[at + 2] != "status" && parts[at + 2] != "finalize";
    if (is_inside) at += 2;
  }
  info.resource = parts[at];
  if (parts.size() > at + 1) info.name = parts[at + 1];
  if (parts.size() > at + 2) info.subresource = parts[at + 2];
  // What follows .../proxy is the target's path.
  if (info.subresource != "proxy")
    for (std::size_t i = at + 3; i < parts.size(); ++i) info.subresource += "/" + parts[i];
  info.verb = verb_of(request, info, is_legacy_watch);
  return info;
}

Result<Json> parse_any_body(std::string_view content_type, std::string_view body) {
  if (is_kubernetes_protobuf(body)) return decode_kubernetes_protobuf(body);
  if (content_type.find("yaml") != std::string_view::npos) return data::parse_yaml(body);
  return data::parse_json(body);
}

ApiResponse ApiResponse::json(int status, const Json& value) {
  ApiResponse response;
  response.status = status;
  response.body = data::dump_json(value);
  return response;
}
ApiResponse ApiResponse::of(const Status& status) {
  ApiResponse response = json(status.code, status.to_json());
  if (status.code == 429) response.headers.emplace_back("Retry-After", "1");
  return response;
}
ApiResponse ApiResponse::text(int status, std::string body) {
  ApiResponse response;
  response.status = status;
  response.content_type = "text/plain; charset=utf-8";
  response.body = std::move(body);
  return response;
}

}  // namespace lateen::cluster::apiserver
