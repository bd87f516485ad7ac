// TargetSource: answers a TargetQuery from informers on the API server.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "console/prometheus/scrape_config.h"
#include "console/prometheus/target_groups.h"
#include "kube/informer.h"

namespace lateen::console {

// Thread-safe. `client` outlives it.
class TargetSource {
 public:
  explicit TargetSource(kube::Client& client) : client_(client) {}
  // Starts watching what the role needs. Unavailable until the first list came in: Prometheus keeps
  // what it had and asks again. Selectors are applied by the server, so each selector has a watch
  // of its own.
  Result<data::JsonArray> targets(const TargetQuery& query);

 private:
  Result<std::vector<data::Json>> list(const kube::Resource& resource, const TargetQuery& query,
                                       bool is_selected);
  kube::Client& client_;
  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<kube::Informer>> informers_;
};

}  // namespace lateen::console
