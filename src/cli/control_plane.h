// Asking the control planes of a cluster: each istiod pod, over a port-forward.
#pragma once

#include <string>
#include <vector>

#include "cli/session.h"

namespace lateen::cli {

struct IstiodAnswer {
  std::string pod;
  std::string revision;
  std::string body;
};

// Running istiod pods, newest API objects; of one revision and with more labels when not empty.
Result<std::vector<Json>> istiod_pods(Session& session, const std::string& revision = {},
                                      const std::string& selector = {});
// GET `path` on port 15014 of each. A pod that does not answer is an error that names it.
Result<std::vector<IstiodAnswer>> ask_istiods(Session& session, const std::string& path,
                                              const std::string& revision = {});

}  // namespace lateen::cli
