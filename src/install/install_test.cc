// From IstioOperator to objects, on the charts that the program carries.
#include <gtest/gtest.h>

#include "data/yaml.h"
#include "install/manifest.h"
#include "install/overlay.h"

namespace lateen::install {
namespace {

Json yaml(std::string_view text) { return data::parse_yaml(text).value(); }

std::string header(std::string_view spec) {
  return "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata: {name: x, "
         "namespace: istio-system}\nspec:" +
         std::string(spec) + "\n";
}

Result<std::vector<ComponentManifest>> render_spec(std::string_view spec) {
  static Charts charts;
  return render(charts, TRY(make_plan(charts, yaml(header(spec)))));
}

const Json* find(const std::vector<ComponentManifest>& all, std::string_view kind,
                 std::string_view name) {
  for (const auto& each : all) {
    for (const Json& object : each.objects) {
      if (data::get_string(object, {"kind"}) == kind &&
          data::get_string(object, {"metadata", "name"}) == name)
        return &object;
    }
  }
  return nullptr;
}

const Json& container(const Json& deployment) {
  return data::get_array(deployment, {"spec", "template", "spec", "containers"})[0];
}

TEST(Install, DemoWithTheClassicSettings) {
  auto out = render_spec(R"(
  profile: demo
  components:
    pilot: {k8s: {resources: {requests: {memory: 3072Mi}}}}
    egressGateways: [{name: istio-egressgateway, enabled: true}])");
  ASSERT_TRUE(out.ok()) << out.error().message();
  ASSERT_EQ(out->size(), 4u);
  const Json* istiod = find(*out, "Deployment", "istiod");
  ASSERT_NE(istiod, nullptr);
  EXPECT_EQ(data::get_string(container(*istiod), {"resources", "requests", "memory"}), "3072Mi");
  EXPECT_EQ(data::get_string(container(*istiod), {"resources", "requests", "cpu"}), "10m");
  EXPECT_NE(find(*out, "Deployment", "istio-egressgateway"), nullptr);
  EXPECT_EQ(find(*out, "HorizontalPodAutoscaler", "istiod"), nullptr);
  const Json mesh = yaml(data::get_string(*find(*out, "ConfigMap", "istio"), {"data", "mesh"}));
  EXPECT_EQ(data::get_string(mesh, {"accessLogFile"}), "/dev/stdout");
  EXPECT_EQ(data::get_int(mesh, {"defaultConfig", "tracing", "sampling"}), 100);
  int sampling = 0;
  for (const Json& env : data::get_array(container(*istiod), {"env"}))
    sampling += data::get_string(env, {"name"}) == "PILOT_TRACE_SAMPLING";
  EXPECT_EQ(sampling, 1);
}

TEST(Install, EmptyProfileWithItsOwnGateways) {
  auto out = render_spec(R"(
  profile: empty
  components:
    ingressGateways:
    - {name: in-one, namespace: gws, enabled: true, label: {app: in-one, istio: one}, k8s: {hpaSpec: {minReplicas: 2, maxReplicas: 7, metrics: [{type: Resource, resource: {name: cpu, targetAverageUtilization: 60}}]}}}
    - {name: in-two, enabled: true, label: {istio: two}, k8s: {replicaCount: 3, service: {type: NodePort, ports: [{port: 80, targetPort: 8080, name: http2, nodePort: 30080}]}, env: [{name: A, value: b}]}})");
  ASSERT_TRUE(out.ok()) << out.error().message();
  ASSERT_EQ(out->size(), 2u);
  const Json* hpa = find(*out, "HorizontalPodAutoscaler", "in-one");
  ASSERT_NE(hpa, nullptr);
  EXPECT_EQ(data::get_int(*hpa, {"spec", "maxReplicas"}), 7);
  EXPECT_EQ(data::get_int(data::get_array(*hpa, {"spec", "metrics"})[0],
                          {"resource", "target", "averageUtilization"}),
            60);
  EXPECT_EQ(data::get_string(*hpa, {"metadata", "namespace"}), "gws");
  EXPECT_EQ(data::get_string(*find(*out, "Service", "in-one"), {"spec", "selector", "istio"}),
            "one");
  const Json* two = find(*out, "Deployment", "in-two");
  EXPECT_EQ(data::get_int(*two, {"spec", "replicas"}), 3);
  EXPECT_EQ(data::get_string(*find(*out, "Service", "in-two"), {"spec", "type"}), "NodePort");
  EXPECT_EQ(find(*out, "Deployment", "istiod"), nullptr);
}

TEST(Install, OverlaysChangeWhatTheyName) {
  auto out = render_spec(R"(
  components:
    pilot:
      k8s:
        overlays:
        - kind: Deployment
          name: istiod
          patches:
          - {path: "spec.template.spec.containers.[name:discovery].args.[:--monitoringAddr=:15014]", value: "--monitoringAddr=:9"}
          - {path: "spec.template.spec.containers.[name:discovery].readinessProbe"}
          - {path: "metadata.annotations.a\\.b/c", value: d})");
  ASSERT_TRUE(out.ok()) << out.error().message();
  const Json* istiod = find(*out, "Deployment", "istiod");
  EXPECT_EQ(data::as_string(data::get_array(container(*istiod), {"args"})[1]),
            "--monitoringAddr=:9");
  EXPECT_EQ(data::find(container(*istiod), {"readinessProbe"}), nullptr);
  EXPECT_EQ(data::get_string(*istiod, {"metadata", "annotations", "a.b/c"}), "d");
  auto bad = render_spec(
      "\n  components: {pilot: {k8s: {overlays: [{kind: Deployment, name: nope, patches: []}]}}}");
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().message(),
            "component Pilot: k8s.overlays: there is no Deployment \"nope\" among this component's "
            "objects");
}

TEST(Install, ARevisionSuffixesTheControlPlane) {
  auto out = render_spec("\n  revision: 1-9-1\n  profile: minimal");
  ASSERT_TRUE(out.ok()) << out.error().message();
  EXPECT_NE(find(*out, "Deployment", "istiod-1-9-1"), nullptr);
  EXPECT_NE(find(*out, "MutatingWebhookConfiguration", "istio-sidecar-injector-1-9-1"), nullptr);
}

TEST(Install, MistakesNameTheFieldAndTheCure) {
  EXPECT_EQ(render_spec("\n  profile: demoo").error().message(),
            "unknown profile \"demoo\": choose one of default, demo, empty, minimal, preview");
  EXPECT_EQ(render_spec("\n  components: {pilott: {enabled: true}}").error().message(),
            "spec.components.pilott: unknown field, did you mean \"pilot\"?");
  EXPECT_EQ(render_spec("\n  components: {pilot: {k8s: {resource: {}}}}").error().message(),
            "spec.components.pilot.k8s.resource: unknown field, did you mean \"resources\"?");
  EXPECT_EQ(render_spec("\n  components: {pilot: {enabled: yess}}").error().message(),
            "spec.components.pilot.enabled: expected true or false, got \"yess\"");
  EXPECT_EQ(render_spec("\n  components: {cni: {enabled: true}}").error().message(),
            "spec.components.cni.enabled: this component is not part of this "
            "distribution; set it to false");
  EXPECT_EQ(check_operator(yaml("{apiVersion: v1, kind: IstioOperator}")).error().message(),
            "apiVersion is \"v1\", expected install.istio.io/v1alpha1");
  EXPECT_FALSE(render_spec("\n  revision: A.b").ok());
}

TEST(Install, SetFlagsReachEveryPath) {
  Json iop = yaml(header(" {}"));
  for (const auto flag :
       {"profile=demo", "values.global.proxy.privileged=true",
        "components.ingressGateways[0].enabled=false",
        "components.ingressGateways[0].name=istio-ingressgateway",
        "components.egressGateways.[name:out].enabled=true", "hub=my.registry:5000/istio",
        "tag=1.9", "meshConfig.defaultConfig.proxyMetadata.A\\.B=x"}) {
    ASSERT_TRUE(set_flag(iop, flag).ok()) << flag;
  }
  EXPECT_EQ(data::get_string(iop, {"spec", "profile"}), "demo");
  EXPECT_TRUE(data::get_bool(iop, {"spec", "values", "global", "proxy", "privileged"}));
  EXPECT_EQ(
      data::get_string(data::get_array(iop, {"spec", "components", "egressGateways"})[0], {"name"}),
      "out");
  EXPECT_EQ(data::get_string(iop, {"spec", "meshConfig", "defaultConfig", "proxyMetadata", "A.B"}),
            "x");
  EXPECT_FALSE(set_flag(iop, "novalue").ok());
}

}  // namespace
}  // namespace lateen::install
