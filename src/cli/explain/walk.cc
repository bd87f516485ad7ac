#include "cli/explain/walk.h"

#include <algorithm>

#include "base/strings.h"

namespace lateen::cli::explain {
namespace {

std::string principal_of(const Json& pod, const std::string& trust_domain) {
  return "spiffe://" + trust_domain + "/ns/" + std::string(kube::namespace_of(pod)) + "/sa/" +
         std::string(data::get_string(pod, {"spec", "serviceAccountName"}, "default"));
}

// The claims of a bearer token; its signature is not looked at.
std::optional<Json> claims_of(const std::map<std::string, std::string>& headers) {
  const auto found = headers.find("authorization");
  if (found == headers.end() || !found->second.starts_with("Bearer ")) return std::nullopt;
  const auto parts = split(std::string_view(found->second).substr(7), '.');
  if (parts.size() != 3) return std::nullopt;
  const auto text = base64_decode(parts[1]);
  if (!text) return std::nullopt;
  auto json = data::parse_json(*text);
  if (!json) return std::nullopt;
  return std::move(*json);
}

Connection connection_to(const Target& target) {
  Connection out{target.ip, target.port};
  if (target.is_tls) {
    out.transport = "tls";
    out.sni = target.host;
    out.alpn = {"h2", "http/1.1"};
  } else if (target.is_http) {
    out.alpn = {"http/1.1"};
  }
  return out;
}

std::string described(const Question& question, const Target& target) {
  if (!target.is_http) return target.is_tls ? "TLS" : "TCP";
  std::string out = question.method + " " + question.path;
  if (target.is_tls) out += " over TLS";
  for (const auto& [name, value] : question.headers)
    out += "  " + name + ": " + (name == "authorization" ? "…" : value);
  return out;
}

int target_port_of(const Json& pod, const Json& service, int port) {
  for (const Json& each : data::get_array(service, {"spec", "ports"})) {
    if (data::get_int(each, {"port"}) != port) continue;
    const Json* target = data::find(each, {"targetPort"});
    if (target == nullptr) return port;
    if (const auto number = data::as_int(*target)) return static_cast<int>(*number);
    for (const Json& container : data::get_array(pod, {"spec", "containers"})) {
      for (const Json& one : data::get_array(container, {"ports"})) {
        if (data::get_string(one, {"name"}) == data::as_string(*target))
          return static_cast<int>(data::get_int(one, {"containerPort"}));
      }
    }
  }
  return port;
}

}  // namespace

Result<Report> explain(World& world, const Question& question) {
  const std::string ns(kube::namespace_of(question.source));
  const Target target = TRY(resolve(world, question.destination, ns));
  Report report;
  report.source = pod_name(question.source);
  report.destination = target.host + ":" + std::to_string(target.port);
  report.request = described(question, target);
  Request request;
  request.method = question.method;
  request.path = question.path;
  request.headers = question.headers;
  request.is_http = target.is_http;
  request.is_tls = target.is_tls;
  request.sni = target.is_tls ? target.host : "";
  request.authority = target.authority;
  if (const auto host = question.headers.find("host"); host != question.headers.end())
    request.authority = host->second;
  request.claims = claims_of(question.headers);
  request.destination_ip = target.ip;
  request.destination_port = target.port;
  request.source_ip = data::get_string(question.source, {"status", "podIP"});
  Walk walk(world, report);
  TRY(walk.leave(question.source, target, std::move(request)));
  return report;
}

Step& Walk::step(const Json& pod, std::string stage, std::string subject, Outcome outcome) {
  Step& out = report_.steps.emplace_back();
  out.where = pod_name(pod);
  out.stage = std::move(stage);
  out.subject = std::move(subject);
  out.outcome = outcome;
  if (outcome == Outcome::kMaybe) is_certain_ = false;
  return out;
}

void Walk::end(const Hop& hop, std::string at, Outcome outcome, std::string reason) {
  if (outcome == Outcome::kPass && !is_certain_) {
    outcome = Outcome::kMaybe;
    if (reason.empty()) reason = "see the steps marked with ?";
  }
  report_.ends.push_back({hop.percent, std::move(at), outcome, std::move(reason)});
}

Result<> Walk::leave(const Json& pod, const Target& target, Request request) {
  Hop hop{&pod};
  Step& asked = step(pod, "destination", target.host + ":" + std::to_string(target.port));
  asked.objects = target.objects;
  asked.why = target.notes;
  if (!target.problem.empty()) {
    asked.outcome = Outcome::kStop;
    asked.why.push_back(target.problem);
    end(hop, pod_name(pod), Outcome::kStop, target.problem);
    return {};
  }
  const auto phase = data::get_string(pod, {"status", "phase"});
  if (phase != "Running")
    return invalid("pod " + pod_name(pod) + " is not running: it is " + std::string(phase));
  if (!has_proxy(pod)) {
    Step& bare = step(pod, "sidecar", "none: no proxy routes, balances or secures what it sends",
                      Outcome::kNote);
    bare.why = why_no_proxy(world_, pod);
    leave_without_proxy(hop, target, request);
    return {};
  }
  const Loaded* loaded = TRY(world_.loaded(pod));
  hop.loaded = loaded;
  request.source_principal = principal_of(pod, loaded->trust_domain);
  if (is_gateway(pod)) {
    leave_gateway(hop, target, request);
    return {};
  }
  const auto excluded = kube::annotation(pod, "traffic.sidecar.istio.io/excludeOutboundPorts");
  if (lists_port(excluded, target.port)) {
    step(pod, "capture", "port " + std::to_string(target.port) + " goes past the sidecar",
         Outcome::kNote)
        .why = {"annotation traffic.sidecar.istio.io/excludeOutboundPorts: " +
                std::string(excluded)};
    leave_without_proxy(hop, target, request);
    return {};
  }
  leave_sidecar(hop, target, request);
  return {};
}

void Walk::leave_without_proxy(const Hop& hop, const Target& target, const Request& request) {
  Request plain = request;
  plain.source_principal.clear();
  Wire wire;
  if (target.is_tls) wire = {Wire::Mode::kOther, target.host, {}};
  if (target.pod != nullptr) return arrive(hop, *target.pod, target.port, wire, plain);
  if (target.service == nullptr) {
    step(*hop.pod, "network", target.host + " is outside of the mesh");
    return end(hop, target.host, Outcome::kPass);
  }
  std::vector<const Json*> ready;
  for (const Json& pod : world_.pods()) {
    const auto& selector = data::get_object(*target.service, {"spec", "selector"});
    const Json* condition = kube::condition(pod, "Ready");
    if (!selector.empty() && kube::namespace_of(pod) == kube::namespace_of(*target.service) &&
        selects(selector, pod) && condition != nullptr &&
        data::get_string(*condition, {"status"}) == "True")
      ready.push_back(&pod);
  }
  Step& balanced = step(*hop.pod, "network",
                        std::to_string(ready.size()) + " ready pods behind the service's address");
  if (ready.empty()) {
    balanced.outcome = Outcome::kStop;
    explain_no_endpoints("outbound|" + std::to_string(target.port) + "||" + target.host, balanced);
    const std::string reason = balanced.why.empty() ? "no ready pod" : balanced.why.front();
    return end(hop, target.host, Outcome::kStop, reason);
  }
  ready.resize(std::min(ready.size(), kMostPods));
  Hop next = hop;
  next.percent = 100 / static_cast<std::int64_t>(ready.size());
  for (const Json* pod : ready) {
    is_certain_ = true;
    arrive(next, *pod, target_port_of(*pod, *target.service, target.port), wire, plain);
  }
}

void Walk::leave_sidecar(const Hop& hop, const Target& target, const Request& request) {
  const std::string port = std::to_string(target.port);
  const Json* listener = nullptr;
  std::string why;
  if (!target.ip.empty()) {
    listener = hop.loaded->listener(target.ip + "_" + port);
    why = "the connection to " + target.ip + ":" + port +
          " is handed to the listener of that address";
  }
  if (listener == nullptr) {
    listener = hop.loaded->listener("0.0.0.0_" + port);
    why = "the connection is handed to the listener of port " + port;
  }
  if (listener == nullptr) {
    listener = hop.loaded->listener("virtualOutbound");
    why = "no listener is for port " + port + ": the catch-all takes it";
  }
  if (listener == nullptr) {
    step(*hop.pod, "listener", "none", Outcome::kStop).why = {
        "the proxy has no outbound listeners: it has not got its configuration (istioctl "
        "proxy-status)"};
    return end(hop, pod_name(*hop.pod), Outcome::kStop, "the sidecar has no configuration");
  }
  Step& taken = step(*hop.pod, "listener", std::string(text_at(*listener, {"name"})));
  taken.why = {why};
  taken.objects = objects_of(*listener);
  const Json* chain = choose_chain(*listener, connection_to(target));
  if (chain == nullptr) {
    step(*hop.pod, "filter chain", "none matches", Outcome::kStop);
    return end(hop, pod_name(*hop.pod), Outcome::kStop, "no filter chain of the listener matches");
  }
  follow_chain(hop, *chain, request);
}

void Walk::leave_gateway(const Hop& hop, const Target& target, const Request& request) {
  // Clients dial the gateway's service, whose ports lead to the listeners' own.
  std::vector<int> ports = {target.port};
  for (const Json& service : world_.all(kube::resources::services())) {
    const auto& selector = data::get_object(service, {"spec", "selector"});
    if (selector.empty() || kube::namespace_of(service) != kube::namespace_of(*hop.pod) ||
        !selects(selector, *hop.pod))
      continue;
    ports.insert(ports.begin(), target_port_of(*hop.pod, service, target.port));
  }
  const Json* listener = nullptr;
  for (const int port : ports) {
    if (listener == nullptr) listener = hop.loaded->listener("0.0.0.0_" + std::to_string(port));
  }
  if (listener == nullptr) {
    Step& none =
        step(*hop.pod, "listener", "none for port " + std::to_string(target.port), Outcome::kStop);
    none.why = {"no Gateway with a server on that port selects this gateway's labels"};
    for (const Json& each : hop.loaded->listeners)
      none.why.push_back("it has " + std::string(text_at(each, {"name"})));
    return end(hop, pod_name(*hop.pod), Outcome::kStop, none.why.front());
  }
  Step& taken = step(*hop.pod, "listener", std::string(text_at(*listener, {"name"})));
  taken.why = {"clients of the gateway dial port " + std::to_string(target.port)};
  taken.objects = objects_of(*listener);
  const Json* chain = choose_chain(*listener, connection_to(target));
  if (chain == nullptr) {
    step(*hop.pod, "filter chain", "none matches", Outcome::kStop).why = {
        target.is_tls ? "no server has the SNI \"" + target.host + "\""
                      : std::string("the port expects TLS: say https://")};
    return end(hop, pod_name(*hop.pod), Outcome::kStop, "no filter chain of the listener matches");
  }
  const Json* tls = walk(*chain, {"transport_socket", "typed_config"});
  const Json* needs = tls == nullptr ? nullptr : member(*tls, "require_client_certificate");
  if (needs != nullptr && needs->is_bool() && *needs->if_bool())
    step(*hop.pod, "TLS", "the client must show a certificate", Outcome::kMaybe).why = {
        "one that the server's CA certificates verify"};
  Request outside = request;
  outside.source_principal.clear();
  outside.source_ip.clear();  // whoever the client is
  outside.destination_port = target.port;
  follow_chain(hop, *chain, std::move(outside));
}

}  // namespace lateen::cli::explain
