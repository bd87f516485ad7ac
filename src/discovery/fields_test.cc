// Every field of Istio's API, as the CRDs of charts/base list them: taken out of an example (in
// src/discovery/fields), it must change what some proxy is given, or have been warned about. The
// result is docs/istio-api.md; LATEEN_WRITE_DOCS=1 writes it anew.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/strings.h"
#include "discovery/inject/injector.h"
#include "discovery/registration.h"
#include "discovery/test_mesh.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "mesh/kinds.h"
#include "xds/any.h"

namespace lateen::discovery {
namespace {

using data::Json;
using data::JsonArray;
using data::JsonObject;

constexpr const char* kTable = "docs/istio-api.md";
constexpr const char* kMeshConfig = R"(
enableTracing: true
extensionProviders:
- {name: zipkin, zipkin: {service: collector.istio-system.svc.cluster.local, port: 9411}}
- {name: file, envoyFileAccessLog: {path: /dev/stdout}}
- {name: authz, envoyExtAuthzGrpc: {service: collector.istio-system.svc.cluster.local, port: 4317}}
)";
constexpr const char* kTemplate = R"(
policy: enabled
defaultTemplates: [sidecar]
templates:
  sidecar: |
    spec:
      containers:
      - name: istio-proxy
        image: "{{ .ProxyImage }}"
        args: ["{{ .ProxyConfig }}"]
)";

// Names that nothing refers to: nobody expects them to do anything.
constexpr std::pair<const char*, const char*> kNames[] = {{"Gateway", "servers[].name"},
                                                          {"Sidecar", "egress[].port.name"},
                                                          {"Sidecar", "ingress[].port.name"}};

constexpr std::pair<const char*, const char*> kElsewhere[] = {
    {"caCertificates[].pem", "in effect (roots that workloads are given)"},
    {"discoverySelectors[].matchLabels", "in effect (which namespaces are watched)"},
    {"enablePrometheusMerge", "in effect (injection)"},
    {"ingressService", "in effect (status of Ingresses)"},
    {"extensionProviders[].prometheus", "in effect (which metrics a Telemetry may name)"},
};

std::string read_file(const std::string& path) {
  std::ifstream in(path);
  EXPECT_TRUE(in.good()) << path;
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

// ----- what proxies are given
// -------------------------------------------------------------------

Proxy make_proxy(const std::string& kind, const std::string& ip, const std::string& app,
                 const std::string& ns, const std::string& locality, JsonObject labels) {
  auto proxy =
      read_proxy(kind + "~" + ip + "~" + app + "-v1." + ns + "~" + ns + ".svc.cluster.local",
                 JsonObject{{"NAMESPACE", ns},
                            {"SERVICE_ACCOUNT", app},
                            {"CLUSTER_ID", "Kubernetes"},
                            {"NETWORK", "network1"},
                            {"ISTIO_VERSION", "1.30.0"},
                            {"ISTIO_PROXY_BUILD", "envoy"},
                            {"LABELS", std::move(labels)}},
                 locality);
  EXPECT_TRUE(proxy.ok());
  proxy->is_verified = true;
  return *std::move(proxy);
}

std::vector<Proxy> probes() {
  return {make_proxy("sidecar", "10.1.3.1", "productpage", "default", "us-east/zone-1",
                     {{"app", "productpage"}, {"version", "v1"}}),
          make_proxy("sidecar", "10.1.1.1", "reviews", "default", "us-east/zone-1",
                     {{"app", "reviews"}, {"version", "v1"}}),
          make_proxy("sidecar", "10.1.7.1", "guest", "other", "us-east/zone-1", {{"app", "guest"}}),
          make_proxy(
              "router", "10.1.8.1", "istio-ingressgateway", "istio-system", "us-east/zone-1",
              {{"istio", "ingressgateway"}, {"gateway.networking.k8s.io/gateway-name", "edge"}})};
}

// Names that a listener asks for: routes, and extensions.
void collect(const envoy::config::listener::v3::FilterChain& chain, std::set<std::string>& routes,
             std::set<std::string>& extensions) {
  for (const auto& filter : chain.filters()) {
    envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager http;
    if (!xds::unpack_into(filter.typed_config(), http).ok()) continue;
    if (http.has_rds()) routes.insert(http.rds().route_config_name());
    for (const auto& inner : http.http_filters()) {
      if (inner.has_config_discovery()) extensions.insert(inner.name());
    }
  }
}

void add_all(const std::vector<xds::Served>& resources, std::string& out) {
  for (const auto& resource : resources) out += resource.name + "=" + *resource.body + ";";
}

std::string generated(Generator& generator, const Proxy& proxy) {
  std::string out;
  std::set<std::string> endpoints, routes, extensions;
  const auto clusters = generator.make(proxy, xds::kClusterType, {});
  for (const auto& served : clusters) {
    envoy::config::cluster::v3::Cluster cluster;
    EXPECT_TRUE(cluster.ParseFromString(*served.body));
    if (cluster.has_eds_cluster_config()) {
      endpoints.insert(cluster.eds_cluster_config().service_name());
    }
  }
  const auto listeners = generator.make(proxy, xds::kListenerType, {});
  for (const auto& served : listeners) {
    envoy::config::listener::v3::Listener listener;
    EXPECT_TRUE(listener.ParseFromString(*served.body));
    for (const auto& chain : listener.filter_chains()) collect(chain, routes, extensions);
    if (listener.has_default_filter_chain()) {
      collect(listener.default_filter_chain(), routes, extensions);
    }
  }
  add_all(clusters, out);
  add_all(listeners, out);
  add_all(generator.make(proxy, xds::kEndpointType, endpoints), out);
  add_all(generator.make(proxy, xds::kRouteType, routes), out);
  add_all(generator.make(proxy, xds::kExtensionType, extensions), out);
  add_all(generator.make(proxy, xds::kNameTableType, {}), out);
  return out;
}

class World {
 public:
  World() {
    auto read = data::parse_yaml_documents(read_file("src/discovery/fields/background.yaml"));
    EXPECT_TRUE(read.ok());
    background_ = *std::move(read);
    auto injection = parse_injection_config(kTemplate, R"({"global": {"hub": "h", "tag": "t"}})");
    EXPECT_TRUE(injection.ok());
    injection_ = *std::move(injection);
  }

  // All that the control plane makes of the background and these objects.
  std::string observe(const std::vector<Json>& objects, const std::string& mesh_config) const {
    TestMesh mesh;
    mesh.mesh_config(mesh_config);
    for (const Json& object : background_) mesh.store().put(object);
    for (const Json& object : objects) mesh.store().put(object);
    std::string out;
    for (const Proxy& proxy : probes()) out += generated(mesh.generator(), proxy);
    for (const std::string& uri : mesh.store().wanted_jwks()) out += uri;
    for (const Json& object : objects) {
      if (data::get_string(object, {"kind"}) != "WorkloadGroup") continue;
      const Proxy machine = make_proxy("sidecar", "10.1.9.1", "vm", "default", "", {{"app", "vm"}});
      out += data::dump_json(make_registered_entry(object, machine, "istiod", WallTime{}));
    }
    return out + injected(objects, mesh.store().mesh_config());
  }

 private:
  std::string injected(const std::vector<Json>& objects, const mesh::MeshConfig& mesh) const {
    std::vector<mesh::Config<mesh::ProxyConfigSpec>> configs;
    for (const Json& object : objects) {
      mesh::Issues issues;
      if (data::get_string(object, {"kind"}) == "ProxyConfig") {
        configs.push_back(mesh::read_config<mesh::ProxyConfigSpec>(object, issues));
      }
    }
    std::string out;
    for (const char* app : {"productpage", "reviews"}) {
      const Json pod =
          JsonObject{{"metadata", JsonObject{{"name", app}, {"labels", JsonObject{{"app", app}}}}},
                     {"spec", JsonObject{{"containers", JsonArray{JsonObject{{"name", "app"}}}}}}};
      const auto made = inject({pod, "default", injection_, mesh, "", configs, {}});
      EXPECT_TRUE(made.ok());
      if (made.ok()) out += data::dump_json(*made);
    }
    return out;
  }

  std::vector<Json> background_;
  InjectionConfig injection_;
};

// ----- fields
// -----------------------------------------------------------------------------------

// A field of an example: how to find it, and what the table calls it.
struct Leaf {
  std::vector<std::string> steps;  // keys and list indices
  std::string name;                // http[].match[].uri.exact
  std::string path;                // spec.http[0].match[0].uri.exact, as warnings spell it
};

void schema_leaves(const Json& schema, const std::string& name, std::set<std::string>& out) {
  const auto& properties = data::get_object(schema, {"properties"});
  for (const auto& entry : properties) {
    const std::string key(entry.key());
    schema_leaves(entry.value(), name.empty() ? key : name + "." + key, out);
  }
  if (!properties.empty()) return;
  if (const Json* items = data::find(schema, {"items"});
      items != nullptr && !data::get_object(*items, {"properties"}).empty()) {
    return schema_leaves(*items, name + "[]", out);
  }
  if (const Json* values = data::find(schema, {"additionalProperties"});
      values != nullptr && !data::get_object(*values, {"properties"}).empty()) {
    return schema_leaves(*values, name + ".*", out);
  }
  out.insert(name);
}

void example_leaves(const Json& schema, const Json& value, Leaf at, std::vector<Leaf>& out) {
  const auto go = [&](const Json& inner, const Json& child, const std::string& step,
                      const std::string& name, const std::string& path) {
    Leaf next{at.steps, name, path};
    next.steps.push_back(step);
    example_leaves(inner, child, std::move(next), out);
  };
  const auto& properties = data::get_object(schema, {"properties"});
  if (!properties.empty() && value.is_object()) {
    for (const auto& entry : *value.if_object()) {
      const std::string key(entry.key());
      const Json* inner = properties.if_contains(key);
      if (inner == nullptr) {
        ADD_FAILURE() << at.path << "." << key << " is not in the CRD";
        continue;
      }
      go(*inner, entry.value(), key, at.name.empty() ? key : at.name + "." + key,
         at.path + "." + key);
    }
    return;
  }
  const Json* items = data::find(schema, {"items"});
  if (items != nullptr && value.is_array() && !data::get_object(*items, {"properties"}).empty()) {
    int index = 0;
    for (const Json& item : *value.if_array()) {
      const std::string number = std::to_string(index++);
      go(*items, item, number, at.name + "[]", at.path + "[" + number + "]");
    }
    return;
  }
  const Json* values = data::find(schema, {"additionalProperties"});
  if (values != nullptr && value.is_object() &&
      !data::get_object(*values, {"properties"}).empty()) {
    for (const auto& entry : *value.if_object()) {
      const std::string key(entry.key());
      go(*values, entry.value(), key, at.name + ".*", at.path + "." + key);
    }
    return;
  }
  out.push_back(std::move(at));
}

void take_out(Json& value, const std::vector<std::string>& steps, std::size_t at) {
  if (value.is_array()) {
    const auto index = static_cast<std::size_t>(parse_uint(steps[at]).value_or(0));
    return take_out((*value.if_array())[index], steps, at + 1);
  }
  JsonObject& object = *value.if_object();
  if (at + 1 == steps.size()) {
    object.erase(steps[at]);
    return;
  }
  take_out(object.at(steps[at]), steps, at + 1);
}

// Policies of subsets and of ports are read by the code that reads the rule's own.
std::string canonical(std::string name) {
  if (name.starts_with("subsets[].trafficPolicy.")) name = name.substr(10);
  constexpr std::string_view kPorts = "trafficPolicy.portLevelSettings[].";
  if (name.starts_with(kPorts) && !name.starts_with(std::string(kPorts) + "port.")) {
    name = "trafficPolicy." + name.substr(kPorts.size());
  }
  return name;
}

std::map<std::string, Json> read_schemas() {
  std::map<std::string, Json> out;
  for (const auto& file : std::filesystem::directory_iterator("charts/base/crds")) {
    const auto documents = data::parse_yaml_documents(read_file(file.path()));
    EXPECT_TRUE(documents.ok()) << file.path();
    if (!documents.ok()) continue;
    for (const Json& crd : *documents) {
      const auto& versions = data::get_array(crd, {"spec", "versions"});
      const Json* spec =
          data::find(versions.front(), {"schema", "openAPIV3Schema", "properties", "spec"});
      EXPECT_NE(spec, nullptr);
      out[std::string(data::get_string(crd, {"spec", "names", "kind"}))] = *spec;
    }
  }
  return out;
}

// The warning about that field or what it is part of; "" when there is none.
std::string warning_about(const mesh::Issues& issues, const std::string& path) {
  for (const std::string& warning : issues.warnings) {
    const std::size_t colon = warning.find(": ");
    const std::string subject = warning.substr(0, colon);
    const bool is_it =
        path == subject || path.starts_with(subject + ".") || path.starts_with(subject + "[");
    if (is_it && subject != "spec") return warning.substr(colon + 2);
  }
  return {};
}

using States = std::map<std::string, std::map<std::string, std::string>>;  // kind, field

States examine(const std::map<std::string, Json>& schemas) {
  States out;
  const World world;
  for (const auto& file : std::filesystem::directory_iterator("src/discovery/fields")) {
    if (file.path().filename() == "background.yaml" || file.path().extension() != ".yaml") continue;
    const auto documents = data::parse_yaml_documents(read_file(file.path()));
    EXPECT_TRUE(documents.ok()) << file.path();
    if (!documents.ok()) continue;
    for (std::size_t i = 0; i < documents->size(); ++i) {
      const Json& object = (*documents)[i];
      const std::string kind(data::get_string(object, {"kind"}));
      const mesh::Issues issues = mesh::validate(object);
      EXPECT_TRUE(issues.ok()) << file.path() << " " << i << ": " << issues.to_string();
      // Examples of other kinds in the file stay; of the same kind, only those in its namespace do
      // that are needed by it.
      std::vector<Json> others;
      for (std::size_t k = 0; k < documents->size(); ++k) {
        const bool is_rival = data::get_string((*documents)[k], {"kind"}) == kind &&
                              (kind == "DestinationRule" || kind == "Sidecar");
        if (k != i && !is_rival) others.push_back((*documents)[k]);
      }
      const auto observe = [&](const Json& subject) {
        std::vector<Json> all = others;
        all.push_back(subject);
        return world.observe(all, kMeshConfig);
      };
      const std::string whole = observe(object);
      std::vector<Leaf> leaves;
      example_leaves(schemas.at(kind), *data::find(object, {"spec"}), {{"spec"}, "", "spec"},
                     leaves);
      for (const Leaf& leaf : leaves) {
        std::string& state = out[kind][canonical(leaf.name)];
        if (state == "in effect") continue;
        const std::string warning = warning_about(issues, leaf.path);
        Json without = object;
        take_out(without, leaf.steps, 0);
        if (warning.empty() && observe(without) != whole) {
          state = "in effect";
        } else if (!warning.empty()) {
          state = "warns: " + warning;
        } else if (state.empty()) {
          state = "DROPPED in " + file.path().filename().string();
        }
      }
    }
  }
  return out;
}

// Fields of a value that no schema describes.
void plain_leaves(const Json& value, Leaf at, std::vector<Leaf>& out) {
  const auto go = [&](const Json& child, const std::string& step, const std::string& name,
                      const std::string& path) {
    Leaf next{at.steps, name, path};
    next.steps.push_back(step);
    plain_leaves(child, std::move(next), out);
  };
  // Maps whose keys are the user's.
  constexpr std::string_view kMaps[] = {"proxyMetadata", "runtimeValues",
                                        "matchLabels",   "to",
                                        "labels",        "includeAdditionalHeadersInCheck",
                                        "customTags"};
  const std::string last = at.steps.empty() ? "" : at.steps.back();
  const bool is_map = std::find(std::begin(kMaps), std::end(kMaps), last) != std::end(kMaps);
  if (value.is_object() && !value.if_object()->empty() && (!is_map || last == "customTags")) {
    for (const auto& entry : *value.if_object()) {
      const std::string key(entry.key());
      go(entry.value(), key,
         at.name.empty() ? key : at.name + "." + (last == "customTags" ? "*" : key),
         at.path.empty() ? key : at.path + "." + key);
    }
    return;
  }
  if (value.is_array() && !value.if_array()->empty() && value.if_array()->front().is_object()) {
    int index = 0;
    for (const Json& item : *value.if_array()) {
      const std::string number = std::to_string(index++);
      go(item, number, at.name + "[]", at.path + "[" + number + "]");
    }
    return;
  }
  out.push_back(std::move(at));
}

void examine_mesh_config(States& out) {
  const World world;
  const auto documents =
      data::parse_yaml_documents(read_file("src/discovery/fields/mesh_config.examples"));
  ASSERT_TRUE(documents.ok());
  for (const Json& whole : *documents) {
    mesh::Issues issues;
    const std::string text = data::dump_yaml(whole);
    EXPECT_TRUE(mesh::parse_mesh_config(text, issues).ok() && issues.ok()) << issues.to_string();
    for (const std::string& warning : issues.warnings) {
      EXPECT_FALSE(warning.starts_with("unknown field")) << warning;
    }
    const std::string observed = world.observe({}, text);
    std::vector<Leaf> leaves;
    plain_leaves(whole, {}, leaves);
    for (const Leaf& leaf : leaves) {
      std::string& state = out["MeshConfig"][leaf.name];
      if (state == "in effect") continue;
      const std::string warning = warning_about(issues, leaf.path);
      Json without = whole;
      take_out(without, leaf.steps, 0);
      if (!warning.empty()) {
        state = "warns: " + warning;
      } else if (world.observe({}, data::dump_yaml(without)) != observed) {
        state = "in effect";
      } else if (state.empty()) {
        state = "DROPPED";
      }
    }
  }
}

std::string make_table(const States& states) {
  std::string out =
      "# Istio's API, field by field\n\n"
      "Made by `src/discovery/fields_test.cc` (`LATEEN_WRITE_DOCS=1`), which takes each field out "
      "of an example:\n"
      "*in effect* means that what the control plane gives to some proxy (or pod) then differs; "
      "*warns* is what admission,\n"
      "`istioctl validate` and `istioctl analyze` say of a field that has no effect. Unknown "
      "fields are refused.\n"
      "A DestinationRule's policies of subsets and ports have the same fields as its own.\n";
  for (const auto& [kind, fields] : states) {
    out += "\n## " + kind + "\n\n| field | state |\n| --- | --- |\n";
    for (const auto& [field, state] : fields) out += "| `" + field + "` | " + state + " |\n";
  }
  return out;
}

TEST(IstioApi, NoFieldIsDroppedSilently) {
  const auto schemas = read_schemas();
  States states = examine(schemas);
  examine_mesh_config(states);
  for (const auto& [kind, field] : kNames) {
    if (states[kind][field].starts_with("DROPPED")) states[kind][field] = "a name";
  }
  // What the control plane's other parts use (tested there), rather than what proxies are given.
  auto& mesh = states["MeshConfig"];
  for (const auto& [field, user] : kElsewhere) {
    if (mesh[field] == "DROPPED") mesh[field] = user;
  }
  for (const auto& [field, state] : mesh) {
    if (state == "DROPPED") ADD_FAILURE() << "MeshConfig: " << field << " has no effect";
  }
  for (const auto& [kind, schema] : schemas) {
    std::set<std::string> leaves;
    schema_leaves(schema, "", leaves);
    for (const std::string& leaf : leaves) {
      const auto& state = states[kind][canonical(leaf)];
      if (state.empty()) ADD_FAILURE() << kind << ": no example has " << canonical(leaf);
      if (state.starts_with("DROPPED")) {
        ADD_FAILURE() << kind << ": " << canonical(leaf)
                      << " has no effect and no warning: " << state;
      }
    }
  }
  const std::string table = make_table(states);
  if (std::getenv("LATEEN_WRITE_DOCS") != nullptr) std::ofstream(kTable) << table;
  EXPECT_EQ(read_file(kTable), table) << "run this test with LATEEN_WRITE_DOCS=1";
}

}  // namespace
}  // namespace lateen::discovery
