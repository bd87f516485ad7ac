// ClusterLoadAssignment to EndpointSet: hosts grouped by priority and locality.

#include "base/strings.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "proxy/cluster/cluster.h"
#include "proxy/cluster/passage.h"
#include "xds/convert.h"
#include "xds/json.h"

namespace lateen::proxy {
namespace {

namespace endpoint = envoy::config::endpoint::v3;
namespace core = envoy::config::core::v3;

constexpr std::uint32_t kMaxPriorities = 128;

void set_health(core::HealthStatus status, HostConfig& host) {
  switch (status) {
    case core::UNHEALTHY:
    case core::DRAINING:
    case core::TIMEOUT:
      host.health = HostConfig::Health::kUnhealthy;
      host.health_text = core::HealthStatus_Name(status);
      break;
    case core::DEGRADED:
      host.health = HostConfig::Health::kDegraded;
      host.health_text = "DEGRADED";
      break;
    default: break;
  }
}

HostConfig host_of(const ClusterConfig& cluster, const endpoint::LocalityLbEndpoints& group,
                   const endpoint::LbEndpoint& from) {
  HostConfig host;
  host.weight =
      from.has_load_balancing_weight() ? std::max(1u, from.load_balancing_weight().value()) : 1;
  host.priority = group.priority();
  host.locality = {group.locality().region(), group.locality().zone(), group.locality().sub_zone()};
  for (const auto& [name, value] : from.metadata().filter_metadata())
    host.metadata[name] = xds::struct_to_json(value);
  host.hostname = from.endpoint().hostname();
  host.transport_socket = cluster.socket_for(host.metadata);
  host.peer =
      parse_workload_text(data::get_string(data::Json(host.metadata), {"istio", "workload"}));
  set_health(from.health_status(), host);
  return host;
}

}  // namespace

std::string HostConfig::hash_key() const {
  const std::string where =
      internal_name.empty() ? address.to_string() : internal_name + endpoint_id;
  return hostname.empty() ? where : hostname + where;
}

std::string HostConfig::special_key() const {
  if (!internal_name.empty()) return "internal:" + internal_name + '/' + endpoint_id;
  return dns_name.empty() ? std::string() : "name:" + dns_name;
}

std::string Passage::key() const {
  std::string text = source.to_string() + ',' + destination.to_string();
  for (const auto& [name, value] : state) text += ',' + name + '=' + value;
  return text;
}

std::size_t EndpointSet::host_count() const {
  std::size_t count = 0;
  for (const auto& priority : priorities)
    for (const auto& group : priority) count += group.hosts.size();
  return count;
}

Result<EndpointsRef> compile_endpoints(const ClusterConfig& cluster,
                                       const endpoint::ClusterLoadAssignment& assignment,
                                       const HostStates& states, const DnsAnswers& dns) {
  auto made = std::make_shared<EndpointSet>();
  if (assignment.policy().has_overprovisioning_factor())
    made->overprovisioning_percent = assignment.policy().overprovisioning_factor().value();
  for (const auto& group : assignment.endpoints()) {
    if (group.priority() >= kMaxPriorities)
      return invalid("priority " + std::to_string(group.priority()) + " is over " +
                         std::to_string(kMaxPriorities - 1),
                     Blame::kConfig);
    if (made->priorities.size() <= group.priority()) made->priorities.resize(group.priority() + 1);
    LocalityGroup out;
    out.locality = {group.locality().region(), group.locality().zone(),
                    group.locality().sub_zone()};
    out.weight = group.has_load_balancing_weight() ? group.load_balancing_weight().value()
                                                   : (cluster.is_locality_weighted ? 0 : 1);
    if (group.load_balancing_weight().value() == 0 && !group.has_load_balancing_weight())
      out.weight = 1;
    const auto add = [&](HostConfig host) {
      host.state = states(host.address.to_string());
      out.hosts.push_back(std::make_shared<const HostConfig>(std::move(host)));
    };
    for (const auto& one : group.lb_endpoints()) {
      HostConfig host = host_of(cluster, group, one);
      if (one.endpoint().address().has_envoy_internal_address()) {
        const auto& internal = one.endpoint().address().envoy_internal_address();
        host.internal_name = internal.server_listener_name();
        host.endpoint_id = internal.endpoint_id();
        if (host.internal_name.empty())
          return invalid("an internal address without server_listener_name", Blame::kConfig);
        host.state = states(host.special_key());
        out.hosts.push_back(std::make_shared<const HostConfig>(std::move(host)));
        continue;
      }
      if (const auto name = xds::to_host_name(one.endpoint().address())) {
        if (!dns)
          return invalid(
              "endpoint '" + name->name + "' is a host name; only DNS clusters resolve names",
              Blame::kConfig);
        if (host.hostname.empty()) host.hostname = name->name;
        auto ips = dns(name->name);
        if (cluster.type == ClusterConfig::Type::kLogicalDns && ips.size() > 1) ips.resize(1);
        for (const auto& ip : ips) {
          HostConfig resolved = host;
          resolved.address = net::Address(ip, name->port);
          add(std::move(resolved));
        }
        continue;
      }
      host.address = TRY(xds::to_address(one.endpoint().address()));
      for (const auto& more : one.endpoint().additional_addresses())
        host.more_addresses.push_back(TRY(xds::to_address(more.address())));
      add(std::move(host));
    }
    made->priorities[group.priority()].push_back(std::move(out));
  }
  return EndpointsRef(std::move(made));
}

}  // namespace lateen::proxy
