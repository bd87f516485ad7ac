// Walks scrape_configs (and the alertmanagers, which may be discovered too).
#include "console/prometheus/scrape_config.h"

#include <fmt/core.h>

#include "data/yaml.h"

namespace lateen::console {
namespace {

using data::Json;

constexpr std::size_t kMaxQueries = 200;
// A pod that is new is scraped within this and a scrape interval; each look costs Prometheus and
// us.
constexpr std::string_view kRefresh = "10s";

TargetQuery read_query(const Json& entry) {
  TargetQuery query;
  query.role = data::get_string(entry, {"role"});
  for (const Json& name : data::get_array(entry, {"namespaces", "names"})) {
    query.namespaces.insert(std::string(data::as_string(name)));
  }
  for (const Json& selector : data::get_array(entry, {"selectors"})) {
    if (data::get_string(selector, {"role"}) != query.role) continue;
    query.label_selector = data::get_string(selector, {"label"});
    query.field_selector = data::get_string(selector, {"field"});
  }
  return query;
}

Result<> rewrite(Json& job, std::string_view base_url, std::vector<TargetQuery>& queries) {
  auto* object = job.if_object();
  if (object == nullptr) return {};
  const data::JsonArray entries = data::get_array(job, {"kubernetes_sd_configs"});
  if (entries.empty()) return {};
  data::JsonArray targets = data::get_array(job, {"http_sd_configs"});
  for (const Json& entry : entries) {
    if (queries.size() >= kMaxQueries) return invalid("more than 200 kubernetes_sd_configs");
    targets.push_back({{"url", fmt::format("{}/{}", base_url, queries.size())},
                       {"refresh_interval", data::Json(kRefresh)}});
    queries.push_back(read_query(entry));
  }
  object->erase("kubernetes_sd_configs");
  (*object)["http_sd_configs"] = std::move(targets);
  return {};
}

Result<> rewrite_list(Json& root, std::initializer_list<std::string_view> path,
                      std::string_view base_url, std::vector<TargetQuery>& queries) {
  Json* list = data::find(root, path);
  auto* jobs = list == nullptr ? nullptr : list->if_array();
  if (jobs == nullptr) return {};
  for (Json& job : *jobs) TRY(rewrite(job, base_url, queries));
  return {};
}

}  // namespace

Result<RewrittenConfig> rewrite_scrape_config(std::string_view yaml, std::string_view base_url) {
  Json root = TRY(data::parse_yaml(yaml));
  RewrittenConfig out;
  TRY(rewrite_list(root, {"scrape_configs"}, base_url, out.queries));
  TRY(rewrite_list(root, {"alerting", "alertmanagers"}, base_url, out.queries));
  out.yaml = data::dump_yaml(root, false);
  return out;
}

}  // namespace lateen::console
