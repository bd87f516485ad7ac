// scale, binding, eviction, token, finalize, log, proxy, exec, attach, portforward.
#pragma once

#include <atomic>

#include "cluster/apiserver/authenticator.h"
#include "cluster/apiserver/resources.h"
#include "cluster/apiserver/worker_pool.h"
#include "cluster/node/streams.h"

namespace lateen::cluster::apiserver {

class Subresources {
 public:
  // All outlive it. `pool` runs what blocks on the node agent.
  Subresources(Resources& resources, Authenticator& authenticator, WorkerPool& pool)
      : resources_(resources), authenticator_(authenticator), pool_(pool) {}
  void set_streams(PodStreams* streams) { streams_ = streams; }
  Outcome<ApiResponse> serve(Call& call);

 private:
  Outcome<ApiResponse> scale(Call& call);
  Outcome<ApiResponse> bind(Call& call);
  Outcome<ApiResponse> evict(Call& call);
  Outcome<ApiResponse> token(Call& call);
  Outcome<ApiResponse> finalize(Call& call);
  Outcome<ApiResponse> log(Call& call);
  Outcome<ApiResponse> proxy(Call& call);   // proxy.cc
  Outcome<ApiResponse> stream(Call& call);  // exec, attach, portforward (streaming.cc)

  Resources& resources_;
  Authenticator& authenticator_;
  WorkerPool& pool_;
  std::atomic<PodStreams*> streams_ = nullptr;
};

// The container a request means: `asked`, the default-container annotation, or the only one. Errors
// in upstream's words.
Outcome<std::string> pick_container(const Json& pod, std::string_view asked);

}  // namespace lateen::cluster::apiserver
