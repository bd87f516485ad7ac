#include "mesh/envoy_filter.h"

#include "mesh/check.h"

namespace lateen::mesh {
namespace {

using Patch = EnvoyFilter::Patch;

void read_listener_match(Reader& reader, EnvoyFilter::ListenerMatch& out) {
  out.port = static_cast<int>(reader.integer("portNumber"));
  reader.raw("portName");
  out.name = reader.text("name");
  out.listener_filter = reader.text("listenerFilter");
  out.has_chain = reader.object("filterChain", [&](Reader& chain) {
    out.chain_name = chain.text("name");
    out.chain_sni = chain.text("sni");
    out.chain_transport = chain.text("transportProtocol");
    out.chain_application_protocols = chain.text("applicationProtocols");
    out.chain_destination_port = static_cast<int>(chain.integer("destinationPort"));
    chain.raw("transportSocket");
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
  reader.raw("waypoint");
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
                                  {"MERGE_AND_REPLACE_LIST", Op::kMerge}},
                                 Op::kInvalid);
    if (const data::Json* value = r.raw("value")) out.value = *value;
    r.raw("filterClass");
  });
}

std::vector<std::string> read_providers(Reader& reader) {
  std::vector<std::string> out;
  reader.each("providers", [&](Reader& r) { out.push_back(r.text("name")); });
  return out;
}

void read_override(Reader& reader, Telemetry::Override& out) {
  out.metric = "ALL_METRICS";
  reader.object("match", [&](Reader& r) {
    out.metric = r.text("metric", "ALL_METRICS");
    if (r.has("customMetric")) out.metric = r.text("customMetric");
    out.mode = r.text("mode");
  });
  out.is_disabled = reader.maybe_flag("disabled");
  reader.each_entry("tagOverrides", [&](const std::string& name, Reader& r) {
    const std::string operation = r.text("operation", "UPSERT");
    const std::string value = r.text("value");
    out.tags[name] = operation == "REMOVE" ? std::nullopt : std::optional(value);
  });
}

}  // namespace

void read_spec(Reader& reader, EnvoyFilter& spec) {
  reader.object("workloadSelector", [&](Reader& r) { spec.workload_selector = r.map("labels"); });
  read_targets(reader, spec.targets);
  spec.priority = reader.integer("priority");
  reader.each("configPatches", [&](Reader& r) { read_patch(r, spec.patches.emplace_back()); });
}

void read_spec(Reader& reader, Telemetry& spec) {
  reader.object("selector", [&](Reader& r) { spec.selector = r.map("matchLabels"); });
  read_targets(reader, spec.targets);
  reader.each("tracing", [&](Reader& item) {
    Telemetry::Tracing& tracing = spec.tracing.emplace_back();
    tracing.providers = read_providers(item);
    tracing.sampling_percent = item.maybe_number("randomSamplingPercentage");
    tracing.is_reporting_disabled = item.maybe_flag("disableSpanReporting");
    if (const data::Json* tags = item.raw("customTags"); tags != nullptr && tags->is_object()) {
      tracing.custom_tags = *tags->if_object();
    }
    item.raw("match");
    item.raw("useRequestIdForTraceSampling");
    item.raw("enableIstioTags");
    item.raw("disableContextPropagation");
  });
  reader.each("accessLogging", [&](Reader& item) {
    Telemetry::AccessLogging& logging = spec.access_logging.emplace_back();
    item.object("match", [&](Reader& r) { logging.mode = r.text("mode"); });
    logging.providers = read_providers(item);
    logging.is_disabled = item.maybe_flag("disabled");
    item.object("filter", [&](Reader& r) { logging.filter = r.text("expression"); });
  });
  reader.each("metrics", [&](Reader& item) {
    Telemetry::Metrics& metrics = spec.metrics.emplace_back();
    metrics.providers = read_providers(item);
    item.each("overrides", [&](Reader& r) { read_override(r, metrics.overrides.emplace_back()); });
    item.raw("reportingInterval");
  });
}

void read_spec(Reader& reader, ProxyConfigSpec& spec) {
  reader.object("selector", [&](Reader& r) { spec.selector = r.map("matchLabels"); });
  spec.concurrency = reader.maybe_integer("concurrency");
  spec.environment = reader.map("environmentVariables");
  reader.object("image", [&](Reader& r) { spec.image_type = r.text("imageType"); });
}

void check_spec(const Meta&, const EnvoyFilter& spec, Issues& issues) {
  using Apply = EnvoyFilter::ApplyTo;
  using Op = EnvoyFilter::Operation;
  for (std::size_t i = 0; i < spec.patches.size(); ++i) {
    const Patch& patch = spec.patches[i];
    const std::string path = "spec.configPatches[" + std::to_string(i) + "]";
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

void check_spec(const Meta&, const Telemetry& spec, Issues& issues) {
  check_labels("spec.selector.matchLabels", spec.selector, issues);
  for (const Telemetry::Tracing& tracing : spec.tracing) {
    if (tracing.providers.size() > 1) {
      issues.warn(
          "spec.tracing.providers: multiple providers are not supported; the first is used");
    }
    if (tracing.sampling_percent) {
      check_percent("spec.tracing.randomSamplingPercentage", *tracing.sampling_percent, issues);
    }
  }
}

void check_spec(const Meta&, const ProxyConfigSpec& spec, Issues& issues) {
  check_labels("spec.selector.matchLabels", spec.selector, issues);
  if (spec.concurrency && *spec.concurrency < 0) {
    issues.error("spec.concurrency: must not be negative");
  }
}

}  // namespace lateen::mesh
