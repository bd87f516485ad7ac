// Any YAML as objects of Kubernetes and Istio: the control plane takes or refuses them, and what it
// generates for a sidecar and a gateway beside a good service does not crash it.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "data/yaml.h"
#include "discovery/generate/generator.h"
#include "discovery/store.h"

namespace lateen {
namespace {

constexpr std::string_view kGood = R"(
apiVersion: v1
kind: Service
metadata: {name: good, namespace: sound}
spec: {clusterIP: 10.2.0.1, selector: {app: good}, ports: [{name: http, port: 80}]}
)";

discovery::Proxy proxy(std::string_view node, const char* label) {
  auto made = discovery::read_proxy(
      node,
      data::JsonObject{{"NAMESPACE", "default"},
                       {"ISTIO_PROXY_BUILD", "lateen"},
                       {"LABELS", data::JsonObject{{"app", label}, {"istio", label}}}},
      "");
  CHECK(made.ok());
  return *std::move(made);
}

void run(const std::uint8_t* bytes, std::size_t size) {
  if (size > 64 * 1024) return;
  const auto objects = data::parse_yaml_documents({reinterpret_cast<const char*>(bytes), size});
  if (!objects.ok()) return;
  discovery::Store store(discovery::Store::Options{});
  const auto good = data::parse_yaml_documents(kGood);
  CHECK(good.ok());
  for (const auto& object : *good) store.put(object);
  for (const auto& object : *objects) store.put(object);
  discovery::Generator generator(
      std::make_shared<const discovery::MeshSnapshot>(store.input("v1")));
  const discovery::Proxy proxies[] = {
      proxy("sidecar~10.1.9.9~a-x.default~default.svc.cluster.local", "a"),
      proxy("router~10.1.9.1~gw-x.default~default.svc.cluster.local", "ingressgateway")};
  for (const auto& each : proxies) {
    for (const auto type : {"type.googleapis.com/envoy.config.cluster.v3.Cluster",
                            "type.googleapis.com/envoy.config.listener.v3.Listener",
                            "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
                            "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"})
      (void)generator.make(each, type,
                           {"80", "http.80", "http.8080", "inbound|80||",
                            "outbound|80||good.sound.svc.cluster.local"});
  }
}

}  // namespace
}  // namespace lateen

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lateen::run(data, size);
  return 0;
}
