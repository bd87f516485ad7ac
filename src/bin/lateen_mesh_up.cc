// `lateen up` without --no-mesh: the steps of the introduction, through the API like any user's.
#include <chrono>
#include <cstdio>
#include <thread>

#include "base/embedded.h"
#include "bin/mesh_up.h"
#include "data/yaml.h"
#include "http/blocking_client.h"
#include "kube/client.h"
#include "kube/manifest.h"

int run_istioctl(int argc, char** argv);

namespace lateen::bin {
namespace {

using data::Json;

constexpr std::chrono::seconds kReadyLimit{180};
constexpr milliseconds kPoll{50};

constexpr char kDemo[] = R"(
apiVersion: v1
kind: Namespace
metadata: {name: istio-system}
---
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: {name: istiocontrolplane, namespace: istio-system}
spec:
  profile: demo
)";

void step(const std::string& text) {
  std::printf("  %s\n", text.c_str());
  std::fflush(stdout);
}

Result<> apply_text(kube::Client& client, std::string_view yaml, std::string_view ns) {
  return kube::apply_all(client, TRY(data::parse_yaml_documents(yaml)), ns, "lateen-up", nullptr);
}

Result<> apply_sample(kube::Client& client, const std::string& path, std::string_view ns) {
  const auto text = embedded_file("samples/" + path);
  if (!text) return internal("samples/" + path + " is not built into this program");
  return apply_text(client, *text, ns).at("samples/" + path);
}

// Names of deployments of `ns` that are not available; empty when all are.
Result<std::string> unavailable_deployments(kube::Client& client, std::string_view ns) {
  const Json list = TRY(client.list(kube::resources::deployments(), ns));
  std::string names;
  for (const Json& item : data::get_array(list, {"items"})) {
    const auto want = data::get_int(item, {"spec", "replicas"}, 1);
    const bool is_current = data::get_int(item, {"status", "observedGeneration"}) >=
                            data::get_int(item, {"metadata", "generation"});
    if (is_current && data::get_int(item, {"status", "availableReplicas"}) >= want) continue;
    names += (names.empty() ? "" : ", ") + std::string(kube::name_of(item));
  }
  return names;
}

template <typename Probe>
Result<> wait_until(const std::string& what, Probe probe) {
  const auto end = std::chrono::steady_clock::now() + kReadyLimit;
  std::string missing;
  while (std::chrono::steady_clock::now() < end) {
    Result<std::string> left = probe();
    if (left && left->empty()) return {};
    missing = left ? *left : left.error().message();
    std::this_thread::sleep_for(kPoll);
  }
  return Error(Code::kDeadlineExceeded,
               what + " not ready after " + std::to_string(kReadyLimit.count()) + " s: " + missing +
                   " (look with: kubectl get pods -A; kubectl describe pod -n NAMESPACE NAME)");
}

Result<> wait_available(kube::Client& client, std::string_view ns) {
  return wait_until("deployments in " + std::string(ns),
                    [&] { return unavailable_deployments(client, ns); });
}

// The control plane must be there before pods are made that it should inject.
Result<> wait_healthy(kube::Client& client) {
  const kube::Resource resource =
      TRY(client.resource_for("install.istio.io/v1alpha1", "IstioOperator"));
  return wait_until("IstioOperator istiocontrolplane", [&]() -> Result<std::string> {
    const Json object = TRY(client.get(resource, {"istio-system", "istiocontrolplane"}));
    const auto status = data::get_string(object, {"status", "status"});
    return status == "HEALTHY" ? std::string() : "status is \"" + std::string(status) + "\"";
  });
}

Result<> wait_page(int http_port) {
  http::BlockingClient http;
  return wait_until("the product page", [&]() -> Result<std::string> {
    http::PlainRequest request;
    request.url = "http://127.0.0.1:" + std::to_string(http_port) + "/productpage";
    request.timeout = milliseconds(2'000);
    const auto answer = TRY(http.call(request));
    return answer.status == 200 ? std::string()
                                : "the gateway answers " + std::to_string(answer.status);
  });
}

Result<> operator_init(const std::string& kubeconfig) {
  std::string words[] = {"istioctl", "operator", "init", "--kubeconfig", kubeconfig};
  char* argv[5];
  for (int i = 0; i < 5; ++i) argv[i] = words[i].data();
  if (run_istioctl(5, argv) != 0) return internal("istioctl operator init failed");
  return {};
}

// The mesh was brought up before: what the user made of it since stays as it is, nothing is applied
// again.
bool is_installed(kube::Client& client) {
  const auto resource = client.resource_for("install.istio.io/v1alpha1", "IstioOperator");
  return resource && client.get(*resource, {"istio-system", "istiocontrolplane"});
}

Result<> wait_for_page_if_served(kube::Client& client, int http_port) {
  const auto gateways = client.resource_for("networking.istio.io/v1alpha3", "Gateway");
  if (!gateways || !client.get(*gateways, {"default", "bookinfo-gateway"})) return {};
  return wait_page(http_port);
}

Result<> install(kube::Client& client, const std::string& kubeconfig) {
  TRY(operator_init(kubeconfig));
  step("IstioOperator with the demo profile");
  TRY(apply_text(client, kDemo, "istio-system"));
  step("addons: prometheus, kiali, grafana, jaeger");
  for (const char* addon : {"prometheus", "kiali", "grafana", "jaeger"}) {
    TRY(apply_sample(client, std::string("addons/") + addon + ".yaml", "istio-system"));
  }
  TRY(wait_healthy(client));
  step("Bookinfo in namespace default, injected, behind the gateway");
  const Json labels = data::JsonObject{{"istio-injection", "enabled"}};
  TRY(client.patch(kube::resources::namespaces(), {"", "default"}, kube::Patch::kMerge,
                   data::JsonObject{{"metadata", data::JsonObject{{"labels", labels}}}}));
  TRY(apply_sample(client, "bookinfo/platform/kube/bookinfo.yaml", "default"));
  return apply_sample(client, "bookinfo/networking/bookinfo-gateway.yaml", "default");
}

}  // namespace

Result<> bring_up_mesh(const std::string& kubeconfig, int http_port) {
  const auto client = TRY(kube::connect(TRY(kube::load_kubeconfig(kubeconfig, "lateen"))));
  if (is_installed(*client)) step("the mesh is installed: waiting for its pods");
  else TRY(install(*client, kubeconfig));
  TRY(wait_available(*client, "default"));
  TRY(wait_available(*client, "istio-system"));
  return wait_for_page_if_served(*client, http_port);
}

}  // namespace lateen::bin
