// How istioctl words matches and destinations.
#include <algorithm>
#include <array>
#include <set>

#include "base/strings.h"
#include "cli/proxy_config.h"

namespace lateen::cli::describe {
namespace {

using data::Json;

std::string joined(const data::JsonArray& items, std::string_view separator) {
  std::string out;
  for (const Json& item : items) {
    if (!out.empty()) out += separator;
    out += data::as_string(item);
  }
  return out;
}

const Json* first_filter(const Json& chain, std::string_view name) {
  for (const Json& filter : data::get_array(chain, {"filters"})) {
    if (data::get_string(filter, {"name"}) == name) return data::find(filter, {"typed_config"});
  }
  return nullptr;
}

constexpr std::string_view kHttpFilter = "envoy.filters.network.http_connection_manager";
constexpr std::string_view kTcpFilter = "envoy.filters.network.tcp_proxy";

std::string cluster_text(std::string_view cluster) {
  return (cluster.find("Cluster") != std::string_view::npos ? "" : "Cluster: ") +
         std::string(cluster);
}

std::string inline_route(const Json& config) {
  const auto& hosts = data::get_array(config, {"virtual_hosts"});
  if (hosts.size() == 1 && joined(data::get_array(hosts[0], {"domains"}), ",") == "*") {
    const auto& routes = data::get_array(hosts[0], {"routes"});
    if (routes.size() == 1 && data::get_string(routes[0], {"match", "prefix"}) == "/") {
      const auto cluster = data::get_string(routes[0], {"route", "cluster"});
      if (!cluster.empty()) return cluster_text(cluster);
    }
  }
  std::string out = "Inline Route: ";
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    if (i > 0) out += "; ";
    const std::string names = joined(data::get_array(hosts[i], {"domains"}), "/");
    if (names != "*") out += names + " ";
    std::string routes;
    for (const Json& route : data::get_array(hosts[i], {"routes"})) {
      if (!routes.empty()) routes += ", ";
      if (const auto* match = data::find(route, {"match"})) routes += route_match(*match);
    }
    out += routes;
  }
  return out;
}

}  // namespace

std::string route_match(const Json& match) {
  std::string out;
  const auto add = [&](const std::string& text) { out += (out.empty() ? "" : " ") + text; };
  if (const auto text = data::get_string(match, {"prefix"}); !text.empty())
    add(std::string(text) + "*");
  if (const auto text = data::get_string(match, {"path_separated_prefix"}); !text.empty())
    add("PathPrefix:" + std::string(text));
  if (const auto text = data::get_string(match, {"path"}); !text.empty()) add(std::string(text));
  if (const auto text = data::get_string(match, {"safe_regex", "regex"}); !text.empty())
    add("regex " + std::string(text));
  return out;
}

std::string domains(const data::JsonArray& domains) {
  if (domains.size() == 1) return std::string(data::as_string(domains[0]));
  std::vector<std::string> plain;
  for (const Json& domain : domains) {
    const auto text = data::as_string(domain);
    if (text.find(':') == std::string_view::npos ||
        (std::count(text.begin(), text.end(), ':') > 2 && text.ends_with(']')))
      plain.emplace_back(text);
  }
  const std::set<std::string> all(plain.begin(), plain.end());
  std::erase_if(plain, [&](const std::string& name) {
    for (const std::string_view suffix : {".svc.cluster.local", ".svc"}) {
      if (name.ends_with(suffix) && all.contains(name.substr(0, name.size() - suffix.size())))
        return true;
    }
    return false;
  });
  static constexpr std::size_t kShown = 2;
  const std::size_t hidden = plain.size() > kShown ? plain.size() - kShown : 0;
  plain.resize(plain.size() - hidden);
  return join(plain, ", ") + (hidden > 0 ? " + " + std::to_string(hidden) + " more..." : "");
}

std::string chain_match(const Json& match) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kKnown = {{
      {"http/1.0,http/1.1,h2c,istio-http/1.0,istio-http/1.1,istio-h2", "App: HTTP TLS"},
      {"istio,istio-http/1.0,istio-http/1.1,istio-h2", "App: Istio HTTP Plain"},
      {"istio-peer-exchange,istio", "App: TCP TLS"},
      {"http/1.0,http/1.1,h2c", "App: HTTP"},
  }};
  std::vector<std::string> parts;
  if (const auto& names = data::get_array(match, {"server_names"}); !names.empty())
    parts.push_back("SNI: " + joined(names, ","));
  if (const auto text = data::get_string(match, {"transport_protocol"}); !text.empty())
    parts.push_back("Trans: " + std::string(text));
  if (const auto& list = data::get_array(match, {"application_protocols"}); !list.empty()) {
    const std::string text = joined(list, ",");
    const auto known = std::find_if(kKnown.begin(), kKnown.end(),
                                    [&](const auto& entry) { return entry.first == text; });
    parts.push_back(known != kKnown.end() ? std::string(known->second) : "App: " + text);
  }
  const auto port = data::get_int(match, {"destination_port"}, -1);
  const std::string port_text = port >= 0 ? ":" + std::to_string(port) : "";
  std::string ranges;
  for (const Json& range : data::get_array(match, {"prefix_ranges"})) {
    ranges += (ranges.empty() ? "" : ",") +
              std::string(data::get_string(range, {"address_prefix"})) + "/" +
              std::to_string(data::get_int(range, {"prefix_len"}));
  }
  if (!ranges.empty()) parts.push_back("Addr: " + ranges + port_text);
  else if (!port_text.empty()) parts.push_back("Addr: *" + port_text);
  return parts.empty() ? "ALL" : join(parts, "; ");
}

std::string destination(const Json& chain) {
  if (const Json* http = first_filter(chain, kHttpFilter)) {
    if (const auto* routes = data::find(*http, {"route_config"})) return inline_route(*routes);
    const auto name = data::get_string(*http, {"rds", "route_config_name"});
    return name.empty() ? "HTTP" : "Route: " + std::string(name);
  }
  if (const Json* tcp = first_filter(chain, kTcpFilter)) {
    const auto cluster = data::get_string(*tcp, {"cluster"});
    if (!cluster.empty() && cluster != "BlackHoleCluster") return cluster_text(cluster);
    if (cluster.empty()) return "Weighted clusters";
  }
  return "Non-HTTP/Non-TCP";
}

std::string managing_config(const Json& object) {
  const auto path = data::get_string(object, {"metadata", "filter_metadata", "istio", "config"});
  if (path.empty()) return "";
  // /apis/networking.istio.io/v1alpha3/namespaces/NS/virtual-service/NAME
  const auto parts = split(path, '/');
  return parts.size() == 8 ? std::string(parts[7]) + "." + std::string(parts[5]) : "<unknown>";
}

std::string listener_type(const Json& listener) {
  bool has_http = false, has_tcp = false;
  const auto look = [&](const Json& chain) {
    has_http |= first_filter(chain, kHttpFilter) != nullptr;
    has_tcp |= first_filter(chain, kTcpFilter) != nullptr;
  };
  for (const Json& chain : data::get_array(listener, {"filter_chains"})) look(chain);
  if (const auto* chain = data::find(listener, {"default_filter_chain"})) look(*chain);
  if (has_http && has_tcp) return "HTTP+TCP";
  return has_http ? "HTTP" : has_tcp ? "TCP" : "UNKNOWN";
}

}  // namespace lateen::cli::describe
