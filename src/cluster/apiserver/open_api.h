// /openapi/v2 and /openapi/v3: schemas of everything served, for kubectl explain and client-side
// validation.
#pragma once

#include <cstdint>
#include <optional>

#include "cluster/apiserver/request.h"

namespace lateen::cluster::apiserver {

// Thread-safe.
class OpenApi {
 public:
  // nullopt: no such document. `generation` tells when cached documents are stale.
  std::optional<ApiResponse> serve(const ApiRequest& request, const Registry& registry,
                                   std::uint64_t generation);
};

}  // namespace lateen::cluster::apiserver
