// Rows for listeners: one for each filter chain, with what it matches and where it leads.
#include <algorithm>

#include "base/strings.h"
#include "cli/proxy_tables.h"
#include "cli/proxy_tables_text.h"
#include "cli/session.h"

namespace lateen::cli {
namespace {

constexpr std::string_view kHttp = "envoy.filters.network.http_connection_manager";
constexpr std::string_view kTcp = "envoy.filters.network.tcp_proxy";

std::vector<const Json*> chains_of(const Json& listener) {
  std::vector<const Json*> out;
  for (const Json& chain : list_at(listener, {"filter_chains"})) out.push_back(&chain);
  if (const Json* last = walk(listener, {"default_filter_chain"})) out.push_back(last);
  return out;
}

bool leads_nowhere(const Json& filter) {
  return text_at(filter, {"typed_config", "cluster"}) == "BlackHoleCluster";
}

std::string type_of(const Json& listener) {
  int http = 0, tcp = 0;
  for (const Json* chain : chains_of(listener)) {
    for (const Json& filter : list_at(*chain, {"filters"})) {
      const auto name = text_at(filter, {"name"});
      http += name == kHttp;
      tcp += name == kTcp && !leads_nowhere(filter);
    }
  }
  if (http > 0) return tcp > 0 ? "HTTP+TCP" : "HTTP";
  return tcp > 0 ? "TCP" : "UNKNOWN";
}

std::string address_of(const Json& listener) {
  std::string out(text_at(listener, {"address", "socket_address", "address"}));
  if (out.empty()) out = text_at(listener, {"address", "pipe", "path"});
  for (const Json& more : list_at(listener, {"additional_addresses"}))
    out += "," + std::string(text_at(more, {"address", "socket_address", "address"}));
  return out;
}

std::int64_t port_of(const Json& listener) {
  return number_at(listener, {"address", "socket_address", "port_value"});
}

std::string joined(const data::JsonArray& list) {
  std::string out;
  for (const Json& each : list)
    out += (out.empty() ? "" : ",") + std::string(data::as_string(each));
  return out;
}

std::string describe_protocols(const std::string& protocols) {
  if (protocols == "http/1.0,http/1.1,h2c,istio-http/1.0,istio-http/1.1,istio-h2")
    return "App: HTTP TLS";
  if (protocols == "istio,istio-http/1.0,istio-http/1.1,istio-h2") return "App: Istio HTTP Plain";
  if (protocols == "istio-peer-exchange,istio") return "App: TCP TLS";
  if (protocols == "http/1.0,http/1.1,h2c" || protocols == "http/1.1,h2c") return "App: HTTP";
  return "App: " + protocols;
}

std::string with_label(std::string_view cluster) {
  return (cluster.find("Cluster") != std::string_view::npos ? "" : "Cluster: ") +
         std::string(cluster);
}

std::string describe_inline(const Json& routes) {
  const auto& hosts = list_at(routes, {"virtual_hosts"});
  if (hosts.size() == 1 && list_at(hosts[0], {"routes"}).size() == 1) {
    const Json& route = list_at(hosts[0], {"routes"})[0];
    const bool is_all =
        joined(list_at(hosts[0], {"domains"})) == "*" && text_at(route, {"match", "prefix"}) == "/";
    const auto cluster = text_at(route, {"route", "cluster"});
    if (is_all && !cluster.empty()) return with_label(cluster);
  }
  std::string out;
  for (const Json& host : hosts) {
    std::string matches;
    for (const Json& route : list_at(host, {"routes"})) {
      const Json* match = walk(route, {"match"});
      matches += (matches.empty() ? "" : ", ") +
                 (match != nullptr ? describe_match(*match) : std::string());
    }
    const std::string domains = replace_all(joined(list_at(host, {"domains"})), ",", "/");
    out += (out.empty() ? "" : "; ") + (domains == "*" ? "" : domains + " ") + matches;
  }
  return "Inline Route: " + out;
}

}  // namespace

std::string describe_match(const Json& match) {
  std::vector<std::string> parts;
  if (const auto prefix = text_at(match, {"prefix"}); !prefix.empty())
    parts.push_back(std::string(prefix) + "*");
  if (const auto prefix = text_at(match, {"path_separated_prefix"}); !prefix.empty())
    parts.push_back("PathPrefix:" + std::string(prefix));
  if (const auto path = text_at(match, {"path"}); !path.empty()) parts.emplace_back(path);
  if (const auto regex = text_at(match, {"safe_regex", "regex"}); !regex.empty())
    parts.push_back("regex " + std::string(regex));
  return join(parts, " ");
}

std::string describe_chain_match(const Json& chain) {
  static const Json kNone{data::JsonObject{}};
  const Json* found = walk(chain, {"filter_chain_match"});
  const Json& match = found != nullptr ? *found : kNone;
  std::vector<std::string> parts;
  if (const auto names = joined(list_at(match, {"server_names"})); !names.empty())
    parts.push_back("SNI: " + names);
  if (const auto transport = text_at(match, {"transport_protocol"}); !transport.empty())
    parts.push_back("Trans: " + std::string(transport));
  if (const auto protocols = joined(list_at(match, {"application_protocols"})); !protocols.empty())
    parts.push_back(describe_protocols(protocols));
  const auto port = number_at(match, {"destination_port"});
  const std::string port_text = port != 0 ? ":" + std::to_string(port) : "";
  std::string ranges;
  for (const Json& range : list_at(match, {"prefix_ranges"})) {
    ranges += (ranges.empty() ? "" : ",") + std::string(text_at(range, {"address_prefix"})) + "/" +
              std::to_string(number_at(range, {"prefix_len"}));
  }
  if (!ranges.empty()) parts.push_back("Addr: " + ranges + port_text);
  else if (port != 0) parts.push_back("Addr: *" + port_text);
  return parts.empty() ? "ALL" : join(parts, "; ");
}

std::string describe_destination(const Json& chain) {
  for (const Json& filter : list_at(chain, {"filters"})) {
    const auto name = text_at(filter, {"name"});
    if (name == kHttp) {
      if (const Json* routes = walk(filter, {"typed_config", "route_config"}))
        return describe_inline(*routes);
      const auto rds = text_at(filter, {"typed_config", "rds", "route_config_name"});
      return rds.empty() ? "HTTP" : "Route: " + std::string(rds);
    }
    if (name == kTcp && !leads_nowhere(filter)) {
      if (const auto cluster = text_at(filter, {"typed_config", "cluster"}); !cluster.empty())
        return with_label(cluster);
      std::string weighted;
      for (const Json& each : list_at(filter, {"typed_config", "weighted_clusters", "clusters"}))
        weighted += (weighted.empty() ? "" : ", ") + std::string(text_at(each, {"name"}));
      return "Cluster: " + weighted;
    }
  }
  return "Non-HTTP/Non-TCP";
}

bool ListenerFilter::matches(const Json& listener) const {
  return (address.empty() || address_of(listener) == address) &&
         (port == 0 || port_of(listener) == port) &&
         (type.empty() || iequals(type_of(listener), type));
}

std::string listener_table(const Json& dump, const ListenerFilter& filter) {
  auto listeners = listeners_in(dump);
  std::erase_if(listeners, [&](const Json& each) { return !filter.matches(each); });
  std::sort(listeners.begin(), listeners.end(), [](const Json& a, const Json& b) {
    return std::tuple(port_of(a), address_of(a), type_of(a)) <
           std::tuple(port_of(b), address_of(b), type_of(b));
  });
  std::vector<std::vector<std::string>> table;
  if (filter.is_verbose) table.push_back({"ADDRESSES", "PORT", "MATCH", "DESTINATION"});
  else table.push_back({"ADDRESSES", "PORT", "TYPE"});
  for (const Json& listener : listeners) {
    const std::string address = address_of(listener), port = std::to_string(port_of(listener));
    if (!filter.is_verbose) {
      table.push_back({address, port, type_of(listener)});
      continue;
    }
    std::vector<std::vector<std::string>> rows;
    for (const Json* chain : chains_of(listener))
      rows.push_back({address, port, describe_chain_match(*chain), describe_destination(*chain)});
    std::stable_sort(rows.begin(), rows.end(),
                     [](const auto& a, const auto& b) { return a[3] > b[3]; });
    for (auto& row : rows) table.push_back(std::move(row));
  }
  return format_table(table, 1);
}

}  // namespace lateen::cli
