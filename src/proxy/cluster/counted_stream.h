// A stream that counts its bytes and its life in a cluster's and a host's statistics.
#pragma once

#include <memory>

#include "net/stream.h"
#include "proxy/cluster/cluster.h"

namespace lateen::proxy {

std::unique_ptr<net::Stream> count_upstream(std::unique_ptr<net::Stream> stream, ClusterRef cluster,
                                            HostRef host);

}  // namespace lateen::proxy
