// exec, attach and port-forward: from the upgraded connection to the node agent.
#include "cluster/apiserver/subresources.h"

namespace lateen::cluster::apiserver {

Outcome<ApiResponse> Subresources::stream(Call& call) {
  const auto pod = resources_.parts().store.get(call.type->bucket, call.key());
  if (pod == nullptr) return call.not_found(call.info.name);
  return Status::unavailable("the node agent is not running yet");
}

}  // namespace lateen::cluster::apiserver
