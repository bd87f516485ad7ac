// `lateen up` without --no-mesh: the steps of the introduction, through the API like any user's.
#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/embedded.h"
#include "bin/mesh_up.h"
#include "data/yaml.h"
#include "http/blocking_client.h"
#include "kube/client.h"
#include "kube/informer.h"
#include "kube/manifest.h"

int run_istioctl(int argc, char** argv);

namespace lateen::bin {
namespace {

using data::Json;

constexpr std::chrono::seconds kReadyLimit{180};
constexpr milliseconds kPagePoll{50};

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

// What is there now, as the API server tells it: who waits looks when something changed, not at
// intervals.
class Sight {
 public:
  explicit Sight(kube::Client& client) : client_(client) {}

  // Lasts as long as this. `resource` must be served.
  kube::Informer& follow(const kube::Resource& resource, std::string ns) {
    auto informer = std::make_unique<kube::Informer>(client_, resource, std::move(ns));
    informer->on_change([this](const kube::Change&) {
      {
        const std::lock_guard lock(mutex_);
        has_changed_ = true;
      }
      changed_.notify_all();
    });
    informer->start();
    informers_.push_back(std::move(informer));
    return *informers_.back();
  }

  // Until `missing` says "".
  template <typename Missing>
  Result<> wait(const std::string& what, Missing missing) {
    const auto end = std::chrono::steady_clock::now() + kReadyLimit;
    std::string left;
    std::unique_lock lock(mutex_);
    do {
      has_changed_ = false;
      lock.unlock();
      left = missing();
      if (left.empty()) return {};
      lock.lock();
    } while (changed_.wait_until(lock, end, [&] { return has_changed_; }));
    return not_ready(what, left);
  }

  static Error not_ready(const std::string& what, const std::string& missing) {
    return Error(Code::kDeadlineExceeded,
                 what + " not ready after " + std::to_string(kReadyLimit.count()) +
                     " s: " + missing +
                     " (look with: kubectl get pods -A; kubectl describe pod -n NAMESPACE NAME)");
  }

 private:
  kube::Client& client_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool has_changed_ = false;
  std::vector<std::unique_ptr<kube::Informer>> informers_;  // first to go: they call back
};

bool is_available(const Json& deployment) {
  return data::get_int(deployment, {"status", "observedGeneration"}) >=
             data::get_int(deployment, {"metadata", "generation"}) &&
         data::get_int(deployment, {"status", "availableReplicas"}) >=
             data::get_int(deployment, {"spec", "replicas"}, 1);
}

Result<> wait_available(kube::Client& client, Sight& sight, kube::Informer& deployments,
                        const std::string& ns) {
  // What was applied a moment ago counts, whether the watch told of it yet or not.
  const Json now = TRY(client.list(kube::resources::deployments(), ns));
  for (const Json& deployment : data::get_array(now, {"items"})) deployments.observe(deployment);
  return sight.wait("deployments in " + ns, [&] {
    std::string names;
    for (const auto& deployment : deployments.list(ns))
      if (!is_available(*deployment))
        names += (names.empty() ? "" : ", ") + std::string(kube::name_of(*deployment));
    return names;
  });
}

// The control plane must be there before pods are made that it should inject: it runs, its Service
// leads to it, and the API server knows whom to ask and whom to trust.
Result<> wait_injecting(Sight& sight, kube::Informer& deployments) {
  auto& endpoints = sight.follow(kube::resources::endpoints(), "istio-system");
  auto& webhooks = sight.follow(kube::resources::mutating_webhooks(), "");
  return sight.wait("sidecar injection", [&]() -> std::string {
    const auto istiod = deployments.find({"istio-system", "istiod"});
    if (istiod == nullptr || !is_available(*istiod)) return "deployment istiod is not available";
    const auto service = endpoints.find({"istio-system", "istiod"});
    if (service == nullptr || data::get_array(*service, {"subsets"}).empty())
      return "service istiod has no endpoints";
    const auto webhook = webhooks.find({"", "istio-sidecar-injector"});
    if (webhook == nullptr) return "there is no webhook istio-sidecar-injector";
    for (const Json& hook : data::get_array(*webhook, {"webhooks"}))
      if (data::get_string(hook, {"clientConfig", "caBundle"}).empty())
        return "webhook istio-sidecar-injector has no CA yet";
    return "";
  });
}

Result<> wait_healthy(kube::Client& client, Sight& sight) {
  auto& operators =
      sight.follow(TRY(client.resource_for("install.istio.io/v1alpha1", "IstioOperator")), "");
  return sight.wait("IstioOperator istiocontrolplane", [&]() -> std::string {
    const auto object = operators.find({"istio-system", "istiocontrolplane"});
    if (object == nullptr) return "it is not there";
    const auto status = data::get_string(*object, {"status", "status"});
    return status == "HEALTHY" ? "" : "status is \"" + std::string(status) + "\"";
  });
}

// What lies behind the gateway tells nobody when it is there: asked at intervals.
Result<> wait_page(int http_port) {
  http::BlockingClient http;
  http::PlainRequest request;
  request.url = "http://127.0.0.1:" + std::to_string(http_port) + "/productpage";
  request.timeout = milliseconds(2'000);
  const auto end = std::chrono::steady_clock::now() + kReadyLimit;
  std::string missing;
  while (std::chrono::steady_clock::now() < end) {
    const auto answer = http.call(request);
    if (answer.ok() && answer->status == 200) return {};
    missing = answer.ok() ? "the gateway answers " + std::to_string(answer->status)
                          : answer.error().message();
    std::this_thread::sleep_for(kPagePoll);
  }
  return Sight::not_ready("the product page", missing);
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

bool is_bookinfo_served(kube::Client& client) {
  const auto gateways = client.resource_for("networking.istio.io/v1alpha3", "Gateway");
  return gateways && client.get(*gateways, {"default", "bookinfo-gateway"});
}

// Where to look now.
void print_addresses(bool has_bookinfo, int http_port) {
  if (has_bookinfo) {
    const std::string port = http_port == 80 ? "" : fmt::format(":{}", http_port);
    std::printf("\nBookinfo   http://localhost%s/productpage\n", port.c_str());
  }
  std::error_code unknown;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", unknown);
  const std::string istioctl = unknown ? "istioctl" : (program.parent_path() / "istioctl").string();
  std::printf("Console    %s dashboard kiali (or grafana, jaeger, zipkin, prometheus)\n",
              istioctl.c_str());
}

Result<> install(kube::Client& client, Sight& sight, kube::Informer& deployments,
                 const std::string& kubeconfig) {
  // Its definition comes first, and is waited for; the controller may come later.
  auto controller = std::async(std::launch::async, [&] { return operator_init(kubeconfig); });
  const auto wish = apply_text(client, kDemo, "istio-system");
  if (!wish.ok()) {
    TRY(controller.get());
    return wish;
  }
  step("IstioOperator with the demo profile");
  step("addons: prometheus, kiali, grafana, jaeger");
  for (const char* addon : {"prometheus", "kiali", "grafana", "jaeger"}) {
    TRY(apply_sample(client, std::string("addons/") + addon + ".yaml", "istio-system"));
  }
  TRY(controller.get());
  TRY(wait_injecting(sight, deployments));
  step("Bookinfo in namespace default, injected, behind the gateway");
  const Json labels = data::JsonObject{{"istio-injection", "enabled"}};
  TRY(client.patch(kube::resources::namespaces(), {"", "default"}, kube::Patch::kMerge,
                   data::JsonObject{{"metadata", data::JsonObject{{"labels", labels}}}}));
  TRY(apply_sample(client, "bookinfo/platform/kube/bookinfo.yaml", "default"));
  TRY(apply_sample(client, "bookinfo/networking/bookinfo-gateway.yaml", "default"));
  return wait_healthy(client, sight);
}

}  // namespace

Result<> bring_up_mesh(const std::string& kubeconfig, int http_port) {
  const auto client = TRY(kube::connect(TRY(kube::load_kubeconfig(kubeconfig, "lateen"))));
  Sight sight(*client);
  auto& deployments = sight.follow(kube::resources::deployments(), "");
  if (is_installed(*client)) step("the mesh is installed: waiting for its pods");
  else TRY(install(*client, sight, deployments, kubeconfig));
  TRY(wait_available(*client, sight, deployments, "default"));
  TRY(wait_available(*client, sight, deployments, "istio-system"));
  const bool has_bookinfo = is_bookinfo_served(*client);
  if (has_bookinfo) TRY(wait_page(http_port));
  print_addresses(has_bookinfo, http_port);
  return {};
}

}  // namespace lateen::bin
