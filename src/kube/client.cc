// Requests, answers and discovery, over any Transport.
#include "kube/client.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "base/strings.h"

namespace lateen::kube {
namespace {

Code code_for(int status, std::string_view reason) {
  switch (status) {
    case 400:
    case 413:
    case 415:
    case 422: return Code::kInvalidArgument;
    case 401: return Code::kUnauthenticated;
    case 403: return Code::kPermissionDenied;
    case 404: return Code::kNotFound;
    case 405:
    case 406: return Code::kUnimplemented;
    case 409: return reason == "AlreadyExists" ? Code::kAlreadyExists : Code::kAborted;
    case 410: return Code::kOutOfRange;
    case 504: return Code::kDeadlineExceeded;
    default: return status == 429 || status >= 500 ? Code::kUnavailable : Code::kUnknown;
  }
}

void add_parameter(std::string& url, std::string_view name, std::string_view value) {
  url += url.find('?') == std::string::npos ? '?' : '&';
  url.append(name).append("=").append(percent_encode(value));
}

void add_write(std::string& url, const std::string& manager, bool is_dry_run) {
  if (!manager.empty()) add_parameter(url, "fieldManager", manager);
  if (is_dry_run) add_parameter(url, "dryRun", "All");
}

std::string_view media_type(Patch kind) {
  switch (kind) {
    case Patch::kJson: return "application/json-patch+json";
    case Patch::kMerge: return "application/merge-patch+json";
    case Patch::kStrategic: return "application/strategic-merge-patch+json";
    case Patch::kApply: return "application/apply-patch+yaml";
  }
  return "application/json";
}

std::string_view word_for(Propagation propagation) {
  switch (propagation) {
    case Propagation::kForeground: return "Foreground";
    case Propagation::kOrphan: return "Orphan";
    case Propagation::kBackground: break;
  }
  return "Background";
}

http::PlainRequest request_for(std::string method, std::string url, const Json* body,
                               std::string_view content_type = "application/json") {
  http::PlainRequest request;
  request.method = std::move(method);
  request.url = std::move(url);
  request.headers = {{"accept", "application/json"}};
  if (body != nullptr) {
    request.headers.emplace_back("content-type", content_type);
    request.body = data::dump_json(*body);
  }
  return request;
}

Result<Json> exchange(Transport& transport, const http::PlainRequest& request) {
  const auto response = TRY(transport.call(request));
  if (response.status < 200 || response.status > 299) return error_of(response);
  return data::parse_json(response.body).at("answer of the API server");
}

std::string object_path(const Resource& resource, const Key& key,
                        std::string_view subresource = {}) {
  return resource.path(key.ns, percent_encode(key.name), subresource);
}

}  // namespace

Error error_of(const http::PlainResponse& response) {
  const auto status = data::parse_json(response.body);
  std::string message, reason;
  if (status && status->is_object()) {
    message = std::string(data::get_string(*status, {"message"}));
    reason = std::string(data::get_string(*status, {"reason"}));
  }
  if (message.empty()) message = std::string(trim(std::string_view(response.body).substr(0, 300)));
  if (message.empty()) message = "the API server answered " + std::to_string(response.status);
  return Error(code_for(response.status, reason), std::move(message), Blame::kUpstream);
}

// What discovery said, by apiVersion.
struct Client::Discovery {
  std::mutex mutex;
  std::map<std::string, std::vector<Resource>, std::less<>> by_api_version;
};

Client::Client(std::unique_ptr<Transport> transport)
    : transport_(std::move(transport)), discovery_(std::make_unique<Discovery>()) {}
Client::~Client() = default;

Result<Json> Client::get(const Resource& resource, const Key& key, std::string_view subresource) {
  return exchange(*transport_,
                  request_for("GET", object_path(resource, key, subresource), nullptr));
}

Result<Json> Client::list(const Resource& resource, std::string_view ns,
                          const ListOptions& options) {
  std::string url = resource.path(ns);
  if (!options.label_selector.empty()) add_parameter(url, "labelSelector", options.label_selector);
  if (!options.field_selector.empty()) add_parameter(url, "fieldSelector", options.field_selector);
  Json list = TRY(exchange(*transport_, request_for("GET", std::move(url), nullptr)));
  // Servers leave these out of the items of typed lists.
  if (Json* items = data::find(list, {"items"}); items != nullptr && items->is_array()) {
    for (Json& item : *items->if_array()) {
      if (!item.is_object()) continue;
      if (api_version_of(item).empty())
        data::set(item, {"apiVersion"}, Json(resource.api_version()));
      if (kind_of(item).empty()) data::set(item, {"kind"}, Json(resource.kind));
    }
  } else {
    data::set(list, {"items"}, Json(boost::json::array_kind));
  }
  return list;
}

Result<Json> Client::create(const Resource& resource, const Json& object,
                            const WriteOptions& options) {
  std::string url = resource.path(namespace_of(object));
  add_write(url, options.field_manager, options.is_dry_run);
  return exchange(*transport_, request_for("POST", std::move(url), &object));
}

Result<Json> Client::create_subresource(const Resource& resource, const Key& key,
                                        std::string_view subresource, const Json& object) {
  return exchange(*transport_,
                  request_for("POST", object_path(resource, key, subresource), &object));
}

Result<Json> Client::update(const Resource& resource, const Json& object,
                            const WriteOptions& options) {
  std::string url = object_path(resource, key_of(object));
  add_write(url, options.field_manager, options.is_dry_run);
  return exchange(*transport_, request_for("PUT", std::move(url), &object));
}

Result<Json> Client::update_status(const Resource& resource, const Json& object) {
  std::string url = object_path(resource, key_of(object), "status");
  add_write(url, WriteOptions().field_manager, false);
  return exchange(*transport_, request_for("PUT", std::move(url), &object));
}

Result<Json> Client::patch(const Resource& resource, const Key& key, Patch kind, const Json& body,
                           const PatchOptions& options) {
  std::string url = object_path(resource, key, options.subresource);
  add_write(url, options.field_manager, options.is_dry_run);
  if (options.is_forced) add_parameter(url, "force", "true");
  return exchange(*transport_, request_for("PATCH", std::move(url), &body, media_type(kind)));
}

Result<Json> Client::apply(const Resource& resource, const Json& object,
                           const PatchOptions& options) {
  return patch(resource, key_of(object), Patch::kApply, object, options);
}

Result<> Client::remove(const Resource& resource, const Key& key, const DeleteOptions& options) {
  Json body = {{"apiVersion", "v1"},
               {"kind", "DeleteOptions"},
               {"propagationPolicy", word_for(options.propagation)}};
  if (options.grace_seconds) data::set(body, {"gracePeriodSeconds"}, *options.grace_seconds);
  if (!options.uid.empty()) data::set(body, {"preconditions", "uid"}, Json(options.uid));
  TRY(exchange(*transport_, request_for("DELETE", object_path(resource, key), &body)));
  return {};
}

Result<http::PlainResponse> Client::raw(const http::PlainRequest& request) {
  return transport_->call(request);
}

Result<> Client::stream(const std::string& path, const Function<bool(std::string_view)>& on_chunk,
                        const Function<bool()>& should_stop) {
  http::PlainRequest request = request_for("GET", path, nullptr);
  request.timeout = hours(24 * 365);
  const auto response = TRY(transport_->stream(request, on_chunk, should_stop));
  if (response.status < 200 || response.status > 299) return error_of(response);
  return {};
}

Result<std::vector<Resource>> Client::resources_of(std::string_view api_version) {
  return resources_with({}, api_version);
}

Result<std::vector<Resource>> Client::resources_with(std::initializer_list<std::string_view> verbs,
                                                     std::string_view api_version) {
  const bool is_core = api_version.find('/') == std::string_view::npos;
  const Json list = TRY(exchange(
      *transport_,
      request_for("GET", (is_core ? "/api/" : "/apis/") + std::string(api_version), nullptr)));
  const auto slash = api_version.find('/');
  std::vector<Resource> all, out;
  for (const Json& entry : data::get_array(list, {"resources"})) {
    const auto plural = data::get_string(entry, {"name"});
    if (plural.find('/') != std::string_view::npos) continue;
    Resource resource;
    resource.group = is_core ? "" : std::string(api_version.substr(0, slash));
    resource.version = std::string(is_core ? api_version : api_version.substr(slash + 1));
    resource.plural = std::string(plural);
    resource.kind = std::string(data::get_string(entry, {"kind"}));
    resource.is_namespaced = data::get_bool(entry, {"namespaced"});
    const auto& served = data::get_array(entry, {"verbs"});
    const bool has_verbs = std::all_of(verbs.begin(), verbs.end(), [&](std::string_view verb) {
      return std::any_of(served.begin(), served.end(),
                         [&](const Json& item) { return data::as_string(item) == verb; });
    });
    if (has_verbs) out.push_back(resource);
    all.push_back(std::move(resource));
  }
  const std::lock_guard lock(discovery_->mutex);
  discovery_->by_api_version[std::string(api_version)] = std::move(all);
  return out;
}

Result<Resource> Client::resource_for(std::string_view api_version, std::string_view kind) {
  const auto pick = [&](const std::vector<Resource>& from) -> std::optional<Resource> {
    for (const auto& resource : from) {
      if (resource.kind == kind) return resource;
    }
    return std::nullopt;
  };
  {
    const std::lock_guard lock(discovery_->mutex);
    const auto known = discovery_->by_api_version.find(api_version);
    if (known != discovery_->by_api_version.end()) {
      if (auto found = pick(known->second)) return *found;
    }
  }
  auto fresh = resources_of(api_version);
  if (!fresh && fresh.error().code() != Code::kNotFound) return std::move(fresh).error();
  if (fresh) {
    if (auto found = pick(*fresh)) return *found;
  }
  return not_found("no matches for kind \"" + std::string(kind) + "\" in version \"" +
                   std::string(api_version) + "\"; is its CustomResourceDefinition installed?");
}

Result<std::vector<Resource>> Client::all_resources() {
  std::vector<std::string> versions;
  const Json groups = TRY(exchange(*transport_, request_for("GET", "/apis", nullptr)));
  versions.emplace_back("v1");
  for (const Json& group : data::get_array(groups, {"groups"})) {
    const auto preferred = data::get_string(group, {"preferredVersion", "groupVersion"});
    if (!preferred.empty()) versions.emplace_back(preferred);
  }
  std::vector<Resource> out;
  for (const auto& version : versions) {
    auto found = resources_with({"list", "watch", "delete"}, version);
    // A group may vanish between the two calls (its CRD was deleted).
    if (!found && found.error().code() == Code::kNotFound) continue;
    for (auto& resource : TRY(std::move(found))) out.push_back(std::move(resource));
  }
  return out;
}

}  // namespace lateen::kube
