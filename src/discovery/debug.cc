#include "discovery/debug.h"

#include "discovery/debug_resources.h"
#include "envoy/admin/v3/config_dump.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "istio/name_table.pb.h"
#include "metrics/process.h"
#include "xds/any.h"
#include "xds/json.h"

namespace lateen::discovery {
namespace {

using data::Json;
using data::JsonArray;
using data::JsonObject;

constexpr std::pair<const char*, const char*> kPages[] = {
    {"adsz", "Status and watches of connected proxies (?push=true pushes)"},
    {"authorizationz", "Authorization policies"},
    {"clusterz", "Clusters that are watched"},
    {"config_dump", "What a proxy would be sent now (?proxyID=pod.namespace)"},
    {"configz", "All Istio config in use"},
    {"connections", "Connected proxies"},
    {"edsz", "Endpoints a proxy is sent (?proxyID=)"},
    {"endpointz", "Endpoints of all services"},
    {"inject", "The injection templates in use"},
    {"list", "This list"},
    {"mesh", "The mesh config in use"},
    {"ndsz", "Names a proxy's DNS answers (?proxyID=)"},
    {"push_status", "Counters of the pushes"},
    {"registryz", "All services"},
    {"telemetryz", "Telemetries in use"},
    {"syncz", "Which config each proxy was sent and has acknowledged"},
};

std::string parameter(std::string_view query, std::string_view name) {
  for (const auto& [key, value] : parse_query(query)) {
    if (key == name) return value;
  }
  return {};
}

DebugPages::Page json_page(const Json& value) {
  return {200, "application/json", data::dump_json_pretty(value)};
}

DebugPages::Page not_found_page(std::string message) {
  return {404, "text/plain; charset=utf-8", std::move(message)};
}

JsonObject labels_json(const mesh::Labels& labels) {
  JsonObject out;
  for (const auto& [key, value] : labels) out[key] = value;
  return out;
}

std::string type_name(Proxy::Type type) {
  switch (type) {
    case Proxy::Type::kSidecar: return "sidecar";
    case Proxy::Type::kRouter: return "router";
    case Proxy::Type::kWaypoint: return "waypoint";
    case Proxy::Type::kOther: break;
  }
  return "other";
}

std::string last_part(std::string_view type_url) {
  return std::string(type_url.substr(type_url.rfind('.') + 1));
}

template <typename Spec>
void add_configs(const Configs<Spec>& configs, JsonArray& out) {
  for (const auto& config : configs) {
    out.push_back(
        JsonObject{{"kind", config->meta.kind},
                   {"apiVersion", config->meta.api_version},
                   {"metadata", JsonObject{{"name", config->meta.name},
                                           {"namespace", config->meta.ns},
                                           {"resourceVersion", config->meta.resource_version},
                                           {"creationTimestamp", config->meta.created},
                                           {"generation", config->meta.generation}}}});
  }
}

}  // namespace

DebugPages::Page DebugPages::get(std::string_view target) {
  const std::size_t question = target.find('?');
  const std::string_view path = target.substr(0, question);
  const std::string_view query =
      question == std::string_view::npos ? "" : target.substr(question + 1);
  if (path == "/debug" || path == "/debug/" || path == "/debug/list") return list();
  if (!ads_.is_ready()) return {503, "text/plain; charset=utf-8", "not ready yet\n"};
  const std::string_view name = path.substr(std::string_view("/debug/").size());
  if (name == "adsz" || name == "connections") return adsz(query);
  if (name == "syncz") return syncz();
  if (name == "registryz") return registryz();
  if (name == "endpointz" || name == "endpointShardz") return endpointz();
  if (name == "configz") return configz();
  if (name == "config_dump") return config_dump(query);
  if (name == "ndsz") return ndsz(query);
  if (name == "edsz") return edsz(query);
  if (name == "authorizationz") return authorizationz();
  if (name == "push_status") return push_status();
  if (name == "clusterz") {
    return json_page(
        JsonArray{JsonObject{{"id", "Kubernetes"}, {"secretName", ""}, {"syncStatus", "synced"}}});
  }
  if (name == "telemetryz") {
    JsonArray out;
    add_configs(ads_.snapshot()->input().telemetries, out);
    return json_page(JsonObject{{"telemetries", std::move(out)}});
  }
  if (name == "mesh") return json_page(ads_.snapshot()->mesh().whole);
  if (name == "inject") return injection();
  return not_found_page("no such debug page; /debug/list names them\n");
}

DebugPages::Page DebugPages::list() const {
  JsonArray names;
  for (const auto& [name, help] : kPages) names.push_back(Json(name));
  return json_page(names);
}

DebugPages::Page DebugPages::adsz(std::string_view query) {
  if (parameter(query, "push") == "true") {
    ads_.push_all();
    return {200, "text/plain; charset=utf-8",
            "Pushed to " + std::to_string(ads_.streams().size()) + " servers\n"};
  }
  JsonArray clients;
  for (const Ads::Stream& stream : ads_.streams()) {
    if (!stream.proxy || stream.proxy->id.empty()) continue;
    JsonObject watches;
    for (const auto& [type, watch] : stream.session->watches()) {
      JsonArray names;
      for (const std::string& name : watch.all_names()) names.push_back(Json(name));
      watches[type] = std::move(names);
    }
    clients.push_back(JsonObject{{"connectionId", stream.id},
                                 {"connectedAt", format_rfc3339(stream.connected, 9)},
                                 {"address", stream.peer},
                                 {"labels", labels_json(stream.proxy->labels)},
                                 {"metadata", stream.proxy->metadata},
                                 {"watches", std::move(watches)}});
  }
  const auto total = static_cast<std::int64_t>(clients.size());
  return json_page(JsonObject{{"totalClients", total}, {"clients", std::move(clients)}});
}

DebugPages::Page DebugPages::syncz() const {
  JsonArray out;
  for (const Ads::Stream& stream : ads_.streams()) {
    if (!stream.proxy || stream.proxy->id.empty()) continue;
    const Proxy& proxy = *stream.proxy;
    JsonObject item{{"cluster_id", proxy.cluster_id},
                    {"proxy", proxy.name},
                    {"proxy_type", type_name(proxy.type)},
                    {"proxy_version", proxy.version},
                    {"istio_version", proxy.version}};
    constexpr std::pair<std::string_view, const char*> kKeys[] = {
        {xds::kClusterType, "cluster"},
        {xds::kListenerType, "listener"},
        {xds::kRouteType, "route"},
        {xds::kEndpointType, "endpoint"},
        {xds::kExtensionType, "extensionconfig"}};
    JsonObject resources;
    for (const auto& [type, watch] : stream.session->watches()) {
      for (const auto& [known, key] : kKeys) {
        if (type != known) continue;
        if (!watch.nonce_sent.empty()) item[std::string(key) + "_sent"] = watch.nonce_sent;
        if (!watch.nonce_acked.empty()) item[std::string(key) + "_acked"] = watch.nonce_acked;
      }
      JsonObject resource{{"sent", watch.nonce_sent},
                          {"acked", watch.nonce_acked},
                          {"sentTime", format_rfc3339(watch.last_sent, 9)}};
      if (!watch.last_error.empty()) resource["lastError"] = watch.last_error;
      resources[last_part(type)] = std::move(resource);
    }
    item["resources"] = std::move(resources);
    out.push_back(std::move(item));
  }
  return json_page(out);
}

DebugPages::Page DebugPages::registryz() const {
  JsonArray out;
  for (const mesh::ServicePtr& service : ads_.snapshot()->services()) {
    JsonArray ports;
    for (const mesh::ServicePort& port : service->ports) {
      ports.push_back(JsonObject{{"name", port.name},
                                 {"port", port.number},
                                 {"protocol", mesh::to_string(port.protocol)}});
    }
    JsonArray addresses;
    for (const std::string& address : service->addresses) addresses.push_back(Json(address));
    constexpr const char* kResolutions[] = {"ClientSideLB", "DNSLB", "DNSRoundRobinLB",
                                            "Passthrough"};
    out.push_back(JsonObject{
        {"Attributes",
         JsonObject{{"ServiceRegistry", service->registry == mesh::Service::Registry::kKubernetes
                                            ? "Kubernetes"
                                            : "External"},
                    {"Name", service->name},
                    {"Namespace", service->ns},
                    {"Labels", labels_json(service->labels)},
                    {"LabelSelectors", labels_json(service->selector)}}},
        {"ports", std::move(ports)},
        {"creationTime", service->created},
        {"hostname", service->host},
        {"defaultAddress", service->addresses.empty() ? "0.0.0.0" : service->addresses.front()},
        {"addresses", std::move(addresses)},
        {"Resolution", kResolutions[static_cast<int>(service->resolution)]},
        {"MeshExternal", service->is_mesh_external}});
  }
  return json_page(out);
}

DebugPages::Page DebugPages::endpointz() const {
  JsonArray out;
  for (const mesh::ServicePtr& service : ads_.snapshot()->services()) {
    JsonArray endpoints;
    const auto set = ads_.snapshot()->endpoints_of(*service);
    for (const mesh::Endpoint& endpoint : set->endpoints) {
      endpoints.push_back(JsonObject{{"Address", endpoint.address},
                                     {"EndpointPort", endpoint.port},
                                     {"ServicePortName", endpoint.port_name},
                                     {"Labels", labels_json(endpoint.labels)},
                                     {"ServiceAccount", endpoint.service_account},
                                     {"WorkloadName", endpoint.workload_name},
                                     {"Namespace", endpoint.ns},
                                     {"Locality", endpoint.locality},
                                     {"TLSMode", endpoint.has_mtls ? "istio" : "disabled"}});
    }
    out.push_back(JsonObject{
        {"svc", service->host}, {"namespace", service->ns}, {"ep", std::move(endpoints)}});
  }
  return json_page(out);
}

DebugPages::Page DebugPages::configz() const {
  const SnapshotInput& in = ads_.snapshot()->input();
  JsonArray out;
  add_configs(in.virtual_services, out);
  add_configs(in.destination_rules, out);
  add_configs(in.gateways, out);
  add_configs(in.sidecars, out);
  add_configs(in.peer_authentications, out);
  add_configs(in.request_authentications, out);
  add_configs(in.authorization_policies, out);
  add_configs(in.envoy_filters, out);
  add_configs(in.telemetries, out);
  add_configs(in.wasm_plugins, out);
  add_configs(in.proxy_configs, out);
  return json_page(out);
}

DebugPages::Page DebugPages::authorizationz() const {
  JsonArray out;
  add_configs(ads_.snapshot()->input().authorization_policies, out);
  return json_page(JsonObject{{"authorization_policies", std::move(out)}});
}

DebugPages::Page DebugPages::config_dump(std::string_view query) {
  const std::string id = parameter(query, "proxyID");
  const Proxy* proxy = ads_.find_proxy(id);
  if (proxy == nullptr) {
    return not_found_page("Proxy not connected to this Pilot instance: \"" + id +
                          "\". Give ?proxyID=pod.namespace of one in /debug/connections.\n");
  }
  envoy::admin::v3::ConfigDump dump;
  const bool has_endpoints = query.find("include_eds") != std::string_view::npos;
  fill_config_dump(ads_, *proxy, has_endpoints, dump);
  return json_page(xds::to_json(dump));
}

DebugPages::Page DebugPages::ndsz(std::string_view query) {
  const Proxy* proxy = ads_.find_proxy(parameter(query, "proxyID"));
  if (proxy == nullptr) return not_found_page("no such proxy is connected\n");
  istio::networking::nds::v1::NameTable table;
  for (const auto& served : ads_.generator().make(*proxy, xds::kNameTableType, {})) {
    table.ParseFromString(*served.body);
  }
  return json_page(xds::to_json(table));
}

DebugPages::Page DebugPages::edsz(std::string_view query) {
  const Proxy* proxy = ads_.find_proxy(parameter(query, "proxyID"));
  if (proxy == nullptr) return not_found_page("no such proxy is connected\n");
  std::set<std::string> names;
  for (const Ads::Stream& stream : ads_.streams()) {
    if (!stream.proxy || stream.proxy->id != proxy->id) continue;
    if (const auto* watch = stream.session->find(xds::kEndpointType)) names = watch->all_names();
  }
  JsonArray out;
  for (const auto& served : ads_.generator().make(*proxy, xds::kEndpointType, names)) {
    envoy::config::endpoint::v3::ClusterLoadAssignment assignment;
    assignment.ParseFromString(*served.body);
    out.push_back(xds::to_json(assignment));
  }
  return json_page(out);
}

DebugPages::Page DebugPages::push_status() const {
  JsonObject out;
  for (const char* name : {"pilot_xds_pushes", "pilot_total_xds_rejects"}) {
    double total = 0;
    for (const char* type : {"cds", "eds", "lds", "rds", "sds", "nds", "ecds"}) {
      total += metrics_.value(name, std::string("type=\"") + type + "\"");
    }
    out[name] = total;
  }
  out["version"] = ads_.snapshot()->version();
  return json_page(out);
}

DebugPages::Page DebugPages::injection() const {
  const auto state = webhooks_ ? webhooks_() : nullptr;
  if (state == nullptr || state->injection == nullptr) {
    return not_found_page("no injection template is loaded\n");
  }
  JsonArray names;
  for (const std::string& name : state->injection->template_names) names.push_back(Json(name));
  JsonArray defaults;
  for (const std::string& name : state->injection->default_templates) {
    defaults.push_back(Json(name));
  }
  return json_page(JsonObject{{"policy", state->injection->policy},
                              {"defaultTemplates", std::move(defaults)},
                              {"templates", std::move(names)},
                              {"values", state->injection->values}});
}

void DebugService::handle(http::Exchange& exchange, http::Request request, http::Done done) {
  // As Go's servers do, and stock istioctl asks for "//version".
  while (request.path.starts_with("//")) request.path.remove_prefix(1);
  const std::string_view path = request.path.substr(0, request.path.find('?'));
  const auto text = [&](int status, std::string body, std::string_view type) {
    done(http::Response::text(exchange.arena, status, std::move(body), type));
  };
  constexpr std::string_view kPlain = "text/plain; charset=utf-8";
  if (path == "/ready") {
    if (ads_.is_draining()) return text(503, "shutting down\n", kPlain);
    return ads_.is_ready() ? text(200, "", kPlain) : text(503, "not ready yet\n", kPlain);
  }
  if (path == "/version") {
    const Json info = *data::parse_json(ads_.identifier());
    const std::string_view version = data::get_string(info, {"Info", "version"});
    return text(200, std::string(version) + "-unknown-Clean", kPlain);
  }
  if (path == "/metrics") {
    return text(200, metrics_.render() + metrics::process_metrics(),
                "text/plain; version=0.0.4; charset=utf-8");
  }
  if (path == "/") {
    std::string html = "<!doctype html><title>istiod</title><h1>istiod</h1><ul>";
    for (const auto& [name, help] : kPages) {
      html += std::string("<li><a href=\"/debug/") + name + "\">" + name + "</a>: " + help;
    }
    return text(200, html + "<li><a href=\"/metrics\">metrics</a></ul>",
                "text/html; charset=utf-8");
  }
  if (path.starts_with("/debug")) {
    DebugPages::Page page = pages_.get(request.path);
    return text(page.status, std::move(page.body), page.content_type);
  }
  text(404, "404 page not found\n", kPlain);
}

}  // namespace lateen::discovery
