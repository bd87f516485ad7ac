// The controller against an API server in memory, with a stand-in for the Deployment controller.
#include <gtest/gtest.h>

#include "data/yaml.h"
#include "kube/memory_server.h"
#include "operator/controller.h"

namespace lateen::op {
namespace {

const kube::Resource kIops{"install.istio.io", "v1alpha1", "istiooperators", "IstioOperator", true};

// The in-memory server creates nothing by server-side apply: this does, as the real one.
class ApplyingTransport final : public kube::Transport {
 public:
  explicit ApplyingTransport(std::unique_ptr<kube::Transport> inner) : inner_(std::move(inner)) {}
  Result<http::PlainResponse> call(const http::PlainRequest& request) override {
    auto reply = inner_->call(request);
    if (!reply || reply->status != 404 || request.method != "PATCH" ||
        request.url.find("/status") != std::string::npos)
      return reply;
    http::PlainRequest creation = request;
    creation.method = "POST";
    creation.url = request.url.substr(0, request.url.find('?'));
    creation.url.resize(creation.url.rfind('/'));
    creation.headers = {{"content-type", "application/json"}};
    return inner_->call(creation);
  }
  Result<http::PlainResponse> stream(const http::PlainRequest& request,
                                     const Function<bool(std::string_view)>& on_chunk,
                                     const Function<bool()>& should_stop) override {
    return inner_->stream(request, on_chunk, should_stop);
  }
  Result<std::unique_ptr<http::BlockingClient::Tunnel>> upgrade(
      const http::PlainRequest& request, std::string_view protocol) override {
    return inner_->upgrade(request, protocol);
  }

 private:
  std::unique_ptr<kube::Transport> inner_;
};

class OperatorTest : public testing::Test {
 protected:
  OperatorTest()
      : server_({kIops,
                 kube::resources::mutating_webhooks(),
                 kube::resources::validating_webhooks(),
                 {"rbac.authorization.k8s.io", "v1", "roles", "Role", true},
                 {"rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", true},
                 {"rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", false},
                 {"rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding",
                  false}}),
        client_(std::make_unique<ApplyingTransport>(server_.transport())) {
    ControllerOptions options;
    options.ready_poll = milliseconds(20);
    controller_ = std::make_unique<Controller>(client_, clock_, charts_, options);
    controller_->start();
  }

  void put_iop(std::string_view name, std::string_view spec,
               std::string_view created = "2026-01-01T00:00:00Z") {
    Json iop = data::parse_yaml(
                   "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata: "
                   "{namespace: istio-system}\nspec: " +
                   std::string(spec))
                   .value();
    data::set(iop, {"metadata", "name"}, Json(name));
    data::set(iop, {"metadata", "creationTimestamp"}, Json(created));
    const auto made = client_.create(kIops, iop);
    ASSERT_TRUE(made.ok()) << made.error().message();
  }
  // Plays the controllers that make Deployments and CRDs ready, but for one Deployment.
  void make_ready(std::string_view but = {}) {
    for (Json each : server_.all(kube::resources::deployments())) {
      if (kube::name_of(each) == but) continue;
      data::set(
          each, {"status"},
          data::parse_json(
              R"({"observedGeneration":99,"replicas":1,"updatedReplicas":1,"availableReplicas":1})")
              .value());
      // The controller may have deleted it since it was listed.
      const auto live = client_.get(kube::resources::deployments(), kube::key_of(each));
      if (live &&
          !data::equal(data::get_object(each, {"status"}), data::get_object(*live, {"status"})))
        (void)client_.update_status(kube::resources::deployments(), each);
    }
    for (Json each : server_.all(kube::resources::crds())) {
      if (kube::condition(each, "Established") != nullptr) continue;
      kube::set_condition(each, "Established", "True", "", "", "2026-01-01T00:00:00Z");
      (void)client_.update_status(kube::resources::crds(), each);
    }
  }
  std::string status_of(std::string_view name) {
    const auto iop = client_.get(kIops, {"istio-system", std::string(name)});
    return iop ? std::string(data::get_string(*iop, {"status", "status"})) : "gone";
  }
  bool until_status(std::string_view name, std::string_view wanted) {
    return server_.wait_until(
        [&] {
          make_ready();
          return status_of(name) == wanted;
        },
        milliseconds(20'000));
  }
  bool exists(const kube::Resource& resource, std::string_view name) {
    for (const Json& each : server_.all(resource)) {
      if (kube::name_of(each) == name) return true;
    }
    return false;
  }

  SystemClock clock_;
  kube::MemoryServer server_;
  kube::Client client_;
  install::Charts charts_;
  std::unique_ptr<Controller> controller_;
};

TEST_F(OperatorTest, InstallsInOrderAndReportsHealth) {
  put_iop("demo",
          "{profile: demo, components: {pilot: {k8s: {resources: {requests: {memory: 3072Mi}}}}}}");
  ASSERT_TRUE(
      server_.wait_until([&] { return status_of("demo") == "RECONCILING"; }, milliseconds(20'000)));
  EXPECT_FALSE(exists(kube::resources::deployments(), "istio-ingressgateway"));
  ASSERT_TRUE(until_status("demo", "HEALTHY")) << status_of("demo");
  EXPECT_TRUE(exists(kube::resources::deployments(), "istio-egressgateway"));
  const Json iop = client_.get(kIops, {"istio-system", "demo"}).value();
  EXPECT_EQ(data::get_string(iop, {"status", "componentStatus", "Pilot", "status"}), "HEALTHY");
  const Json istiod =
      client_.get(kube::resources::deployments(), {"istio-system", "istiod"}).value();
  EXPECT_EQ(kube::label(istiod, "install.operator.istio.io/owning-resource"), "demo");
}

TEST_F(OperatorTest, GatewaysWaitForTheControlPlaneButNotForEachOther) {
  put_iop("demo", "{profile: demo}");
  ASSERT_TRUE(server_.wait_until(
      [&] {
        make_ready("istio-ingressgateway");
        return exists(kube::resources::deployments(), "istio-egressgateway");
      },
      milliseconds(20'000)));
  const Json iop = client_.get(kIops, {"istio-system", "demo"}).value();
  EXPECT_NE(data::get_string(iop, {"status", "status"}), "HEALTHY");
  ASSERT_TRUE(until_status("demo", "HEALTHY")) << status_of("demo");
}

TEST_F(OperatorTest, RepairsWhatIsDeletedOrChanged) {
  put_iop("x", "{profile: minimal}");
  ASSERT_TRUE(until_status("x", "HEALTHY"));
  ASSERT_TRUE(client_.remove(kube::resources::services(), {"istio-system", "istiod"}).ok());
  EXPECT_TRUE(server_.wait_until([&] { return exists(kube::resources::services(), "istiod"); },
                                 milliseconds(20'000)));
  Json map = client_.get(kube::resources::config_maps(), {"istio-system", "istio"}).value();
  data::set(map, {"data", "mesh"}, "broken");
  ASSERT_TRUE(client_.update(kube::resources::config_maps(), map).ok());
  EXPECT_TRUE(server_.wait_until(
      [&] {
        return data::get_string(
                   client_.get(kube::resources::config_maps(), {"istio-system", "istio"}).value(),
                   {"data", "mesh"}) != "broken";
      },
      milliseconds(20'000)));
}

TEST_F(OperatorTest, AMistakeIsToldAndDisturbsNothing) {
  put_iop("good", "{profile: minimal}");
  ASSERT_TRUE(until_status("good", "HEALTHY"));
  put_iop("bad", "{profile: nope}");
  ASSERT_TRUE(until_status("bad", "ERROR"));
  const Json bad = client_.get(kIops, {"istio-system", "bad"}).value();
  EXPECT_EQ(data::get_string(bad, {"status", "message"}),
            "unknown profile \"nope\": choose one of default, demo, empty, minimal, preview");
  EXPECT_EQ(status_of("good"), "HEALTHY");
  EXPECT_TRUE(exists(kube::resources::deployments(), "istiod"));
}

TEST_F(OperatorTest, SideBySideEachGoesAlone) {
  put_iop("plane", "{profile: minimal}");
  put_iop("gates",
          "{profile: empty, components: {ingressGateways: [{name: in-a, enabled: true, label: "
          "{istio: a}}, {name: in-b, enabled: true, label: {istio: b}}]}}");
  ASSERT_TRUE(until_status("plane", "HEALTHY"));
  ASSERT_TRUE(until_status("gates", "HEALTHY"));
  // Editing one away prunes only that.
  Json gates = client_.get(kIops, {"istio-system", "gates"}).value();
  (*data::find(gates, {"spec", "components", "ingressGateways"})->if_array()).pop_back();
  ASSERT_TRUE(client_.update(kIops, gates).ok());
  EXPECT_TRUE(server_.wait_until(
      [&] {
        make_ready();
        return !exists(kube::resources::deployments(), "in-b");
      },
      milliseconds(20'000)));
  EXPECT_TRUE(exists(kube::resources::deployments(), "in-a"));
  // Deleting one leaves the other.
  ASSERT_TRUE(client_.remove(kIops, {"istio-system", "gates"}).ok());
  EXPECT_TRUE(
      server_.wait_until([&] { return status_of("gates") == "gone"; }, milliseconds(20'000)));
  EXPECT_FALSE(exists(kube::resources::deployments(), "in-a"));
  EXPECT_TRUE(exists(kube::resources::deployments(), "istiod"));
  EXPECT_TRUE(exists(kube::resources::crds(), "virtualservices.networking.istio.io"));
}

TEST_F(OperatorTest, CanaryHandsTheGatewayOver) {
  put_iop("r1", "{revision: 1-9-1}", "2026-01-01T00:00:00Z");
  ASSERT_TRUE(until_status("r1", "HEALTHY"));
  put_iop("r2", "{revision: 1-9-2}", "2026-01-02T00:00:00Z");
  ASSERT_TRUE(until_status("r2", "HEALTHY"));
  const auto gateway =
      client_.get(kube::resources::deployments(), {"istio-system", "istio-ingressgateway"});
  ASSERT_TRUE(gateway.ok());
  EXPECT_EQ(kube::label(*gateway, "install.operator.istio.io/owning-resource"), "r2");
  ASSERT_TRUE(client_.remove(kIops, {"istio-system", "r1"}).ok());
  EXPECT_TRUE(server_.wait_until([&] { return status_of("r1") == "gone"; }, milliseconds(20'000)));
  EXPECT_FALSE(exists(kube::resources::deployments(), "istiod-1-9-1"));
  EXPECT_TRUE(exists(kube::resources::deployments(), "istiod-1-9-2"));
  EXPECT_TRUE(exists(kube::resources::deployments(), "istio-ingressgateway"));
  EXPECT_TRUE(exists(kube::resources::service_accounts(), "istio-reader-service-account"));
}

TEST_F(OperatorTest, TheHeirTakesOverWhenTheNewestGoes) {
  put_iop("old", "{revision: r1}", "2026-01-01T00:00:00Z");
  ASSERT_TRUE(until_status("old", "HEALTHY"));
  put_iop("new", "{revision: r2}", "2026-01-02T00:00:00Z");
  ASSERT_TRUE(until_status("new", "HEALTHY"));
  ASSERT_TRUE(client_.remove(kIops, {"istio-system", "new"}).ok());
  EXPECT_TRUE(server_.wait_until(
      [&] {
        make_ready();
        const auto gateway =
            client_.get(kube::resources::deployments(), {"istio-system", "istio-ingressgateway"});
        return gateway &&
               kube::label(*gateway, "install.operator.istio.io/owning-resource") == "old";
      },
      milliseconds(20'000)));
}

}  // namespace
}  // namespace lateen::op
