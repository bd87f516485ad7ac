// Commands in running containers: for probes and hooks (with their output) and for `kubectl exec`
// (with streams).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cluster/node/launch.h"
#include "cluster/node/probes.h"
#include "cluster/node/streams.h"

namespace lateen::cluster::node {

// Runs `command` to its end; killed after `limit` (DeadlineExceeded). The output is the first 10
// KiB of both streams.
Result<ProbeTarget::Finished> run_in_container(const RunningContainer& container,
                                               const std::vector<std::string>& command,
                                               milliseconds limit);

Result<std::unique_ptr<ExecSession>> start_exec(std::shared_ptr<const RunningContainer> container,
                                                const ExecRequest& request);
Result<std::unique_ptr<ExecSession>> start_attach(std::shared_ptr<const RunningContainer> container,
                                                  const ExecRequest& request, LogPump& pump);

}  // namespace lateen::cluster::node
