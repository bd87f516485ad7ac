// Ingresses and Gateway API routes, by the Envoy routes that the gateway is given.
#include <gtest/gtest.h>

#include "discovery/test_mesh.h"
#include "discovery/translate/translation.h"
#include "envoy/config/route/v3/route.pb.h"
#include "xds/any.h"

namespace lateen::discovery {
namespace {

using Routes = envoy::config::route::v3::RouteConfiguration;

// "host path -> cluster" of every route.
std::string lines(const Routes& routes) {
  std::string out;
  for (const auto& host : routes.virtual_hosts()) {
    for (const auto& route : host.routes()) {
      const auto& match = route.match();
      std::string path = match.path();
      if (match.has_prefix()) path = match.prefix() + "*";
      std::string to = route.route().cluster();
      if (route.has_redirect()) to = "redirect " + route.redirect().scheme_redirect();
      if (route.has_direct_response()) {
        to = "status " + std::to_string(route.direct_response().status());
      }
      out += host.domains(0) + " " + path + " -> " + to + "\n";
    }
  }
  return out;
}

Proxy api_gateway() {
  Proxy proxy = TestMesh::gateway();
  proxy.ns = "infra";
  proxy.labels = {{"gateway.networking.k8s.io/gateway-name", "edge"}};
  return proxy;
}

TEST(Translate, AnIngressIsRoutedByHostAndPath) {
  TestMesh mesh;
  mesh.service("web", "10.0.0.1", 80, "http", {"v1"})
      .service("api", "10.0.0.2", 80, "http", {"v1"});
  mesh.with(R"(
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: site, namespace: default}
spec:
  ingressClassName: istio
  rules:
  - host: example.com
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
      - {path: /api, pathType: Prefix, backend: {service: {name: api, port: {name: http}}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: foreign, namespace: default}
spec:
  ingressClassName: nginx
  rules: [{host: other.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]
)");
  const auto routes = mesh.get<Routes>(TestMesh::gateway(), xds::kRouteType, "http.80");
  EXPECT_EQ(lines(routes),
            "example.com /api -> outbound|80||api.default.svc.cluster.local\n"
            "example.com /api/* -> outbound|80||api.default.svc.cluster.local\n"
            "example.com /* -> outbound|80||web.default.svc.cluster.local\n");
}

constexpr const char* kGateway = R"(
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: infra, generation: 3}
spec:
  gatewayClassName: istio
  listeners:
  - {name: http, port: 80, protocol: HTTP, hostname: "*.example.com", allowedRoutes: {namespaces: {from: All}}}
)";

TEST(Translate, AnHttpRouteOfTheGatewayApi) {
  TestMesh mesh;
  mesh.service("web", "10.0.0.1", 80, "http", {"v1"}).with(kGateway).with(R"(
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: default}
spec:
  parentRefs: [{name: edge, namespace: infra}]
  hostnames: [a.example.com]
  rules:
  - backendRefs: [{name: web, port: 80}]
  - matches: [{path: {type: Exact, value: /old}}]
    filters: [{type: RequestRedirect, requestRedirect: {scheme: https}}]
  - matches: [{path: {type: PathPrefix, value: /gone}}]
    backendRefs: [{name: nobody, port: 80}]
)");
  const auto routes = mesh.get<Routes>(api_gateway(), xds::kRouteType, "http.80");
  EXPECT_EQ(lines(routes),
            "a.example.com /old -> redirect https\n"
            "a.example.com /gone -> status 500\n"
            "a.example.com /gone/* -> status 500\n"
            "a.example.com /* -> outbound|80||web.default.svc.cluster.local\n");
}

TEST(Translate, WhatRoutesAndGatewaysAreTold) {
  const auto parse = [](const char* yaml) {
    auto object = data::parse_yaml(yaml);
    EXPECT_TRUE(object.ok());
    return object.ok() ? *std::move(object) : data::Json();
  };
  Translation::Objects objects;
  objects[{"Gateway", "infra", "edge"}] = parse(kGateway);
  objects[{"HTTPRoute", "default", "foreign"}] = parse(R"(
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: foreign, namespace: default}
spec:
  parentRefs: [{name: edge, namespace: infra}]
  hostnames: [elsewhere.com]
  rules: [{backendRefs: [{name: web, namespace: other, port: 80}]}]
)");
  mesh::Issues issues;
  const auto mesh = mesh::parse_mesh_config("{}", issues);
  ASSERT_TRUE(mesh.ok());
  const auto made = translate({objects, *mesh, "cluster.local", "istio-system", {}});
  const data::Json& route = made->statuses.at({"HTTPRoute", "default", "foreign"});
  const auto& conditions =
      data::get_array(data::get_array(route, {"parents"}).front(), {"conditions"});
  ASSERT_EQ(conditions.size(), 2u);
  EXPECT_EQ(data::get_string(conditions[0], {"reason"}), "NoMatchingListenerHostname");
  EXPECT_EQ(data::get_string(conditions[1], {"reason"}), "RefNotPermitted");
  const data::Json& gateway = made->statuses.at({"Gateway", "infra", "edge"});
  EXPECT_EQ(data::get_int(data::get_array(gateway, {"listeners"}).front(), {"attachedRoutes"}), 0);
}

TEST(Translate, AReferenceGrantLetsARouteReachAnotherNamespace) {
  TestMesh mesh;
  mesh.service("web", "10.0.0.1", 80, "http", {"v1"}, "other").with(kGateway).with(R"(
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: default}
spec:
  parentRefs: [{name: edge, namespace: infra}]
  rules: [{backendRefs: [{name: web, namespace: other, port: 80}]}]
)");
  EXPECT_EQ(lines(mesh.get<Routes>(api_gateway(), xds::kRouteType, "http.80")),
            "*.example.com /* -> status 500\n");
  mesh.with(R"(
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: g, namespace: other}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}]
  to: [{group: "", kind: Service}]
)");
  EXPECT_EQ(lines(mesh.get<Routes>(api_gateway(), xds::kRouteType, "http.80")),
            "*.example.com /* -> outbound|80||web.other.svc.cluster.local\n");
}

}  // namespace
}  // namespace lateen::discovery
