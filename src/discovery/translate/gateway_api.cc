// Gateways of the Gateway API: each listener becomes a Gateway of Istio's, on the workload that has
// the gateway's name, or on the service whose address it asks for.
#include "discovery/translate/gateway_api.h"

#include "mesh/hostname.h"

namespace lateen::discovery {
namespace {

using data::get_array;
using data::get_string;
using data::Json;
using data::JsonArray;
using data::JsonObject;

constexpr std::string_view kUnmanagedController = "istio.io/unmanaged-gateway";
constexpr std::string_view kNameLabel = "gateway.networking.k8s.io/gateway-name";

bool is_our_class(const TranslationInput& input, std::string_view name) {
  const auto found = input.objects.find({"GatewayClass", "", std::string(name)});
  if (found == input.objects.end()) return name == "istio";
  return get_string(found->second, {"spec", "controllerName"}) == kGatewayController;
}

// The service a gateway asks to be served by, in spec.addresses: "name.ns.svc.cluster.local".
const mesh::Service* named_service(const TranslationInput& input, const Json& gateway) {
  for (const Json& address : get_array(gateway, {"spec", "addresses"})) {
    if (get_string(address, {"type"}) != "Hostname") continue;
    const std::string host =
        mesh::resolve_host(get_string(address, {"value"}),
                           get_string(gateway, {"metadata", "namespace"}), input.domain);
    for (const mesh::ServicePtr& service : input.services) {
      if (service->host == host || service->host == host + ".svc." + input.domain) {
        return service.get();
      }
    }
  }
  return nullptr;
}

void add_addresses(const TranslationInput& input, const Json& gateway, BoundGateway& out) {
  const mesh::Service* service = named_service(input, gateway);
  for (const mesh::ServicePtr& other : input.services) {
    if (service != nullptr || other->ns != out.ns) continue;
    if (mesh::label_of(other->labels, kNameLabel) == out.name) service = other.get();
  }
  if (service == nullptr) return;
  out.addresses = service->external_ips;
  if (out.addresses.empty()) out.addresses.push_back(service->host);
}

// The Secret of a listener that ends TLS; sets the listener's problem when it cannot be used.
std::string credential_of(const TranslationInput& input, const BoundGateway& gateway,
                          Listener& listener) {
  const auto& references = get_array(*listener.value, {"tls", "certificateRefs"});
  if (references.empty()) {
    listener.reason = "InvalidCertificateRef";
    listener.problem = "tls.certificateRefs names no Secret";
    return {};
  }
  const Json& reference = references.front();
  const std::string ns(get_string(reference, {"namespace"}, gateway.ns));
  const std::string name(get_string(reference, {"name"}));
  const std::string_view kind = get_string(reference, {"kind"}, "Secret");
  if (kind != "Secret" || !get_string(reference, {"group"}).empty()) {
    listener.reason = "InvalidCertificateRef";
    listener.problem = "certificateRefs must be Secrets";
    return {};
  }
  if (!is_reference_granted(input.objects, "Gateway", gateway.ns, "", "Secret", ns, name)) {
    listener.reason = "RefNotPermitted";
    listener.problem = "no ReferenceGrant in namespace " + ns + " lets Gateways of " + gateway.ns +
                       " use Secret " + name;
    return {};
  }
  if (ns != gateway.ns) {
    listener.reason = "InvalidCertificateRef";
    listener.problem = "a gateway can only be given Secrets of its own namespace";
    return {};
  }
  return name;
}

bool fill_server(const TranslationInput& input, const BoundGateway& gateway, Listener& listener,
                 mesh::Server& server) {
  server.port.number = listener.port;
  server.port.name = listener.name;
  server.port.protocol = listener.protocol;
  server.hosts = {"*/" + (listener.hostname.empty() ? "*" : listener.hostname)};
  if (listener.protocol == "HTTP" || listener.protocol == "TCP") return true;
  if (listener.protocol != "HTTPS" && listener.protocol != "TLS") {
    listener.reason = "UnsupportedProtocol";
    listener.problem = "protocol " + listener.protocol + " is not supported";
    return false;
  }
  server.tls.emplace();
  server.tls->has_mode = true;
  if (get_string(*listener.value, {"tls", "mode"}, "Terminate") == "Passthrough") {
    listener.is_passthrough = true;
    server.tls->mode = mesh::ServerTls::Mode::kPassthrough;
    return true;
  }
  server.tls->mode = mesh::ServerTls::Mode::kSimple;
  server.tls->credential_name = credential_of(input, gateway, listener);
  return listener.problem.empty();
}

void add_listener(const TranslationInput& input, BoundGateway& gateway, const Json& value,
                  const mesh::Labels& selector, Translation& out) {
  Listener& listener = gateway.listeners.emplace_back();
  listener.value = &value;
  listener.name = get_string(value, {"name"});
  listener.hostname = get_string(value, {"hostname"});
  listener.port = static_cast<int>(data::get_int(value, {"port"}));
  listener.protocol = get_string(value, {"protocol"});
  mesh::Config<mesh::Gateway> config;
  config.meta = mesh::read_meta(*gateway.value);
  config.meta.api_version = "networking.istio.io/v1";
  config.meta.name = gateway.name + "-istio-autogenerated-k8s-gateway-" + listener.name;
  // Another namespace's workload that has the same labels must not serve it.
  if (selector.count(kNameLabel) > 0) {
    config.meta.annotations["internal.istio.io/workload-namespace"] = gateway.ns;
  }
  config.spec.selector = selector;
  listener.gateway = gateway.ns + "/" + config.meta.name;
  if (!fill_server(input, gateway, listener, config.spec.servers.emplace_back())) return;
  out.gateways.push_back(std::make_shared<const mesh::Config<mesh::Gateway>>(std::move(config)));
}

JsonArray supported_kinds(const Listener& listener) {
  const auto kind = [](const char* name) {
    return JsonObject{{"group", kGatewayApiGroup}, {"kind", name}};
  };
  if (listener.protocol == "HTTP" || listener.protocol == "HTTPS") {
    return {kind("HTTPRoute"), kind("GRPCRoute")};
  }
  if (listener.protocol == "TLS") {
    return listener.is_passthrough ? JsonArray{kind("TLSRoute")}
                                   : JsonArray{kind("TCPRoute"), kind("TLSRoute")};
  }
  return {kind("TCPRoute")};
}

Json status_of(const BoundGateway& gateway) {
  const std::int64_t generation = data::get_int(*gateway.value, {"metadata", "generation"});
  JsonArray listeners;
  for (const Listener& listener : gateway.listeners) {
    const bool is_good = listener.problem.empty();
    const bool is_accepted = listener.reason != "UnsupportedProtocol";
    JsonArray conditions{
        condition("Accepted", is_accepted, is_accepted ? "Accepted" : listener.reason,
                  is_accepted ? "No errors found" : listener.problem, generation),
        condition("Conflicted", false, "NoConflicts", "No errors found", generation),
        condition("Programmed", is_good, is_good ? "Programmed" : "Invalid",
                  is_good ? "No errors found" : listener.problem, generation),
        condition("ResolvedRefs", is_good || !is_accepted,
                  is_good || !is_accepted ? "ResolvedRefs" : listener.reason,
                  is_good || !is_accepted ? "No errors found" : listener.problem, generation)};
    listeners.push_back(JsonObject{{"name", listener.name},
                                   {"attachedRoutes", listener.attached},
                                   {"supportedKinds", supported_kinds(listener)},
                                   {"conditions", std::move(conditions)}});
  }
  JsonArray addresses;
  for (const std::string& address : gateway.addresses) {
    addresses.push_back(
        JsonObject{{"type", mesh::is_ip(address) ? "IPAddress" : "Hostname"}, {"value", address}});
  }
  const bool is_assigned = !addresses.empty();
  JsonArray conditions{
      condition("Accepted", true, "Accepted", "Resource accepted", generation),
      condition("Programmed", is_assigned, is_assigned ? "Programmed" : "AddressNotAssigned",
                is_assigned ? "Resource programmed"
                            : "waiting for an address of the service that serves this gateway",
                generation)};
  return JsonObject{{"addresses", std::move(addresses)},
                    {"conditions", std::move(conditions)},
                    {"listeners", std::move(listeners)}};
}

}  // namespace

Json condition(std::string_view type, bool is_true, std::string_view reason,
               std::string_view message, std::int64_t generation) {
  return JsonObject{{"type", type},
                    {"status", is_true ? "True" : "False"},
                    {"reason", reason},
                    {"message", message},
                    {"observedGeneration", generation}};
}

bool is_reference_granted(const Translation::Objects& objects, std::string_view from_kind,
                          std::string_view from_ns, std::string_view to_group,
                          std::string_view to_kind, std::string_view to_ns, std::string_view name) {
  if (from_ns == to_ns) return true;
  for (const auto& [key, grant] : objects) {
    if (std::get<0>(key) != "ReferenceGrant" || std::get<1>(key) != to_ns) continue;
    bool is_from = false;
    for (const Json& from : get_array(grant, {"spec", "from"})) {
      is_from |= get_string(from, {"kind"}) == from_kind &&
                 get_string(from, {"namespace"}) == from_ns &&
                 get_string(from, {"group"}) == kGatewayApiGroup;
    }
    if (!is_from) continue;
    for (const Json& to : get_array(grant, {"spec", "to"})) {
      const std::string_view wanted = get_string(to, {"name"});
      if (get_string(to, {"kind"}) == to_kind && get_string(to, {"group"}) == to_group &&
          (wanted.empty() || wanted == name)) {
        return true;
      }
    }
  }
  return false;
}

void translate_gateway_api(const TranslationInput& input, Translation& out) {
  std::vector<BoundGateway> gateways;
  for (const auto& [key, object] : input.objects) {
    const auto& [kind, ns, name] = key;
    const std::string_view controller = get_string(object, {"spec", "controllerName"});
    if (kind == "GatewayClass" &&
        (controller == kGatewayController || controller == kUnmanagedController)) {
      out.statuses[key] = JsonObject{
          {"conditions",
           JsonArray{condition("Accepted", true, "Accepted", "Handled by Istio controller",
                               data::get_int(object, {"metadata", "generation"}))}}};
    }
    if (kind != "Gateway" || !is_our_class(input, get_string(object, {"spec", "gatewayClassName"})))
      continue;
    BoundGateway& gateway = gateways.emplace_back();
    gateway.ns = ns;
    gateway.name = name;
    gateway.value = &object;
    add_addresses(input, object, gateway);
    const mesh::Service* service = named_service(input, object);
    const mesh::Labels selector = service != nullptr && !service->selector.empty()
                                      ? service->selector
                                      : mesh::Labels{{std::string(kNameLabel), name}};
    for (const Json& listener : get_array(object, {"spec", "listeners"})) {
      add_listener(input, gateway, listener, selector, out);
    }
  }
  bind_routes(input, gateways, out);
  for (const BoundGateway& gateway : gateways) {
    out.statuses[{"Gateway", gateway.ns, gateway.name}] = status_of(gateway);
  }
}

}  // namespace lateen::discovery
