// Routes of the dashboards role.
#include "console/roles/grafana.h"

#include <fmt/core.h>

#include "base/strings.h"
#include "console/server/assets.h"
#include "data/yaml.h"

namespace lateen::console {

ApiReply GrafanaRole::handle(const ApiRequest& request) {
  const std::string_view path = request.path;
  if (path == "/healthz") return ApiReply::text("Ok");
  if (path == "/metrics") {
    return ApiReply::text("# TYPE grafana_info gauge\ngrafana_info{edition=\"lateen\"} 1\n", 200,
                          "text/plain; version=0.0.4; charset=utf-8");
  }
  if (path.starts_with("/api/")) return api(request, path.substr(5));
  if (path.starts_with("/assets/")) return serve_asset(request, path.substr(8));
  return serve_page({"grafana", "", "dashboards"});
}

ApiReply GrafanaRole::api(const ApiRequest& request, std::string_view path) {
  if (path == "health") {
    return ApiReply::json({{"database", "ok"}, {"version", "lateen"}, {"commit", "lateen"}});
  }
  if (path == "search") return ApiReply::json(dashboards_.list());
  if (path.starts_with("dashboards/uid/")) return dashboards_.serve(path.substr(15));
  if (path.starts_with("prometheus/")) return prometheus_.pass(request, path.substr(10));
  const data::Json source = {{"id", 1},
                             {"uid", "prometheus"},
                             {"name", "Prometheus"},
                             {"type", "prometheus"},
                             {"access", "proxy"},
                             {"url", prometheus_.base_url()},
                             {"isDefault", true}};
  if (path == "datasources") {
    data::JsonArray list;
    list.push_back(source);
    return ApiReply::json(list);
  }
  for (const std::string_view proxy :
       {"datasources/proxy/1/", "datasources/proxy/uid/prometheus/"}) {
    if (path.starts_with(proxy)) return prometheus_.pass(request, path.substr(proxy.size() - 1));
  }
  if (path.starts_with("datasources/")) return ApiReply::json(source);
  if (path == "org") return ApiReply::json({{"id", 1}, {"name", "Main Org."}});
  return ApiReply::error(not_found(fmt::format("no such API: {}", path)));
}

std::string prometheus_in_datasources(std::string_view yaml) {
  const auto root = data::parse_yaml(yaml);
  if (!root.ok()) return "";
  for (const data::Json& one : data::get_array(root.value(), {"datasources"})) {
    if (data::get_string(one, {"type"}) == "prometheus")
      return std::string(data::get_string(one, {"url"}));
  }
  return "";
}

}  // namespace lateen::console
