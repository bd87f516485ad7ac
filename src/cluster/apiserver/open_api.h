// /openapi/v2 and /openapi/v3: schemas of everything served, for kubectl explain and client-side
// validation. Documents are built on first use and kept until the registry changes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "cluster/apiserver/request.h"

namespace lateen::cluster::apiserver {

// Thread-safe.
class OpenApi {
 public:
  // nullopt: no such document. `generation` tells when cached documents are stale.
  std::optional<ApiResponse> serve(const ApiRequest& request, const Registry& registry,
                                   std::uint64_t generation);

 private:
  using Text = std::shared_ptr<const std::string>;
  template <typename Make>
  Text cached(const std::string& name, std::uint64_t generation, Make make);
  std::mutex mutex_;
  std::uint64_t generation_ = 0;
  std::map<std::string, Text> documents_;
};

// Definitions of the kinds of one group version (all when `group_version` is empty), by OpenAPI
// name, with what they refer to. `prefix` is "#/definitions/" or "#/components/schemas/".
JsonObject open_api_definitions(const Registry& registry, std::string_view group_version,
                                std::string_view prefix);
// Paths of one group version; enough for clients to learn verbs, kinds and query parameters.
JsonObject open_api_paths(const Registry& registry, std::string_view group_version, bool is_v3);
// A version 2 document as gnostic's protobuf (openapi_v2.Document), which old kubectl insists on.
std::string encode_open_api_v2(const Json& document);

}  // namespace lateen::cluster::apiserver
