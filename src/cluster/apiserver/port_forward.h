// Port-forward: pairs of SPDY streams (data and error, tied by requestid) onto TCP connections
// inside the pod, straight over the upgraded connection or tunnelled in WebSocket messages
// (SPDY/3.1+portforward.k8s.io).
#pragma once

#include <memory>

#include "cluster/apiserver/duplex.h"
#include "cluster/apiserver/worker_pool.h"
#include "cluster/node/streams.h"

namespace lateen::cluster::apiserver {

struct ForwardPlan {
  PodStreams* streams = nullptr;
  kube::Key pod;
  WorkerPool* pool = nullptr;
  bool is_tunnelled = false;  // in WebSocket messages
};
std::unique_ptr<DuplexBody> make_port_forward(event::Loop& loop, http::Body from_client,
                                              ForwardPlan plan);
// The older form in WebSocket messages (v4.channel.k8s.io): the ports are named in the request.
std::unique_ptr<DuplexBody> make_channel_forward(event::Loop& loop, http::Body from_client,
                                                 ForwardPlan plan, std::vector<int> ports);

}  // namespace lateen::cluster::apiserver
