// For tests: a mesh made of YAML, and what the generators make of it for a proxy.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "data/yaml.h"
#include "discovery/generate/generator.h"
#include "discovery/store.h"

namespace lateen::discovery {

class TestMesh {
 public:
  TestMesh() : store_(Store::Options{}) {}

  TestMesh& with(std::string_view yaml) {
    auto objects = data::parse_yaml_documents(yaml);
    EXPECT_TRUE(objects.ok()) << (objects.ok() ? "" : objects.error().message());
    if (objects.ok()) {
      for (const data::Json& object : *objects) last_.add(store_.put(object));
    }
    generator_.reset();
    return *this;
  }
  // A service on one HTTP (or other) port with one ready, injected pod per version.
  TestMesh& service(const std::string& name, const std::string& ip, int port,
                    const std::string& port_name, std::vector<std::string> versions,
                    const std::string& ns = "default");
  TestMesh& mesh_config(std::string_view yaml) {
    data::Json map = data::JsonObject{
        {"apiVersion", "v1"},
        {"kind", "ConfigMap"},
        {"metadata", data::JsonObject{{"name", "istio"}, {"namespace", "istio-system"}}},
        {"data", data::JsonObject{{"mesh", yaml}}}};
    store_.put(map);
    generator_.reset();
    return *this;
  }

  static Proxy sidecar(const std::string& app, const std::string& ip = "10.1.9.9",
                       const std::string& ns = "default") {
    auto proxy =
        read_proxy("sidecar~" + ip + "~" + app + "-x." + ns + "~" + ns + ".svc.cluster.local",
                   data::JsonObject{{"NAMESPACE", ns},
                                    {"SERVICE_ACCOUNT", app},
                                    {"CLUSTER_ID", "Kubernetes"},
                                    {"ISTIO_PROXY_BUILD", "lateen"},
                                    {"LABELS", data::JsonObject{{"app", app}}}},
                   "");
    EXPECT_TRUE(proxy.ok());
    return *std::move(proxy);
  }
  static Proxy gateway(const std::string& ip = "10.1.9.1") {
    auto proxy = read_proxy(
        "router~" + ip + "~istio-ingressgateway-x.istio-system~istio-system.svc.cluster.local",
        data::JsonObject{{"NAMESPACE", "istio-system"},
                         {"ISTIO_PROXY_BUILD", "lateen"},
                         {"LABELS", data::JsonObject{{"istio", "ingressgateway"},
                                                     {"app", "istio-ingressgateway"}}}},
        "");
    EXPECT_TRUE(proxy.ok());
    proxy->is_verified = true;
    return *std::move(proxy);
  }

  Generator& generator() {
    if (generator_ == nullptr) {
      generator_ =
          std::make_unique<Generator>(std::make_shared<const MeshSnapshot>(store_.input("v1")));
    }
    return *generator_;
  }
  // The decoded resource; a default one, and a failure, when there is none of that name.
  template <typename Message>
  Message get(const Proxy& proxy, std::string_view type_url, const std::string& name) {
    Message message;
    for (const xds::Served& served : generator().make(proxy, type_url, {name})) {
      if (served.name != name) continue;
      EXPECT_TRUE(message.ParseFromString(*served.body));
      return message;
    }
    ADD_FAILURE() << "no resource " << name;
    return message;
  }
  std::vector<std::string> names(const Proxy& proxy, std::string_view type_url) {
    std::vector<std::string> out;
    for (const auto& served : generator().make(proxy, type_url, {})) out.push_back(served.name);
    return out;
  }

  Store& store() { return store_; }
  Impact take_impact() { return std::exchange(last_, {}); }

 private:
  Store store_;
  Impact last_;
  int services_ = 0;
  std::unique_ptr<Generator> generator_;
};

inline TestMesh& TestMesh::service(const std::string& name, const std::string& ip, int port,
                                   const std::string& port_name, std::vector<std::string> versions,
                                   const std::string& ns) {
  ++services_;
  const std::string number = std::to_string(port);
  std::string yaml = "apiVersion: v1\nkind: Service\nmetadata: {name: " + name +
                     ", namespace: " + ns + "}\nspec: {clusterIP: " + ip +
                     ", selector: {app: " + name + "}, ports: [{name: " + port_name +
                     ", port: " + number + "}]}\n";
  std::string endpoints;
  for (std::size_t i = 0; i < versions.size(); ++i) {
    const std::string pod_ip = "10.1." + std::to_string(services_) + "." + std::to_string(i + 1);
    yaml += "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " + name + "-" + versions[i] +
            ", namespace: " + ns + ", labels: {app: " + name + ", version: " + versions[i] +
            ", security.istio.io/tlsMode: istio}}\nspec: {serviceAccountName: bookinfo-" + name +
            "}\nstatus: {podIP: " + pod_ip + ", phase: Running}\n";
    endpoints += "\n- {addresses: [" + pod_ip + "], conditions: {ready: true}}";
  }
  yaml += "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: " + name +
          "-1, namespace: " + ns + ", labels: {kubernetes.io/service-name: " + name +
          "}}\nports: [{name: " + port_name + ", port: " + number +
          "}]\nendpoints:" + (endpoints.empty() ? " []" : endpoints) + "\n";
  return with(yaml);
}

}  // namespace lateen::discovery
