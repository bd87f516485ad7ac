// The admission webhooks on port 15017: /inject[/cluster/C/net/N] and /validate. AdmissionReview v1
// in and out. The pure part is here; http/ serves it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "discovery/inject/injector.h"
#include "discovery/metrics.h"

namespace lateen::discovery {

// What the webhooks need to know at the moment of a review. Immutable.
struct WebhookState {
  std::shared_ptr<const InjectionConfig> injection;  // null: no template yet, pods are refused
  std::shared_ptr<const mesh::MeshConfig> mesh;
  std::string revision;
  std::vector<mesh::Config<mesh::ProxyConfigSpec>> proxy_configs;
};

// The response's body; an error is a request that is no AdmissionReview (HTTP 400).
Result<std::string> review_injection(const WebhookState& state, std::string_view path,
                                     std::string_view body, Metrics& metrics);
Result<std::string> review_config(std::string_view body, Metrics& metrics);

}  // namespace lateen::discovery
