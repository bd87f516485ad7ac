// kube::Transport straight into the Api of this process, on the caller's thread.
#pragma once

#include <memory>

#include "cluster/apiserver/api.h"
#include "kube/client.h"

namespace lateen::cluster::apiserver {

// `api` and `clock` outlive the transport; `is_stopping` ends its streams.
std::unique_ptr<kube::Transport> make_local_transport(
    Api& api, User user, std::shared_ptr<const std::atomic<bool>> is_stopping);

}  // namespace lateen::cluster::apiserver
