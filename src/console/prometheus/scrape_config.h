// Debian's Prometheus is built without kubernetes_sd_configs. This turns each of them, in a
// prometheus.yml as Istio's addon has it, into http_sd_configs that ask us; target_groups.h
// answers.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "data/json.h"

namespace lateen::console {

// One kubernetes_sd_configs entry.
struct TargetQuery {
  std::string role;                  // pod, endpoints, endpointslice, service, node, ingress
  std::set<std::string> namespaces;  // empty: all
  std::string label_selector, field_selector;
};

struct RewrittenConfig {
  std::string yaml;
  std::vector<TargetQuery> queries;  // number N is asked at BASE/N
};

// `base_url` is where the targets are served: "http://127.0.0.1:1234/targets".
Result<RewrittenConfig> rewrite_scrape_config(std::string_view yaml, std::string_view base_url);

}  // namespace lateen::console
