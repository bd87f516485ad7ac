// The charts that the program carries: they render, and hold the names and ports that others rely
// on.
#include <gtest/gtest.h>

#include "base/embedded.h"
#include "chart/chart.h"
#include "chart/injection_functions.h"
#include "data/yaml.h"

namespace lateen::chart {
namespace {

Json yaml(std::string_view text) { return data::parse_yaml(text).value(); }

std::vector<Rendered> render(std::string_view chart, std::string_view overrides) {
  auto loaded = Chart::embedded(chart);
  EXPECT_TRUE(loaded.ok()) << loaded.error().message();
  auto out = loaded->render(yaml(overrides), {{"istio", "istio-system"}});
  EXPECT_TRUE(out.ok()) << out.error().message();
  return out.ok() ? *std::move(out) : std::vector<Rendered>();
}

const Json& find(const std::vector<Rendered>& all, std::string_view kind, std::string_view name) {
  static const Json kNone;
  for (const auto& each : all) {
    if (data::get_string(each.object, {"kind"}) == kind &&
        data::get_string(each.object, {"metadata", "name"}) == name)
      return each.object;
  }
  ADD_FAILURE() << "no " << kind << " " << name;
  return kNone;
}

std::string ports(const Json& service) {
  std::string out;
  for (const Json& port : data::get_array(service, {"spec", "ports"})) {
    out += (out.empty() ? "" : ",") + std::to_string(data::get_int(port, {"port"}));
  }
  return out;
}

TEST(OurCharts, BaseHoldsEveryKind) {
  const auto out = render("charts/base", "{}");
  int crds = 0;
  for (const auto& each : out)
    crds += data::get_string(each.object, {"kind"}) == "CustomResourceDefinition";
  EXPECT_EQ(crds, 14);
  const Json& vs = find(out, "CustomResourceDefinition", "virtualservices.networking.istio.io");
  EXPECT_EQ(data::get_array(vs, {"spec", "versions"}).size(), 3u);
  for (const Json& version : data::get_array(vs, {"spec", "versions"})) {
    EXPECT_NE(data::find(version, {"schema", "openAPIV3Schema", "properties", "spec", "properties",
                                   "hosts"}),
              nullptr);
  }
}

TEST(OurCharts, DiscoveryHasUpstreamsNamesAndPorts) {
  const auto out = render("charts/istio-control/istio-discovery", "{}");
  EXPECT_EQ(ports(find(out, "Service", "istiod")), "15010,15012,443,15014");
  const Json& deployment = find(out, "Deployment", "istiod");
  const Json& container =
      data::get_array(deployment, {"spec", "template", "spec", "containers"})[0];
  EXPECT_EQ(data::get_string(container, {"image"}), "docker.io/istio/pilot:1.24.0");
  EXPECT_EQ(data::as_string(data::get_array(container, {"args"})[0]), "discovery");
  const Json mesh = yaml(data::get_string(find(out, "ConfigMap", "istio"), {"data", "mesh"}));
  EXPECT_EQ(data::get_string(mesh, {"defaultConfig", "discoveryAddress"}),
            "istiod.istio-system.svc:15012");
  EXPECT_EQ(data::get_array(find(out, "MutatingWebhookConfiguration", "istio-sidecar-injector"),
                            {"webhooks"})
                .size(),
            4u);
  find(out, "ValidatingWebhookConfiguration", "istio-validator-istio-system");
  find(out, "HorizontalPodAutoscaler", "istiod");
  find(out, "PodDisruptionBudget", "istiod");
}

TEST(OurCharts, ARevisionIsApartInEveryName) {
  const auto out = render("charts/istio-control/istio-discovery",
                          "{revision: 1-9-1, meshConfig: {accessLogFile: /dev/stdout}}");
  for (const auto& each : out) {
    EXPECT_NE(data::get_string(each.object, {"metadata", "name"}).find("1-9-1"),
              std::string_view::npos)
        << each.file;
  }
  const Json& hooks = find(out, "MutatingWebhookConfiguration", "istio-sidecar-injector-1-9-1");
  EXPECT_EQ(data::get_array(hooks, {"webhooks"}).size(), 2u);
  const Json mesh = yaml(data::get_string(find(out, "ConfigMap", "istio-1-9-1"), {"data", "mesh"}));
  EXPECT_EQ(data::get_string(mesh, {"accessLogFile"}), "/dev/stdout");
  EXPECT_EQ(data::get_string(mesh, {"defaultConfig", "discoveryAddress"}),
            "istiod-1-9-1.istio-system.svc:15012");
}

TEST(OurCharts, GatewaysHaveUpstreamsPorts) {
  const auto in = render("charts/gateways/istio-ingress", "{}");
  const Json& service = find(in, "Service", "istio-ingressgateway");
  EXPECT_EQ(ports(service), "15021,80,443,31400,15443");
  EXPECT_EQ(data::get_string(service, {"spec", "type"}), "LoadBalancer");
  const auto out =
      render("charts/gateways/istio-egress",
             "gateways: {istio-egressgateway: {env: {A: 1}, serviceAnnotations: {x: y}}}");
  EXPECT_EQ(ports(find(out, "Service", "istio-egressgateway")), "80,443,15443");
  find(out, "Role", "istio-egressgateway-sds");
  find(out, "Deployment", "istio-egressgateway");
}

TEST(OurCharts, OperatorRuns) {
  const auto out = render("charts/istio-operator", "watchedNamespaces: a,b");
  find(out, "CustomResourceDefinition", "istiooperators.install.istio.io");
  const Json& deployment = find(out, "Deployment", "istio-operator");
  EXPECT_NE(data::dump_json(deployment).find("\"a,b\""), std::string::npos);
}

std::string inject(std::string_view which, std::string_view data_yaml) {
  const auto chart = render("charts/istio-control/istio-discovery", "{}");
  const Json& map = find(chart, "ConfigMap", "istio-sidecar-injector");
  const Json config = yaml(data::get_string(map, {"data", "config"}));
  Json input = yaml(data_yaml);
  data::set(input, {"Values"}, data::parse_json(data::get_string(map, {"data", "values"})).value());
  TemplateOptions options;
  options.is_struct_like = true;
  TemplateSet set(options);
  add_injection_functions(set);
  auto added = set.add("inject", data::get_string(config, {"templates", which}));
  EXPECT_TRUE(added.ok()) << (added.ok() ? "" : added.error().message());
  auto out = set.render("inject", input);
  EXPECT_TRUE(out.ok()) << (out.ok() ? "" : out.error().message());
  return out.ok() ? *out : "";
}

constexpr std::string_view kPod = R"(
ObjectMeta: {labels: {app: web, version: v1}, annotations: {sidecar.istio.io/proxyCPU: 10m, note: "it's"}}
TypeMeta: {apiVersion: apps/v1, kind: Deployment}
DeploymentMeta: {name: web, namespace: default}
Spec: {containers: [{name: app, ports: [{containerPort: 80}]}]}
ProxyConfig: {interceptionMode: REDIRECT, concurrency: 2, proxyMetadata: {X: "y"}}
MeshConfig: {trustDomain: cluster.local}
Revision: ""
)";

TEST(OurCharts, SidecarTemplateMakesAPodPatch) {
  const Json patch = yaml(inject("sidecar", kPod));
  const Json& init = data::get_array(patch, {"spec", "initContainers"})[0];
  std::string args;
  for (const Json& each : data::get_array(init, {"args"}))
    args += std::string(data::as_string(each)) + " ";
  EXPECT_EQ(args,
            "istio-iptables -p 15001 -z 15006 -u 1337 -m REDIRECT -i * -x  -b * -d "
            "15090,15021,15020 --log_output_level=default:info ");
  const Json& proxy = data::get_array(patch, {"spec", "containers"})[0];
  EXPECT_EQ(data::get_string(proxy, {"name"}), "istio-proxy");
  EXPECT_EQ(data::get_string(proxy, {"image"}), "docker.io/istio/proxyv2:1.24.0");
  EXPECT_EQ(data::get_string(proxy, {"resources", "requests", "cpu"}), "10m");
  std::map<std::string, std::string> env;
  for (const Json& each : data::get_array(proxy, {"env"}))
    env[std::string(data::get_string(each, {"name"}))] = data::get_string(each, {"value"});
  EXPECT_EQ(env["ISTIO_META_POD_PORTS"], R"([{"containerPort":80}])");
  EXPECT_EQ(env["ISTIO_META_OWNER"],
            "kubernetes://apis/apps/v1/namespaces/default/deployments/web");
  EXPECT_EQ(env["CA_ADDR"], "istiod.istio-system.svc:15012");
  EXPECT_EQ(env["X"], "y");
  EXPECT_NE(env["ISTIO_METAJSON_ANNOTATIONS"].find("it's"), std::string::npos);
  EXPECT_EQ(data::get_string(patch, {"metadata", "labels", "service.istio.io/canonical-revision"}),
            "v1");
}

TEST(OurCharts, NativeSidecarIsAnInitContainerThatStays) {
  const Json patch = yaml(inject("sidecar", std::string(kPod) + "NativeSidecars: true\n"));
  const auto& init = data::get_array(patch, {"spec", "initContainers"});
  ASSERT_EQ(init.size(), 2u);
  EXPECT_EQ(data::get_string(init[1], {"restartPolicy"}), "Always");
  EXPECT_EQ(data::get_array(patch, {"spec", "containers"}).size(), 0u);
}

TEST(OurCharts, GatewayTemplateMakesARouter) {
  const Json patch = yaml(inject("gateway", kPod));
  const Json& proxy = data::get_array(patch, {"spec", "containers"})[0];
  EXPECT_EQ(data::as_string(data::get_array(proxy, {"args"})[1]), "router");
}

}  // namespace
}  // namespace lateen::chart
