// See discovery.h. Documents are built per request: they are small, asked rarely, and always true
// that way.
#include "cluster/apiserver/discovery.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"

namespace lateen::cluster::apiserver {
namespace {

JsonArray to_array(const std::vector<std::string>& words) {
  JsonArray made;
  for (const auto& word : words) made.emplace_back(word);
  return made;
}

Json group_object(const Registry& registry, const std::string& group) {
  JsonArray versions;
  for (const auto& version : registry.versions(group)) {
    versions.push_back(JsonObject{{"groupVersion", group + "/" + version}, {"version", version}});
  }
  Json preferred = versions.empty() ? Json(JsonObject{}) : versions.front();
  return JsonObject{{"name", group},
                    {"versions", std::move(versions)},
                    {"preferredVersion", std::move(preferred)}};
}

Json resource_entry(const ResourceType& type) {
  JsonObject entry{{"name", type.plural},
                   {"singularName", type.singular},
                   {"namespaced", type.is_namespaced},
                   {"kind", type.kind},
                   {"verbs", to_array(verbs_of(type))}};
  if (!type.short_names.empty()) entry["shortNames"] = to_array(type.short_names);
  if (!type.categories.empty()) entry["categories"] = to_array(type.categories);
  if (!type.is_virtual)
    entry["storageVersionHash"] = base64_encode(fmt::format("{:08x}", fnv1a32(type.bucket)));
  return entry;
}

Json resource_list(const Registry& registry, std::string_view group, std::string_view version) {
  JsonArray resources;
  for (const auto& type : registry.types()) {
    if (type->group != group) continue;
    const ServedVersion* served = type->version(version);
    if (served == nullptr) continue;
    resources.push_back(resource_entry(*type));
    for (const auto& sub : subresources_of(*type, *served)) {
      const auto shape = shape_of(*type, served->name, sub);
      JsonObject entry{{"name", type->plural + "/" + sub},
                       {"singularName", ""},
                       {"namespaced", type->is_namespaced},
                       {"kind", shape.kind},
                       {"verbs", to_array(shape.verbs)}};
      if (shape.group != type->group || shape.version != version) {
        if (!shape.group.empty()) entry["group"] = shape.group;
        entry["version"] = shape.version;
      }
      resources.push_back(std::move(entry));
    }
  }
  const std::string group_version =
      group.empty() ? std::string(version) : fmt::format("{}/{}", group, version);
  return JsonObject{{"kind", "APIResourceList"},
                    {"apiVersion", "v1"},
                    {"groupVersion", group_version},
                    {"resources", std::move(resources)}};
}

Json aggregated_resource(const ResourceType& type, const ServedVersion& served) {
  const auto kind = [](const std::string& group, const std::string& version,
                       const std::string& name) {
    return JsonObject{{"group", group}, {"version", version}, {"kind", name}};
  };
  JsonObject entry{{"resource", type.plural},
                   {"responseKind", kind(type.group, served.name, type.kind)},
                   {"scope", type.is_namespaced ? "Namespaced" : "Cluster"},
                   {"singularResource", type.singular},
                   {"verbs", to_array(verbs_of(type))}};
  if (!type.short_names.empty()) entry["shortNames"] = to_array(type.short_names);
  if (!type.categories.empty()) entry["categories"] = to_array(type.categories);
  JsonArray subresources;
  for (const auto& sub : subresources_of(type, served)) {
    const auto shape = shape_of(type, served.name, sub);
    subresources.push_back(
        JsonObject{{"subresource", sub},
                   {"responseKind", kind(shape.group, shape.version, shape.kind)},
                   {"verbs", to_array(shape.verbs)}});
  }
  if (!subresources.empty()) entry["subresources"] = std::move(subresources);
  return entry;
}

Json aggregated_group(const Registry& registry, const std::string& group) {
  JsonArray versions;
  for (const auto& version : registry.versions(group)) {
    JsonArray resources;
    for (const auto& type : registry.types()) {
      if (type->group != group) continue;
      if (const auto* served = type->version(version))
        resources.push_back(aggregated_resource(*type, *served));
    }
    versions.push_back(JsonObject{
        {"version", version}, {"resources", std::move(resources)}, {"freshness", "Current"}});
  }
  JsonObject metadata{{"creationTimestamp", nullptr}};
  if (!group.empty()) metadata["name"] = group;
  return JsonObject{{"metadata", std::move(metadata)}, {"versions", std::move(versions)}};
}

// v2 or v2beta1, whichever comes first in Accept; empty when the client wants the plain documents.
std::string aggregated_version(const ApiRequest& request) {
  for (const auto& offer : split(request.header("accept"), ',')) {
    if (offer.find("as=APIGroupDiscoveryList") == std::string_view::npos) continue;
    if (offer.find("protobuf") != std::string_view::npos ||
        offer.find("cbor") != std::string_view::npos)
      continue;
    for (std::string_view version : {"v2", "v2beta1"}) {
      if (offer.find(fmt::format("v={};", version)) != std::string_view::npos ||
          trim(offer).ends_with(fmt::format("v={}", version))) {
        return std::string(version);
      }
    }
  }
  return {};
}

ApiResponse aggregated(const std::string& version, JsonArray items) {
  ApiResponse response =
      ApiResponse::json(200, JsonObject{{"kind", "APIGroupDiscoveryList"},
                                        {"apiVersion", "apidiscovery.k8s.io/" + version},
                                        {"metadata", JsonObject{}},
                                        {"items", std::move(items)}});
  response.content_type =
      fmt::format("application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList", version);
  response.headers.emplace_back("Vary", "Accept");
  return response;
}

}  // namespace

std::vector<std::string> verbs_of(const ResourceType& type) {
  if (type.is_virtual) return {"create"};
  if (type.bucket == "/namespaces")
    return {"create", "delete", "get", "list", "patch", "update", "watch"};
  if (type.bucket == "/services") {
    return {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"};
  }
  return {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"};
}

std::vector<std::string> subresources_of(const ResourceType& type, const ServedVersion& version) {
  std::vector<std::string> names = type.subresources;
  if (version.scale != nullptr) names.emplace_back("scale");
  if (version.has_status) names.emplace_back("status");
  std::sort(names.begin(), names.end());
  return names;
}

SubresourceShape shape_of(const ResourceType& type, const std::string& version,
                          std::string_view subresource) {
  const std::vector<std::string> writable{"get", "patch", "update"};
  if (subresource == "status" || subresource == "ephemeralcontainers" || subresource == "resize" ||
      subresource == "approval") {
    return {type.group, version, type.kind, writable};
  }
  if (subresource == "finalize") return {type.group, version, type.kind, {"update"}};
  if (subresource == "scale") return {"autoscaling", "v1", "Scale", writable};
  if (subresource == "eviction") return {"policy", "v1", "Eviction", {"create"}};
  if (subresource == "binding") return {"", "v1", "Binding", {"create"}};
  if (subresource == "token") return {"authentication.k8s.io", "v1", "TokenRequest", {"create"}};
  if (subresource == "log") return {"", "v1", "Pod", {"get"}};
  if (subresource == "attach") return {"", "v1", "PodAttachOptions", {"create", "get"}};
  if (subresource == "exec") return {"", "v1", "PodExecOptions", {"create", "get"}};
  if (subresource == "proxy") {
    return {"", "v1", type.kind + "ProxyOptions", {"create", "delete", "get", "patch", "update"}};
  }
  if (subresource == "portforward") return {"", "v1", "PodPortForwardOptions", {"create", "get"}};
  return {type.group, version, type.kind, {"get"}};
}

std::optional<ApiResponse> discover(const ApiRequest& request, const Registry& registry) {
  std::vector<std::string_view> parts;
  for (const auto& part : split(request.path, '/')) {
    if (!part.empty()) parts.push_back(part);
  }
  if (parts.empty() || parts.size() > 3) return std::nullopt;
  if (parts[0] == "api") {
    if (parts.size() == 1) {
      if (const auto version = aggregated_version(request); !version.empty()) {
        return aggregated(version, JsonArray{aggregated_group(registry, "")});
      }
      return ApiResponse::json(
          200, JsonObject{{"kind", "APIVersions"},
                          {"versions", JsonArray{"v1"}},
                          {"serverAddressByClientCIDRs",
                           JsonArray{JsonObject{{"clientCIDR", "0.0.0.0/0"},
                                                {"serverAddress", "10.96.0.1:443"}}}}});
    }
    if (parts.size() == 2 && parts[1] == "v1")
      return ApiResponse::json(200, resource_list(registry, "", "v1"));
    return std::nullopt;
  }
  if (parts[0] != "apis") return std::nullopt;
  if (parts.size() == 1) {
    const auto version = aggregated_version(request);
    JsonArray groups;
    for (const auto& group : registry.groups()) {
      groups.push_back(version.empty() ? group_object(registry, group)
                                       : aggregated_group(registry, group));
    }
    if (!version.empty()) return aggregated(version, std::move(groups));
    return ApiResponse::json(
        200,
        JsonObject{{"kind", "APIGroupList"}, {"apiVersion", "v1"}, {"groups", std::move(groups)}});
  }
  const std::string group(parts[1]);
  if (group.empty() || registry.versions(group).empty()) return std::nullopt;
  if (parts.size() == 2) {
    Json object = group_object(registry, group);
    data::set(object, {"kind"}, "APIGroup");
    data::set(object, {"apiVersion"}, "v1");
    return ApiResponse::json(200, object);
  }
  if (!registry.serves(group, parts[2])) return std::nullopt;
  return ApiResponse::json(200, resource_list(registry, group, parts[2]));
}

ApiResponse version_response() {
  return ApiResponse::json(200, JsonObject{{"major", "1"},
                                           {"minor", "32"},
                                           {"gitVersion", kServedVersion},
                                           {"gitCommit", "lateen"},
                                           {"gitTreeState", "clean"},
                                           {"buildDate", "2026-01-01T00:00:00Z"},
                                           {"goVersion", "none"},
                                           {"compiler", "g++"},
                                           {"platform", "linux/amd64"}});
}

}  // namespace lateen::cluster::apiserver
