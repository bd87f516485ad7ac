// Rendering services.
#include "cluster/balancer/rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"

namespace lateen::cluster::balancer {
namespace {

constexpr std::string_view kTable = "ip lateen";
constexpr int kDefaultAffinitySeconds = 10800;

std::string_view protocol_of(const Json& port) {
  const auto protocol = data::get_string(port, {"protocol"}, "TCP");
  return protocol == "UDP" ? "udp" : protocol == "SCTP" ? "sctp" : "tcp";
}

// Chain names must be short and plain; what they stand for is in a comment of the rule.
std::string chain_name(std::string_view kind, std::string_view what) {
  return fmt::format("{}_{:016x}", kind, fnv1a64(what));
}

bool is_true(const Json& endpoint, std::string_view condition, bool fallback) {
  return data::get_bool(endpoint, {"conditions", condition}, fallback);
}

std::string balance(std::string_view protocol, const std::vector<Endpoint>& endpoints) {
  if (endpoints.size() == 1)
    return fmt::format("meta l4proto {} dnat to {}:{}", protocol, endpoints[0].ip,
                       endpoints[0].port);
  std::vector<std::string> choices;
  for (std::size_t i = 0; i < endpoints.size(); ++i)
    choices.push_back(fmt::format("{} : {} . {}", i, endpoints[i].ip, endpoints[i].port));
  return fmt::format("meta l4proto {} dnat ip to numgen random mod {} map {{ {} }}", protocol,
                     endpoints.size(), join(choices, ", "));
}

// With client affinity each endpoint has a chain that remembers its clients in a set of its own.
std::string balance_with_affinity(Rules& rules, std::string_view what, std::string_view protocol,
                                  const std::vector<Endpoint>& endpoints,
                                  std::int64_t affinity_seconds) {
  std::string body;
  std::vector<std::string> choices;
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    const std::string id = fmt::format("{}/{}:{}", what, endpoints[i].ip, endpoints[i].port);
    const std::string set = chain_name("aff", id);
    const std::string chain = chain_name("ep", id);
    rules.sets[set] =
        fmt::format("{{ type ipv4_addr; flags dynamic,timeout; timeout {}s; }}", affinity_seconds);
    rules.chains[chain] = fmt::format("update @{} {{ ip saddr }}\nmeta l4proto {} dnat to {}:{}",
                                      set, protocol, endpoints[i].ip, endpoints[i].port);
    body += fmt::format("ip saddr @{} goto {}\n", set, chain);
    choices.push_back(fmt::format("{} : goto {}", i, chain));
  }
  return body +
         fmt::format("numgen random mod {} vmap {{ {} }}", endpoints.size(), join(choices, ", "));
}

}  // namespace

std::vector<Endpoint> endpoints_of(const Json& service, const Json& port,
                                   const std::vector<kube::ObjectPtr>& slices) {
  const auto port_name = data::get_string(port, {"name"});
  const bool is_unready_wanted = data::get_bool(service, {"spec", "publishNotReadyAddresses"});
  std::vector<Endpoint> ready, terminating;
  for (const auto& slice : slices) {
    if (data::get_string(*slice, {"addressType"}, "IPv4") != "IPv4") continue;
    for (const Json& slice_port : data::get_array(*slice, {"ports"})) {
      if (data::get_string(slice_port, {"name"}) != port_name ||
          protocol_of(slice_port) != protocol_of(port))
        continue;
      const int number = static_cast<int>(data::get_int(slice_port, {"port"}));
      for (const Json& endpoint : data::get_array(*slice, {"endpoints"}))
        for (const Json& address : data::get_array(endpoint, {"addresses"})) {
          const Endpoint found{std::string(data::as_string(address)), number};
          const bool is_terminating = is_true(endpoint, "terminating", false);
          if (is_true(endpoint, "ready", true) || is_unready_wanted) ready.push_back(found);
          else if (is_terminating && is_true(endpoint, "serving", false))
            terminating.push_back(found);
        }
    }
  }
  auto& chosen = ready.empty() ? terminating : ready;
  std::sort(chosen.begin(), chosen.end());
  chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
  return chosen;
}

void Rules::add(const Rules& other) {
  chains.insert(other.chains.begin(), other.chains.end());
  sets.insert(other.sets.begin(), other.sets.end());
  cluster_ips.insert(other.cluster_ips.begin(), other.cluster_ips.end());
  node_ports.insert(other.node_ports.begin(), other.node_ports.end());
  endpoint_ips.insert(other.endpoint_ips.begin(), other.endpoint_ips.end());
}

Rules rules_of(const Json& service, const std::vector<kube::ObjectPtr>& slices) {
  Rules rules;
  if (data::get_string(service, {"spec", "type"}, "ClusterIP") == "ExternalName") return rules;
  const std::string cluster_ip(data::get_string(service, {"spec", "clusterIP"}));
  if (cluster_ip.empty() || cluster_ip == "None") return rules;
  const bool has_affinity = data::get_string(service, {"spec", "sessionAffinity"}) == "ClientIP";
  const auto affinity_seconds =
      data::get_int(service, {"spec", "sessionAffinityConfig", "clientIP", "timeoutSeconds"},
                    kDefaultAffinitySeconds);
  std::vector<std::string> ips{cluster_ip};
  for (const Json& ip : data::get_array(service, {"spec", "externalIPs"}))
    ips.emplace_back(data::as_string(ip));
  for (const Json& port : data::get_array(service, {"spec", "ports"})) {
    const auto endpoints = endpoints_of(service, port, slices);
    // Without endpoints there is no rule, and the table's last word on service addresses is to
    // refuse.
    if (endpoints.empty()) continue;
    const auto protocol = protocol_of(port);
    const std::string what =
        fmt::format("{}:{}:{}/{}", kube::key_of(service).to_string(),
                    data::get_string(port, {"name"}), data::get_int(port, {"port"}), protocol);
    const std::string chain = chain_name("svc", what);
    rules.chains[chain] =
        has_affinity ? balance_with_affinity(rules, what, protocol, endpoints, affinity_seconds)
                     : balance(protocol, endpoints);
    for (const std::string& ip : ips)
      rules.cluster_ips[fmt::format("{} . {} . {}", ip, protocol, data::get_int(port, {"port"}))] =
          chain;
    if (const auto node_port = data::get_int(port, {"nodePort"}); node_port != 0)
      rules.node_ports[fmt::format("{} . {}", protocol, node_port)] = chain;
    for (const Endpoint& endpoint : endpoints) rules.endpoint_ips.insert(endpoint.ip);
  }
  return rules;
}

std::map<std::pair<bool, int>, Endpoint> host_ports_of(const Json& pod) {
  std::map<std::pair<bool, int>, Endpoint> ports;
  const std::string ip(data::get_string(pod, {"status", "podIP"}));
  const auto phase = data::get_string(pod, {"status", "phase"});
  if (ip.empty() || phase == "Succeeded" || phase == "Failed" ||
      data::get_bool(pod, {"spec", "hostNetwork"}))
    return ports;
  for (std::string_view list : {"containers", "initContainers"}) {
    for (const Json& container : data::get_array(pod, {"spec", list})) {
      for (const Json& port : data::get_array(container, {"ports"})) {
        const int number = static_cast<int>(data::get_int(port, {"hostPort"}));
        const auto protocol = protocol_of(port);
        if (number < 1 || number > 65535 || protocol == "sctp") continue;
        ports[{protocol == "udp", number}] = {
            ip, static_cast<int>(data::get_int(port, {"containerPort"}))};
      }
    }
  }
  return ports;
}

Rules rules_of_pod(const Json& pod) {
  Rules rules;
  for (const auto& [key, endpoint] : host_ports_of(pod)) {
    const std::string_view protocol = key.first ? "udp" : "tcp";
    const std::string chain = chain_name(
        "hp", fmt::format("{}:{}/{}", kube::key_of(pod).to_string(), key.second, protocol));
    rules.chains[chain] = balance(protocol, {endpoint});
    rules.node_ports[fmt::format("{} . {}", protocol, key.second)] = chain;
    rules.endpoint_ips.insert(endpoint.ip);
  }
  return rules;
}

std::string table_setup() {
  // The node's own address and the cluster DNS's are local and need no rule to be reached.
  return "add table ip lateen\n"
         "delete table ip lateen\n"
         "table ip lateen {\n"
         "  map cluster_ips { type ipv4_addr . inet_proto . inet_service : verdict; }\n"
         "  map node_ports { type inet_proto . inet_service : verdict; }\n"
         "  set hairpins { type ipv4_addr . ipv4_addr; }\n"
         "  chain services {\n"
         "    ip daddr . meta l4proto . th dport vmap @cluster_ips\n"
         "    ip daddr 172.18.0.2 meta l4proto . th dport vmap @node_ports\n"
         "  }\n"
         "  chain prerouting { type nat hook prerouting priority -100; jump services; }\n"
         "  chain output { type nat hook output priority -100; jump services; }\n"
         // A pod that reaches itself through a service would answer itself directly: the node steps
         // in between.
         "  chain postrouting { type nat hook postrouting priority 100;\n"
         "    ip saddr . ip daddr @hairpins masquerade\n"
         "  }\n"
         "  chain forward { type filter hook forward priority 0;\n"
         "    ip daddr 10.96.0.0/16 meta l4proto tcp reject with tcp reset\n"
         "    ip daddr 10.96.0.0/16 reject\n"
         "  }\n"
         "  chain refused { type filter hook output priority 0;\n"
         "    ip daddr 10.96.0.0/16 ip daddr != 10.96.0.10 meta l4proto tcp reject with tcp reset\n"
         "    ip daddr 10.96.0.0/16 ip daddr != 10.96.0.10 reject\n"
         "  }\n"
         "}\n";
}

namespace {

using Elements = std::map<std::string, std::string>;

void change_elements(std::string& out, std::string_view map, const Elements& before,
                     const Elements& after) {
  for (const auto& [key, chain] : before) {
    const auto found = after.find(key);
    if (found == after.end() || found->second != chain)
      out += fmt::format("delete element {} {} {{ {} : goto {} }}\n", kTable, map, key, chain);
  }
  for (const auto& [key, chain] : after) {
    const auto found = before.find(key);
    if (found == before.end() || found->second != chain)
      out += fmt::format("add element {} {} {{ {} : goto {} }}\n", kTable, map, key, chain);
  }
}

}  // namespace

std::string transaction(const Rules& before, const Rules& after) {
  std::string out;
  // New things first, then who refers to them, then what nobody refers to any more.
  for (const auto& [name, declaration] : after.sets) {
    const auto found = before.sets.find(name);
    if (found == before.sets.end())
      out += fmt::format("add set {} {} {}\n", kTable, name, declaration);
  }
  std::string rules;
  for (const auto& [name, body] : after.chains) {
    const auto found = before.chains.find(name);
    if (found != before.chains.end() && found->second == body) continue;
    out += fmt::format("add chain {} {}\n", kTable, name);
    if (found != before.chains.end()) rules += fmt::format("flush chain {} {}\n", kTable, name);
    for (std::string_view line : split(body, '\n'))
      if (!line.empty()) rules += fmt::format("add rule {} {} {}\n", kTable, name, line);
  }
  out += rules;
  change_elements(out, "cluster_ips", before.cluster_ips, after.cluster_ips);
  change_elements(out, "node_ports", before.node_ports, after.node_ports);
  for (const std::string& ip : before.endpoint_ips)
    if (!after.endpoint_ips.contains(ip))
      out += fmt::format("delete element {0} hairpins {{ {1} . {1} }}\n", kTable, ip);
  for (const std::string& ip : after.endpoint_ips)
    if (!before.endpoint_ips.contains(ip))
      out += fmt::format("add element {0} hairpins {{ {1} . {1} }}\n", kTable, ip);
  std::string deletions;
  for (const auto& [name, body] : before.chains)
    if (!after.chains.contains(name)) {
      out += fmt::format("flush chain {} {}\n", kTable, name);
      deletions += fmt::format("delete chain {} {}\n", kTable, name);
    }
  out += deletions;
  for (const auto& [name, declaration] : before.sets)
    if (!after.sets.contains(name)) out += fmt::format("delete set {} {}\n", kTable, name);
  return out;
}

}  // namespace lateen::cluster::balancer
