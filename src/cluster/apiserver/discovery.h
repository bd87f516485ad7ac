// What clients ask first: which groups, versions and resources there are (plain and aggregated
// discovery), and who we are.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cluster/apiserver/request.h"

namespace lateen::cluster::apiserver {

// gitVersion of the API that this server speaks.
inline constexpr std::string_view kServedVersion = "v1.32.4";

// Answers /api, /apis, /api/v1, /apis/G, /apis/G/V; nullopt for other paths.
std::optional<ApiResponse> discover(const ApiRequest& request, const Registry& registry);
ApiResponse version_response();

std::vector<std::string> verbs_of(const ResourceType& type);
// What a subresource reads or writes: group, version and kind of its own objects, and its verbs.
struct SubresourceShape {
  std::string group;
  std::string version;
  std::string kind;
  std::vector<std::string> verbs;
};
SubresourceShape shape_of(const ResourceType& type, const std::string& version,
                          std::string_view subresource);
std::vector<std::string> subresources_of(const ResourceType& type, const ServedVersion& version);

}  // namespace lateen::cluster::apiserver
