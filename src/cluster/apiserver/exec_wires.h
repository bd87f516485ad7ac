// The two wires of exec and attach: SPDY streams (kubectl up to 1.28, client-go's fallback) and
// WebSocket channels.
#pragma once

#include <string>

#include "cluster/apiserver/exec_body.h"

namespace lateen::cluster::apiserver {

std::unique_ptr<DuplexBody> make_spdy_exec(event::Loop& loop, http::Body from_client,
                                           ExecPlan plan);
// `protocol`: v5.channel.k8s.io, v4.channel.k8s.io or channel.k8s.io.
std::unique_ptr<DuplexBody> make_web_socket_exec(event::Loop& loop, http::Body from_client,
                                                 ExecPlan plan, std::string protocol);

}  // namespace lateen::cluster::apiserver
