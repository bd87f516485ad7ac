// See open_api.h.
#include "cluster/apiserver/open_api.h"

namespace lateen::cluster::apiserver {

std::optional<ApiResponse> OpenApi::serve(const ApiRequest& request, const Registry& registry,
                                          std::uint64_t generation) {
  (void)request;
  (void)registry;
  (void)generation;
  return std::nullopt;
}

}  // namespace lateen::cluster::apiserver
