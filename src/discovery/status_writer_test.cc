// What stands in the status of Ingresses and Gateway API objects once the control plane leads.
#include "discovery/status_writer.h"

#include <gtest/gtest.h>

#include "data/yaml.h"
#include "discovery/store.h"
#include "kube/memory_server.h"

namespace lateen::discovery {
namespace {

using data::Json;

const kube::Resource kGateways{"gateway.networking.k8s.io", "v1", "gateways", "Gateway", true};
const kube::Resource kIngresses{"networking.k8s.io", "v1", "ingresses", "Ingress", true};

TEST(StatusWriter, OnlyALeaderWrites) {
  kube::MemoryServer server({kGateways, kIngresses});
  kube::Client client(server.transport());
  const SystemClock clock;
  Store store(Store::Options{});
  StatusWriter writer(client, clock, {});
  auto objects = data::parse_yaml_documents(R"(
apiVersion: v1
kind: Service
metadata: {name: istio-ingressgateway, namespace: istio-system}
spec: {clusterIP: 10.0.0.9, type: LoadBalancer, selector: {istio: ingressgateway}, ports: [{name: http, port: 80}]}
status: {loadBalancer: {ingress: [{ip: 192.0.2.1}, {hostname: lb.example.com}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: infra, generation: 2}
spec: {gatewayClassName: istio, addresses: [{type: Hostname, value: istio-ingressgateway.istio-system.svc.cluster.local}], listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: site, namespace: default}
spec: {ingressClassName: istio, defaultBackend: {service: {name: web, port: {number: 80}}}}
)");
  ASSERT_TRUE(objects.ok());
  for (const Json& object : *objects) {
    store.put(object);
    const Json stored = server.put(object);
    writer.take(stored, false);
  }
  writer.note(std::make_shared<const MeshSnapshot>(store.input("v1")));
  const auto requests = server.requests();
  EXPECT_EQ(server.requests(), requests);  // a follower asks and writes nothing
  writer.set_leading(true);
  const auto ingress_addresses = [&] {
    const Json object = server.all(kIngresses).front();
    const auto& list = data::get_array(object, {"status", "loadBalancer", "ingress"});
    if (list.size() != 2) return std::string();
    return std::string(data::get_string(list[0], {"ip"})) + " " +
           std::string(data::get_string(list[1], {"hostname"}));
  };
  EXPECT_TRUE(server.wait_until([&] { return ingress_addresses() == "192.0.2.1 lb.example.com"; }));
  const auto programmed = [&]() -> Json {
    const Json object = server.all(kGateways).front();
    for (const Json& condition : data::get_array(object, {"status", "conditions"})) {
      if (data::get_string(condition, {"type"}) == "Programmed") return condition;
    }
    return {};
  };
  ASSERT_TRUE(server.wait_until([&] { return !programmed().is_null(); }));
  const Json condition = programmed();
  EXPECT_EQ(data::get_string(condition, {"status"}), "True");
  EXPECT_EQ(data::get_int(condition, {"observedGeneration"}), 2);
  EXPECT_FALSE(data::get_string(condition, {"lastTransitionTime"}).empty());
}

}  // namespace
}  // namespace lateen::discovery
