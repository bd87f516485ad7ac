// Rows for clusters, routes, endpoints and bootstrap.
#include "cli/proxy_tables.h"

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "cli/proxy_tables_text.h"
#include "cli/session.h"

namespace lateen::cli {
namespace {

constexpr std::size_t kMostDomains = 2;

std::string cluster_type(const Json& cluster) {
  if (walk(cluster, {"cluster_type"}) != nullptr) return "-";
  return std::string(text_at(cluster, {"type"}, "STATIC"));
}

// Istio's metadata names the config that made a resource.
std::string managed_by(const Json& resource) {
  const Json* istio = walk(resource, {"metadata", "filter_metadata", "istio"});
  if (istio == nullptr) return "";
  const auto path = split(data::get_string(*istio, {"config"}), '/');
  return path.size() == 8 ? std::string(path[7]) + "." + std::string(path[5]) : "";
}

std::string describe_domains(const data::JsonArray& domains) {
  if (domains.empty()) return "";
  if (domains.size() == 1) return std::string(data::as_string(domains[0]));
  std::vector<std::string> shown;
  std::set<std::string> all;
  for (const Json& each : domains) all.emplace(data::as_string(each));
  for (const Json& each : domains) {
    const std::string domain(data::as_string(each));
    if (domain.find(':') != std::string::npos && !domain.ends_with(']')) continue;
    const auto shortened = [&](std::string_view suffix) {
      return domain.ends_with(suffix) &&
             all.contains(domain.substr(0, domain.size() - suffix.size()));
    };
    if (!shortened(".svc.cluster.local") && !shortened(".svc")) shown.push_back(domain);
  }
  if (shown.size() <= kMostDomains) return join(shown, ", ");
  return shown[0] + ", " + shown[1] + " + " + std::to_string(shown.size() - kMostDomains) +
         " more...";
}

std::string host_address(const Json& host) {
  if (const Json* socket = walk(host, {"address", "socket_address"})) {
    const auto port = number_at(*socket, {"port_value"});
    return std::string(text_at(*socket, {"address"})) +
           (port != 0 ? ":" + std::to_string(port) : "");
  }
  if (const auto path = text_at(host, {"address", "pipe", "path"}); !path.empty())
    return "unix://" + std::string(path);
  if (const Json* internal = walk(host, {"address", "envoy_internal_address"})) {
    return "envoy://" + std::string(text_at(*internal, {"server_listener_name"})) + "/" +
           std::string(text_at(*internal, {"endpoint_id"}));
  }
  return "unknown";
}

bool flag_at(const Json& object, std::initializer_list<std::string_view> path) {
  const Json* found = walk(object, path);
  return found != nullptr && *found == Json(true);
}

}  // namespace

bool ClusterFilter::matches(const Json& cluster) const {
  const std::string name(text_at(cluster, {"name"}));
  return (fqdn.empty() || name.find(fqdn) != std::string::npos) &&
         (direction.empty() || name.find(direction) != std::string::npos) &&
         (subset.empty() || name.find(subset) != std::string::npos) &&
         (port == 0 || name.find("|" + std::to_string(port) + "|") != std::string::npos);
}

bool RouteFilter::matches(const Json& route) const {
  return name.empty() || text_at(route, {"name"}) == name;
}

bool EndpointFilter::matches(const Json& host, std::string_view of_cluster) const {
  const std::string where = host_address(host);
  const auto health = text_at(host, {"health_status", "eds_health_status"}, "UNKNOWN");
  return (address.empty() || where.substr(0, where.rfind(':')) == address || where == address) &&
         (port == 0 || where.ends_with(":" + std::to_string(port))) &&
         (cluster.empty() || iequals(of_cluster, cluster)) &&
         (status.empty() || iequals(health, status));
}

std::string cluster_table(const Json& dump, const ClusterFilter& filter) {
  struct Row {
    SubsetKey key;
    std::vector<std::string> cells;
  };
  std::vector<Row> rows;
  for (const Json& cluster : clusters_in(dump)) {
    if (!filter.matches(cluster)) continue;
    const std::string name(text_at(cluster, {"name"}));
    SubsetKey key;
    if (parse_subset_key(name, key)) {
      rows.push_back({key,
                      {key.fqdn, key.port, key.subset.empty() ? "-" : key.subset, key.direction,
                       cluster_type(cluster), managed_by(cluster)}});
    } else {
      rows.push_back(
          {{"", "0", "", name}, {name, "-", "-", "-", cluster_type(cluster), managed_by(cluster)}});
    }
  }
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    const auto order = [](const Row& r) {
      return std::tuple(r.key.fqdn, r.key.subset, parse_int(r.key.port).value_or(0),
                        r.key.direction);
    };
    return order(a) < order(b);
  });
  std::vector<std::vector<std::string>> table{
      {"SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"}};
  for (auto& row : rows) table.push_back(std::move(row.cells));
  return format_table(table);
}

std::string route_table(const Json& dump, const RouteFilter& filter) {
  auto routes = routes_in(dump);
  std::stable_sort(routes.begin(), routes.end(), [](const Json& a, const Json& b) {
    const auto x = parse_int(text_at(a, {"name"})), y = parse_int(text_at(b, {"name"}));
    return x && y && *x < *y;
  });
  std::vector<std::vector<std::string>> table;
  if (filter.is_verbose)
    table.push_back({"NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"});
  else table.push_back({"NAME", "VIRTUAL HOSTS"});
  for (const Json& config : routes) {
    if (!filter.matches(config)) continue;
    const std::string name(text_at(config, {"name"}));
    const auto& hosts = list_at(config, {"virtual_hosts"});
    if (!filter.is_verbose) {
      table.push_back({name, std::to_string(hosts.size())});
      continue;
    }
    for (const Json& host : hosts) {
      const std::string vhost(text_at(host, {"name"})),
          domains = describe_domains(list_at(host, {"domains"}));
      for (const Json& route : list_at(host, {"routes"})) {
        if (text_at(route, {"route", "cluster"}) == "PassthroughCluster") continue;
        const Json* match = walk(route, {"match"});
        table.push_back({name, vhost, domains, match != nullptr ? describe_match(*match) : "",
                         managed_by(route)});
      }
      if (list_at(host, {"routes"}).empty()) table.push_back({name, vhost, domains, "/*", "404"});
    }
  }
  return format_table(table);
}

std::string endpoint_table(const Json& clusters, const EndpointFilter& filter) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& cluster : list_at(clusters, {"cluster_statuses"})) {
    const std::string name(text_at(cluster, {"name"}));
    for (const Json& host : list_at(cluster, {"host_statuses"})) {
      if (!filter.matches(host, name)) continue;
      rows.push_back({host_address(host),
                      std::string(text_at(host, {"health_status", "eds_health_status"}, "UNKNOWN")),
                      flag_at(host, {"health_status", "failed_outlier_check"}) ? "FAILED" : "OK",
                      name});
    }
  }
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
    return std::tie(a[0], a[3]) < std::tie(b[0], b[3]);
  });
  rows.insert(rows.begin(), {"ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"});
  return format_table(rows);
}

std::string bootstrap_table(const Json& dump) {
  const Json* found = section(dump, "BootstrapConfigDump");
  if (found == nullptr) return "";
  std::vector<std::vector<std::string>> rows;
  if (const Json* node = walk(*found, {"bootstrap", "node"})) {
    const auto version = data::get_string(*node, {"metadata", "ISTIO_VERSION"});
    if (!version.empty()) rows.push_back({"Istio Version:", std::string(version)});
    if (const Json* envoy = walk(*node, {"user_agent_build_version", "version"})) {
      rows.push_back({"Envoy Version:", std::to_string(number_at(*envoy, {"major_number"})) + "." +
                                            std::to_string(number_at(*envoy, {"minor_number"})) +
                                            "." + std::to_string(number_at(*envoy, {"patch"}))});
    }
  }
  return format_table(rows, 1);
}

}  // namespace lateen::cli
