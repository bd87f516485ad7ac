#include "mesh/sidecar.h"

#include "base/strings.h"
#include "mesh/check.h"
#include "mesh/hostname.h"

namespace lateen::mesh {
namespace {

void read_port(Reader& reader, SidecarPort& port) {
  port.number = reader.integer("number");
  port.protocol = reader.text("protocol");
  port.name = reader.text("name");
  reader.unused("targetPort", "ports of a Sidecar are the workload's own");
}

void read_inbound_pool(Reader& reader, ConnectionPool& pool) {
  read_connection_pool(reader, pool);
  if (pool.h2_upgrade != ConnectionPool::H2Upgrade::kDefault) {
    reader.warn("http.h2UpgradePolicy", "has no effect on the workload's own connections");
  }
}

void check_egress_host(const std::string& path, const std::string& text, Issues& issues) {
  const auto parts = split_once(text, "/");
  if (!parts) {
    issues.error(path + ": host \"" + text + "\" must be of form namespace/dnsName");
    return;
  }
  const std::string ns(parts->first);
  if (ns != "*" && ns != "." && ns != "~" && !is_dns_label(ns)) {
    issues.error(path + ": namespace \"" + ns + "\" must be *, ., ~ or a namespace name");
  }
  if (const std::string wrong = check_host(parts->second); !wrong.empty()) {
    issues.error(path + ": " + wrong);
  }
}

}  // namespace

void read_spec(Reader& reader, Sidecar& spec) {
  reader.object("workloadSelector", [&](Reader& r) { spec.workload_selector = r.map("labels"); });
  reader.each("ingress", [&](Reader& item) {
    Sidecar::Ingress& ingress = spec.ingress.emplace_back();
    item.object("port", [&](Reader& r) { read_port(r, ingress.port); });
    ingress.bind = item.text("bind");
    ingress.capture_mode = item.text("captureMode");
    ingress.default_endpoint = item.text("defaultEndpoint");
    if (!ingress.bind.empty() && ingress.capture_mode != "NONE") {
      item.warn("bind",
                "has no effect: redirected traffic has the workload's own address; set "
                "captureMode: NONE");
    }
    item.object("tls", [&](Reader& r) { read_server_tls(r, ingress.tls.emplace()); });
    item.object("connectionPool", [&](Reader& r) { read_inbound_pool(r, ingress.pool.emplace()); });
    if (ingress.tls && ingress.tls->redirects_to_https) {
      item.warn("tls.httpsRedirect", "has no effect on a workload's own port");
    }
  });
  reader.each("egress", [&](Reader& item) {
    Sidecar::Egress& egress = spec.egress.emplace_back();
    item.object("port", [&](Reader& r) { read_port(r, egress.port.emplace()); });
    egress.bind = item.text("bind");
    egress.capture_mode = item.text("captureMode");
    egress.hosts = item.texts("hosts");
    if (!egress.port && !egress.capture_mode.empty()) {
      item.warn("captureMode", "has no effect without a port");
    }
  });
  using Outbound = Sidecar::Outbound;
  reader.object("outboundTrafficPolicy", [&](Reader& r) {
    spec.outbound = r.choice<Outbound>(
        "mode", {{"REGISTRY_ONLY", Outbound::kRegistryOnly}, {"ALLOW_ANY", Outbound::kAllowAny}},
        Outbound::kRegistryOnly);
    r.object("egressProxy", [&](Reader& to) {
      Destination& proxy = spec.egress_proxy.emplace();
      proxy.host = to.text("host");
      proxy.subset = to.text("subset");
      to.object("port", [&](Reader& p) { proxy.port = static_cast<int>(p.integer("number")); });
    });
  });
  reader.object("inboundConnectionPool",
                [&](Reader& r) { read_inbound_pool(r, spec.inbound_pool.emplace()); });
}

void check_spec(const Meta&, const Sidecar& spec, Issues& issues) {
  check_labels("spec.workloadSelector.labels", spec.workload_selector, issues);
  for (std::size_t i = 0; i < spec.ingress.size(); ++i) {
    const Sidecar::Ingress& ingress = spec.ingress[i];
    const std::string path = "spec.ingress[" + std::to_string(i) + "]";
    check_port(path + ".port.number", ingress.port.number, issues);
    const std::string& to = ingress.default_endpoint;
    if (!to.empty() && !to.starts_with("127.0.0.1:") && !to.starts_with("0.0.0.0:") &&
        !to.starts_with("[::1]:") && !to.starts_with("[::]:") && !to.starts_with("unix://")) {
      issues.error(path + ".defaultEndpoint: \"" + to +
                   "\" must be 127.0.0.1:port, 0.0.0.0:port or unix:///path");
    }
  }
  int without_port = 0;
  for (std::size_t i = 0; i < spec.egress.size(); ++i) {
    const Sidecar::Egress& egress = spec.egress[i];
    const std::string path = "spec.egress[" + std::to_string(i) + "]";
    if (!egress.port) ++without_port;
    if (egress.port) check_port(path + ".port.number", egress.port->number, issues);
    if (egress.hosts.empty()) issues.error(path + ".hosts: egress listener must have hosts");
    for (const std::string& host : egress.hosts) check_egress_host(path + ".hosts", host, issues);
  }
  if (without_port > 1) {
    issues.error("spec.egress: only one egress listener may be without a port (the catch-all)");
  }
}

}  // namespace lateen::mesh
