#include "mesh/envoy_filter.h"

#include "mesh/check.h"

namespace lateen::mesh {
namespace {

using Patch = EnvoyFilter::Patch;

void read_listener_match(Reader& reader, EnvoyFilter::ListenerMatch& out) {
  out.port = static_cast<int>(reader.integer("portNumber"));
  reader.unused("portName", "match by portNumber or name");
  out.name = reader.text("name");
  out.listener_filter = reader.text("listenerFilter");
  out.has_chain = reader.object("filterChain", [&](Reader& chain) {
    out.chain_name = chain.text("name");
    out.chain_sni = chain.text("sni");
    out.chain_transport = chain.text("transportProtocol");
    out.chain_application_protocols = chain.text("applicationProtocols");
    out.chain_destination_port = static_cast<int>(chain.integer("destinationPort"));
    out.chain_transport_socket = chain.text("transportSocket");
    chain.object("filter", [&](Reader& filter) {
      out.filter = filter.text("name");
      filter.object("subFilter", [&](Reader& sub) { out.sub_filter = sub.text("name"); });
    });
  });
}

void read_route_match(Reader& reader, EnvoyFilter::RouteMatch& out) {
  out.port = static_cast<int>(reader.integer("portNumber"));
  out.port_name = reader.text("portName");
  out.gateway = reader.text("gateway");
  out.name = reader.text("name");
  reader.object("vhost", [&](Reader& vhost) {
    out.vhost = vhost.text("name");
    out.vhost_domain = vhost.text("domainName");
    out.has_route = vhost.object("route", [&](Reader& route) {
      out.route = route.text("name");
      out.action = route.text("action");
    });
  });
}

void read_match(Reader& reader, Patch& out) {
  using Context = EnvoyFilter::Context;
  out.context = reader.choice<Context>("context",
                                       {{"ANY", Context::kAny},
                                        {"SIDECAR_INBOUND", Context::kSidecarInbound},
                                        {"SIDECAR_OUTBOUND", Context::kSidecarOutbound},
                                        {"GATEWAY", Context::kGateway},
                                        {"WAYPOINT", Context::kWaypoint}},
                                       Context::kAny);
  reader.object("proxy", [&](Reader& proxy) {
    out.proxy_version = proxy.text("proxyVersion");
    out.proxy_metadata = proxy.map("metadata");
  });
  reader.object("listener", [&](Reader& r) { read_listener_match(r, out.listener.emplace()); });
  reader.object("routeConfiguration", [&](Reader& r) { read_route_match(r, out.route.emplace()); });
  reader.object("cluster", [&](Reader& r) {
    out.cluster.emplace();
    out.cluster->port = static_cast<int>(r.integer("portNumber"));
    out.cluster->service = r.text("service");
    out.cluster->subset = r.text("subset");
    out.cluster->name = r.text("name");
  });
  reader.unused("waypoint", "this mesh has no waypoints");
}

void read_patch(Reader& reader, Patch& out) {
  using Apply = EnvoyFilter::ApplyTo;
  out.apply_to = reader.choice<Apply>("applyTo",
                                      {{"LISTENER", Apply::kListener},
                                       {"FILTER_CHAIN", Apply::kFilterChain},
                                       {"NETWORK_FILTER", Apply::kNetworkFilter},
                                       {"HTTP_FILTER", Apply::kHttpFilter},
                                       {"ROUTE_CONFIGURATION", Apply::kRouteConfiguration},
                                       {"VIRTUAL_HOST", Apply::kVirtualHost},
                                       {"HTTP_ROUTE", Apply::kHttpRoute},
                                       {"CLUSTER", Apply::kCluster},
                                       {"EXTENSION_CONFIG", Apply::kExtensionConfig},
                                       {"BOOTSTRAP", Apply::kBootstrap},
                                       {"LISTENER_FILTER", Apply::kListenerFilter}},
                                      Apply::kInvalid);
  reader.object("match", [&](Reader& r) { read_match(r, out); });
  reader.object("patch", [&](Reader& r) {
    using Op = EnvoyFilter::Operation;
    out.operation = r.choice<Op>("operation",
                                 {{"MERGE", Op::kMerge},
                                  {"ADD", Op::kAdd},
                                  {"REMOVE", Op::kRemove},
                                  {"INSERT_BEFORE", Op::kInsertBefore},
                                  {"INSERT_AFTER", Op::kInsertAfter},
                                  {"INSERT_FIRST", Op::kInsertFirst},
                                  {"REPLACE", Op::kReplace},
                                  {"MERGE_AND_REPLACE_LIST", Op::kMergeReplacingLists}},
                                 Op::kInvalid);
    if (const data::Json* value = r.raw("value")) out.value = *value;
    r.unused("filterClass", "a patch's place is what its operation says");
  });
}

}  // namespace

void read_spec(Reader& reader, EnvoyFilter& spec) {
  reader.object("workloadSelector", [&](Reader& r) { spec.workload_selector = r.map("labels"); });
  read_targets(reader, spec.targets);
  spec.priority = reader.integer("priority");
  reader.each("configPatches", [&](Reader& r) { read_patch(r, spec.patches.emplace_back()); });
}

void check_spec(const Meta&, const EnvoyFilter& spec, Issues& issues) {
  using Apply = EnvoyFilter::ApplyTo;
  using Op = EnvoyFilter::Operation;
  for (std::size_t i = 0; i < spec.patches.size(); ++i) {
    const Patch& patch = spec.patches[i];
    const std::string path = "spec.configPatches[" + std::to_string(i) + "]";
    if (patch.apply_to == Apply::kBootstrap) {
      issues.warn(path + ".applyTo: has no effect: proxies keep the bootstrap they started with");
    }
    if (patch.apply_to == Apply::kInvalid) issues.error(path + ".applyTo: is required");
    if (patch.operation == Op::kInvalid) issues.error(path + ".patch.operation: is required");
    if (patch.operation != Op::kRemove && patch.operation != Op::kInvalid &&
        !patch.value.is_object()) {
      issues.error(path + ".patch.value: is required for this operation");
    }
    if (patch.apply_to == Apply::kCluster && (patch.listener || patch.route)) {
      issues.error(path + ".match: a cluster patch can only match clusters");
    }
    if ((patch.apply_to == Apply::kHttpFilter || patch.apply_to == Apply::kNetworkFilter ||
         patch.apply_to == Apply::kListener || patch.apply_to == Apply::kFilterChain) &&
        (patch.cluster || patch.route)) {
      issues.error(path + ".match: a listener or filter patch can only match listeners");
    }
    if (patch.listener && !patch.listener->sub_filter.empty() && patch.listener->filter.empty()) {
      issues.error(path + ".match.listener.filterChain.filter.name: is required with subFilter");
    }
    if (!patch.proxy_version.empty()) {
      check_regex(path + ".match.proxy.proxyVersion", patch.proxy_version, issues);
    }
  }
  if (spec.patches.empty()) issues.warn("spec.configPatches: the filter has no patches");
}

}  // namespace lateen::mesh
