// Finding the pods that a verb talks to.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"

namespace lateen::cli {

// "NAME", "NAME.NAMESPACE", "pod/NAME", "deployment/NAME", "deploy/NAME", "service/NAME",
// "svc/NAME", … to one running pod.
Result<kube::Key> resolve_pod(Context& context, const std::string& what);
// Running istiod pods, of `revision` unless it is empty; Unavailable when there is none, with what
// to do.
Result<std::vector<kube::Key>> istiod_pods(Context& context, const std::string& revision = {});

}  // namespace lateen::cli
