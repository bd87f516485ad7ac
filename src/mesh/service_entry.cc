#include "mesh/service_entry.h"

#include <set>

#include "mesh/check.h"
#include "mesh/hostname.h"

namespace lateen::mesh {

void read_spec(Reader& reader, WorkloadEntry& spec) {
  spec.address = reader.text("address");
  if (const data::Json* ports = reader.raw("ports"); ports != nullptr && ports->is_object()) {
    for (const auto& entry : *ports->if_object()) {
      spec.ports[std::string(entry.key())] =
          static_cast<std::uint32_t>(data::as_int(entry.value()).value_or(0));
    }
  }
  spec.labels = reader.map("labels");
  spec.network = reader.text("network");
  spec.locality = reader.text("locality");
  spec.weight = reader.integer("weight");
  spec.service_account = reader.text("serviceAccount");
}

void read_spec(Reader& reader, ServiceEntry& spec) {
  spec.hosts = reader.texts("hosts");
  spec.addresses = reader.texts("addresses");
  reader.each("ports", [&](Reader& item) {
    ServiceEntry::Port& port = spec.ports.emplace_back();
    port.number = item.integer("number");
    port.protocol = item.text("protocol");
    port.name = item.text("name");
    port.target_port = item.integer("targetPort");
  });
  using Location = ServiceEntry::Location;
  spec.location = reader.choice<Location>(
      "location", {{"MESH_EXTERNAL", Location::kExternal}, {"MESH_INTERNAL", Location::kInternal}},
      Location::kExternal);
  using Resolution = ServiceEntry::Resolution;
  spec.resolution = reader.choice<Resolution>("resolution",
                                              {{"NONE", Resolution::kNone},
                                               {"STATIC", Resolution::kStatic},
                                               {"DNS", Resolution::kDns},
                                               {"DNS_ROUND_ROBIN", Resolution::kDnsRoundRobin},
                                               {"DYNAMIC_DNS", Resolution::kDns}},
                                              Resolution::kNone);
  reader.each("endpoints", [&](Reader& r) { read_spec(r, spec.endpoints.emplace_back()); });
  spec.has_workload_selector = reader.object(
      "workloadSelector", [&](Reader& r) { spec.workload_selector = r.map("labels"); });
  spec.export_to = reader.texts("exportTo");
  spec.subject_alt_names = reader.texts("subjectAltNames");
}

void read_spec(Reader& reader, WorkloadGroup& spec) {
  reader.object("metadata", [&](Reader& meta) {
    spec.labels = meta.map("labels");
    spec.annotations = meta.map("annotations");
  });
  reader.object("template", [&](Reader& r) { read_spec(r, spec.workload); });
  reader.unused("probe", "the proxy's agent takes its probe from its own config");
  if (!spec.workload.address.empty()) {
    reader.warn("template.address", "has no effect: each workload has its own");
  }
}

namespace {

void check_workload(const std::string& path, const WorkloadEntry& entry, bool needs_address,
                    Issues& issues) {
  if (entry.address.empty()) {
    if (needs_address && entry.network.empty()) {
      issues.error(path + ".address: address is required");
    }
  } else if (entry.address.starts_with("unix://")) {
    if (entry.address.size() < 8 || entry.address[7] != '/') {
      issues.error(path + ".address: unix path must be absolute");
    }
  } else if (!is_ip(entry.address)) {
    if (const std::string wrong = check_fqdn(entry.address); !wrong.empty()) {
      issues.error(path + ".address: " + wrong);
    }
  }
  for (const auto& [name, number] : entry.ports) {
    check_port(path + ".ports." + name, number, issues);
  }
  check_labels(path + ".labels", entry.labels, issues);
}

void check_resolution(const ServiceEntry& spec, Issues& issues) {
  using Resolution = ServiceEntry::Resolution;
  for (const WorkloadEntry& endpoint : spec.endpoints) {
    if (spec.resolution == Resolution::kStatic && !endpoint.address.starts_with("unix://") &&
        !endpoint.address.empty() && !is_ip(endpoint.address)) {
      issues.error("spec.endpoints: endpoint address \"" + endpoint.address +
                   "\" must be an IP for resolution STATIC");
    }
  }
  if (spec.resolution == Resolution::kNone && !spec.endpoints.empty()) {
    issues.error("spec.endpoints: no endpoints should be provided for resolution type none");
  }
  const bool is_dns =
      spec.resolution == Resolution::kDns || spec.resolution == Resolution::kDnsRoundRobin;
  if (!is_dns) return;
  for (const std::string& host : spec.hosts) {
    if (spec.endpoints.empty() && is_wildcard_host(host)) {
      issues.error(
          "spec.hosts: hosts must be FQDN if no endpoints are provided for resolution "
          "mode DNS: \"" +
          host + "\"");
    }
  }
  if (spec.resolution == Resolution::kDnsRoundRobin && spec.endpoints.size() > 1) {
    issues.error(
        "spec.endpoints: there must only be 0 or 1 endpoint for resolution mode "
        "DNS_ROUND_ROBIN");
  }
}

}  // namespace

void check_spec(const Meta&, const ServiceEntry& spec, Issues& issues) {
  if (spec.hosts.empty()) {
    issues.error("spec.hosts: service entry must have at least one host");
  }
  for (const std::string& host : spec.hosts) {
    if (host == "*") {
      issues.error("spec.hosts: full wildcard \"*\" is not allowed; name a domain: *.example.com");
    } else if (const std::string wrong = check_host(host); !wrong.empty()) {
      issues.error("spec.hosts: " + wrong);
    }
  }
  for (const std::string& address : spec.addresses) {
    if (!is_cidr_or_ip(address)) {
      issues.error("spec.addresses: \"" + address + "\" is not an IP address or CIDR");
    }
  }
  if (spec.ports.empty()) issues.warn("spec.ports: a service entry without ports does nothing");
  std::set<std::int64_t> numbers;
  std::set<std::string_view> names;
  for (const ServiceEntry::Port& port : spec.ports) {
    const std::string path = "spec.ports[" + port.name + "]";
    check_port(path + ".number", port.number, issues);
    if (port.name.empty()) issues.error("spec.ports.name: is required");
    if (!numbers.insert(port.number).second) {
      issues.error(path + ".number: duplicate port number " + std::to_string(port.number));
    }
    if (!names.insert(port.name).second) issues.error(path + ".name: duplicate port name");
    if (!port.protocol.empty() && parse_protocol(port.protocol) == Protocol::kUnsupported) {
      issues.error(path + ".protocol: unsupported protocol \"" + port.protocol + "\"");
    }
  }
  if (spec.has_workload_selector && !spec.endpoints.empty()) {
    issues.error("spec: only one of workloadSelector or endpoints is allowed in service entry");
  }
  for (std::size_t i = 0; i < spec.endpoints.size(); ++i) {
    check_workload("spec.endpoints[" + std::to_string(i) + "]", spec.endpoints[i], true, issues);
  }
  check_resolution(spec, issues);
  check_export_to(spec.export_to, issues);
}

void check_spec(const Meta&, const WorkloadEntry& spec, Issues& issues) {
  check_workload("spec", spec, true, issues);
}

void check_spec(const Meta&, const WorkloadGroup& spec, Issues& issues) {
  check_workload("spec.template", spec.workload, false, issues);
  check_labels("spec.metadata.labels", spec.labels, issues);
}

}  // namespace lateen::mesh
