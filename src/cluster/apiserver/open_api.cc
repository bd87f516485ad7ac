// See open_api.h. The documents' frame, cache and negotiation; their contents are in
// open_api_schemas.cc.
#include "cluster/apiserver/open_api.h"

#include <fmt/format.h>

#include "base/strings.h"
#include "cluster/apiserver/discovery.h"

namespace lateen::cluster::apiserver {
namespace {

Json info() { return JsonObject{{"title", "Kubernetes"}, {"version", kServedVersion}}; }

// "api/v1", "apis/apps/v1", … of everything served.
std::vector<std::string> group_versions(const Registry& registry) {
  std::vector<std::string> all{"api/v1"};
  for (const auto& group : registry.groups()) {
    for (const auto& version : registry.versions(group))
      all.push_back(fmt::format("apis/{}/{}", group, version));
  }
  return all;
}

Json document_v2(const Registry& registry) {
  return JsonObject{{"swagger", "2.0"},
                    {"info", info()},
                    {"paths", open_api_paths(registry, {}, false)},
                    {"definitions", open_api_definitions(registry, {}, "#/definitions/")}};
}

Json document_v3(const Registry& registry, std::string_view group_version) {
  return JsonObject{
      {"openapi", "3.0.0"},
      {"info", info()},
      {"paths", open_api_paths(registry, group_version, true)},
      {"components", JsonObject{{"schemas", open_api_definitions(registry, group_version,
                                                                 "#/components/schemas/")}}}};
}

}  // namespace

template <typename Make>
OpenApi::Text OpenApi::cached(const std::string& name, std::uint64_t generation, Make make) {
  std::lock_guard lock(mutex_);
  if (generation_ != generation) {
    documents_.clear();
    generation_ = generation;
  }
  auto& kept = documents_[name];
  if (kept == nullptr) kept = std::make_shared<const std::string>(make());
  return kept;
}

std::optional<ApiResponse> OpenApi::serve(const ApiRequest& request, const Registry& registry,
                                          std::uint64_t generation) {
  ApiResponse response;
  if (request.path == "/openapi/v2") {
    const bool is_protobuf =
        request.header("accept").find("proto-openapi.spec.v2") != std::string_view::npos;
    const auto text = cached(is_protobuf ? "v2.pb" : "v2.json", generation, [&] {
      const Json document = document_v2(registry);
      return is_protobuf ? encode_open_api_v2(document) : data::dump_json(document);
    });
    if (is_protobuf)
      response.content_type = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    response.body = *text;
    return response;
  }
  const auto served = group_versions(registry);
  if (request.path == "/openapi/v3") {
    JsonObject paths;
    for (const auto& one : served) {
      paths[one] = JsonObject{
          {"serverRelativeURL", fmt::format("/openapi/v3/{}?hash={:X}", one, generation)}};
    }
    return ApiResponse::json(200, JsonObject{{"paths", std::move(paths)}});
  }
  constexpr std::string_view kPrefix = "/openapi/v3/";
  if (!request.path.starts_with(kPrefix)) return std::nullopt;
  const std::string wanted = request.path.substr(kPrefix.size());
  for (const auto& one : served) {
    if (one != wanted) continue;
    response.body =
        *cached(wanted, generation, [&] { return data::dump_json(document_v3(registry, wanted)); });
    return response;
  }
  return std::nullopt;
}

}  // namespace lateen::cluster::apiserver
