// The catalog against the generator: whatever sequence of changes led to a mesh, what the catalog
// keeps from snapshot to snapshot is, byte for byte, what is made of the last one from nothing.
// This is what makes remembering safe. The sequences are random, by seed.
#include "discovery/generate/catalog.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "discovery/test_mesh.h"
#include "xds/any.h"

namespace lateen::discovery {
namespace {

constexpr int kServices = 3;
constexpr const char* kNamespaces[] = {"default", "other", "istio-system"};
constexpr std::string_view kTypes[] = {xds::kClusterType,  xds::kEndpointType, xds::kListenerType,
                                       xds::kRouteType,    xds::kSecretType,   xds::kExtensionType,
                                       xds::kNameTableType};

using Made = std::vector<std::pair<std::string, std::string>>;  // name and body

// Objects as they come and go, chosen by a seed.
class Changes {
 public:
  explicit Changes(unsigned seed) : random_(seed) {}

  // Puts or removes one; the same object often, so that it really changes.
  void next(Store& store, Impact& impact) {
    const std::string yaml = pick();
    auto objects = data::parse_yaml_documents(yaml);
    ASSERT_TRUE(objects.ok()) << yaml;
    for (data::Json& object : *objects) {
      const std::string key = std::string(data::get_string(object, {"kind"})) + "/" +
                              std::string(data::get_string(object, {"metadata", "namespace"})) +
                              "/" + std::string(data::get_string(object, {"metadata", "name"}));
      data::set(object, {"metadata", "generation"}, data::Json(++generation_));
      const auto known = known_.find(key);
      if (known != known_.end() && roll(6) == 0) {
        impact.add(store.remove(known->second));
        known_.erase(known);
      } else {
        impact.add(store.put(object));
        known_[key] = object;
      }
      log_ += key + "\n";
    }
  }
  const std::string& log() const { return log_; }
  int roll(int sides) { return static_cast<int>(random_() % static_cast<unsigned>(sides)); }

 private:
  std::string ns() { return kNamespaces[std::max(0, roll(6) - 3)]; }  // mostly the first
  std::string host() { return fmt::format("svc{}.{}.svc.cluster.local", roll(kServices), ns()); }
  std::string labels() { return roll(2) == 0 ? "{version: v1}" : "{version: v2}"; }

  std::string service() {
    const int number = roll(kServices);
    const char* names[] = {"http", "http", "http", "tcp", "any"};
    return fmt::format(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: svc{0}, namespace: {1}, labels: {{l: "
        "x{2}}}}}\nspec: {{clusterIP: {3}, selector: {{app: svc{0}}}, ports: [{{name: {4}, port: "
        "{5}, targetPort: 8080}}]}}\n",
        number, ns(), roll(3), roll(5) == 0 ? "None" : fmt::format("10.96.0.{}", number + 1),
        names[roll(5)], roll(2) == 0 ? 80 : 9000);
  }
  std::string slice() {
    const int number = roll(kServices);
    std::string points;
    for (int i = roll(4); i > 0; --i) {
      points += fmt::format("\n- {{addresses: [10.1.{}.{}]}}", number, roll(4) + 1);
    }
    return fmt::format(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: svc{0}-{1}, "
        "namespace: {2}, labels: {{kubernetes.io/service-name: svc{0}}}}}\nports: [{{name: {3}, "
        "port: 8080}}]\nendpoints:{4}\n",
        number, roll(2), ns(), roll(4) > 0 ? "http" : "tcp", points.empty() ? " []" : points);
  }
  std::string pod() {
    const int number = roll(kServices);
    return fmt::format(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: svc{0}-{1}, namespace: {2}, labels: {{app: "
        "svc{0}, version: v{3}, security.istio.io/tlsMode: istio}}}}\nspec: {{serviceAccountName: "
        "sa{4}, nodeName: node{5}}}\nstatus: {{podIP: 10.1.{0}.{1}, phase: Running, conditions: "
        "[{{type: Ready, status: 'True'}}]}}\n",
        number, roll(4) + 1, ns(), roll(2) + 1, roll(2), roll(2));
  }
  std::string node() {
    return fmt::format(
        "apiVersion: v1\nkind: Node\nmetadata: {{name: node{}, labels: "
        "{{topology.kubernetes.io/region: r{}, topology.kubernetes.io/zone: z{}}}}}\n",
        roll(2), roll(2), roll(2));
  }
  std::string virtual_service() {
    const std::string to = host();
    std::string head = fmt::format(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: vs{}, "
        "namespace: {}}}\nspec:\n",
        roll(4), ns());
    switch (roll(7)) {
      case 0:
        return head + fmt::format(
                          "  hosts: ['*.cluster.local']\n  http: [{{route: [{{destination: "
                          "{{host: {}}}}}]}}]\n",
                          to);
      case 1:
        return head +
               fmt::format("  hosts: [{}]\n  tcp: [{{route: [{{destination: {{host: {}}}}}]}}]\n",
                           host(), to);
      case 2:
        return head + fmt::format(
                          "  hosts: [{}]\n  http: [{{match: [{{sourceLabels: {}}}], route: "
                          "[{{destination: {{host: {}, subset: v1}}}}]}}]\n",
                          host(), labels(), to);
      case 3:
        return head + fmt::format(
                          "  hosts: [out{}.example.com, svc1.other]\n  http: [{{route: "
                          "[{{destination: {{host: {}}}}}]}}]\n",
                          roll(2), to);
      case 4:
        return head + fmt::format(
                          "  hosts: ['*']\n  gateways: [gw, mesh]\n  http: [{{route: "
                          "[{{destination: {{host: {}}}}}]}}]\n",
                          to);
      case 5:
        return head + fmt::format("  hosts: [{}]\n  http: [{{delegate: {{name: vs{}}}}}]\n", host(),
                                  roll(4));
      default:
        return head + fmt::format(
                          "  hosts: [{}]\n  exportTo: [{}]\n  http: [{{timeout: {}s, route: "
                          "[{{destination: {{host: {}}}}}]}}]\n",
                          host(), roll(2) == 0 ? "'*'" : "'.'", roll(5) + 1, to);
    }
  }
  std::string rule() {
    const char* policies[] = {
        "{loadBalancer: {simple: RANDOM}}", "{tls: {mode: ISTIO_MUTUAL}}",
        "{loadBalancer: {consistentHash: {httpHeaderName: x}}}",
        "{outlierDetection: {consecutive5xxErrors: 3}, loadBalancer: {localityLbSetting: "
        "{failoverPriority: [version]}}}"};
    return fmt::format(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: dr{}, "
        "namespace: {}}}\nspec: {{host: '{}', trafficPolicy: {}, subsets: [{{name: v1, labels: "
        "{}}}]{}}}\n",
        roll(3), ns(), roll(4) == 0 ? "*.cluster.local" : host(), policies[roll(4)], labels(),
        roll(4) == 0 ? ", workloadSelector: {matchLabels: {app: svc1}}" : "");
  }
  std::string sidecar() {
    return fmt::format(
        "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: sc{}, namespace: "
        "{}}}\nspec: {{{}egress: [{{hosts: ['{}']}}]}}\n",
        roll(2), ns(), roll(2) == 0 ? "workloadSelector: {labels: {app: svc1}}, " : "",
        roll(2) == 0 ? "*/*" : "./*");
  }
  std::string policy() {
    switch (roll(6)) {
      case 0:
        return fmt::format(
            "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {{name: pa, "
            "namespace: {}}}\nspec: {{mtls: {{mode: {}}}}}\n",
            ns(), roll(2) == 0 ? "STRICT" : "PERMISSIVE");
      case 1:
        return fmt::format(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: ap, "
            "namespace: {}}}\nspec: {{action: DENY, rules: [{{to: [{{operation: {{paths: "
            "[/{}]}}}}]}}]}}\n",
            ns(), roll(9));
      case 2:
        return fmt::format(
            "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {{name: t, namespace: "
            "{}}}\nspec: {{tracing: [{{randomSamplingPercentage: {}}}]}}\n",
            ns(), roll(50));
      case 3:
        return fmt::format(
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: gw, namespace: "
            "{}}}\nspec: {{selector: {{istio: ingressgateway}}, servers: [{{port: {{number: {}, "
            "name: http, protocol: HTTP}}, hosts: ['*']}}]}}\n",
            ns(), roll(2) == 0 ? 80 : 8081);
      case 4:
        return fmt::format(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: se{}, "
            "namespace: {}}}\nspec: {{hosts: [ext{}.example.com], location: MESH_EXTERNAL, "
            "resolution: {}, ports: [{{number: 80, name: http, protocol: HTTP}}], endpoints: "
            "[{{address: 192.0.2.{}}}]}}\n",
            roll(2), ns(), roll(2), roll(2) == 0 ? "DNS" : "STATIC", roll(9) + 1);
      default:
        return fmt::format(
            "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {{name: ef, "
            "namespace: {}}}\nspec: {{configPatches: [{{applyTo: {}, match: {{context: "
            "SIDECAR_OUTBOUND}}, patch: {{operation: MERGE, value: {{name: patched-{}}}}}}}]}}\n",
            ns(), roll(2) == 0 ? "CLUSTER" : "VIRTUAL_HOST", roll(5));
    }
  }
  std::string pick() {
    switch (roll(16)) {
      case 0: return service();
      case 1:
      case 2:
      case 3:
      case 4: return slice();
      case 5:
      case 6: return pod();
      case 7: return node();
      case 8:
      case 9: return virtual_service();
      case 10:
      case 11:
      case 12: return rule();
      case 13: return sidecar();
      default: return policy();
    }
  }

  std::mt19937 random_;
  std::map<std::string, data::Json> known_;
  std::int64_t generation_ = 0;
  std::string log_;
};

std::vector<Proxy> fleet() {
  std::vector<Proxy> out;
  for (const char* ns : kNamespaces) {
    for (int i = 0; i < 3; ++i) {
      // Two replicas of one workload, and another.
      out.push_back(TestMesh::sidecar(fmt::format("svc{}", i / 2),
                                      fmt::format("10.1.{}.{}", i / 2, i + 1), ns));
    }
  }
  Proxy automatic = TestMesh::sidecar("dns");
  automatic.uses_auto_addresses = true;
  automatic.shared_metadata += "auto";
  out.push_back(std::move(automatic));
  out.push_back(TestMesh::gateway());
  return out;
}

std::set<std::string> names_for(std::string_view type, const Generator& generator,
                                const Proxy& proxy) {
  std::set<std::string> out;
  if (type == xds::kEndpointType) {
    for (const auto& cluster : generator.make(proxy, xds::kClusterType, {}))
      out.insert(cluster.name);
    out.insert("outbound|1||gone.default.svc.cluster.local");
  }
  if (type == xds::kRouteType) {
    out = {"80", "9000", "http.80", "http.8081", "nothing"};
    for (int i = 0; i < kServices; ++i) {
      out.insert(fmt::format("svc{}.default.svc.cluster.local:9000", i));
    }
  }
  return out;
}

Made made_of(const std::vector<xds::Served>& served) {
  Made out;
  for (const auto& one : served) out.emplace_back(one.name, *one.body);
  return out;
}
Made made_of(const xds::Resources& served) {
  Made out;
  for (const auto& one : served) out.emplace_back(one->name, *one->body);
  return out;
}

class CatalogSeed : public ::testing::TestWithParam<unsigned> {};

TEST_P(CatalogSeed, KeepsWhatTheGeneratorWouldMake) {
  Changes changes(GetParam());
  Store store(Store::Options{});
  Catalog catalog;
  xds::NamePool pool;
  const std::vector<Proxy> proxies = fleet();
  std::vector<Catalog::Member> members(proxies.size());
  std::vector<xds::NamesPtr> held;  // subscriptions stay
  SnapshotPtr last;
  for (int round = 0; round < 40; ++round) {
    Impact impact;
    for (int count = round == 0 ? 60 : changes.roll(3) + 1; count > 0; --count) {
      changes.next(store, impact);
    }
    auto snapshot =
        std::make_shared<const MeshSnapshot>(store.input(fmt::format("v{}", round)), last.get());
    last = snapshot;
    catalog.update(snapshot, impact.is_full ? nullptr : &impact.hosts);
    // From nothing: no snapshot before it.
    const Generator generator(
        std::make_shared<const MeshSnapshot>(store.input(fmt::format("v{}", round))));
    for (std::size_t i = 0; i < proxies.size(); ++i) {
      catalog.classify(proxies[i], members[i]);
      for (const std::string_view type : kTypes) {
        const auto wanted = names_for(type, generator, proxies[i]);
        held.push_back(pool.take({wanted.begin(), wanted.end()}));
        const auto kept = catalog.resources(*members[i].kind, type, held.back());
        const auto again = catalog.resources(*members[i].kind, type, held.back());
        EXPECT_EQ(kept, again) << type;
        const Made fresh = made_of(generator.make(proxies[i], type, wanted));
        ASSERT_TRUE(made_of(*kept) == fresh) << type << " of " << proxies[i].id << " in round "
                                             << round << " of seed " << GetParam() << " after\n"
                                             << changes.log();
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, CatalogSeed, ::testing::Range(1u, 9u));

TEST(Catalog, GivesTheSameObjectWhenNothingOfItChanged) {
  TestMesh mesh;
  mesh.service("reviews", "10.96.0.1", 9080, "http", {"v1"});
  mesh.service("ratings", "10.96.0.2", 9080, "http", {"v1"});
  Catalog catalog;
  catalog.update(std::make_shared<const MeshSnapshot>(mesh.store().input("v1")), nullptr);
  const Proxy proxy = TestMesh::sidecar("web");
  Catalog::Member member;
  catalog.classify(proxy, member);
  xds::NamePool pool;
  const auto names = pool.take({"outbound|9080||ratings.default.svc.cluster.local",
                                "outbound|9080||reviews.default.svc.cluster.local"});
  const auto clusters = catalog.resources(*member.kind, xds::kClusterType, names);
  const auto endpoints = catalog.resources(*member.kind, xds::kEndpointType, names);

  mesh.take_impact();
  mesh.with(R"(
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: reviews-2, namespace: default, labels: {kubernetes.io/service-name: reviews}}
ports: [{name: http, port: 9080}]
endpoints: [{addresses: [10.1.1.1]}, {addresses: [10.1.1.77]}]
)");
  Impact impact = mesh.take_impact();
  catalog.update(std::make_shared<const MeshSnapshot>(mesh.store().input("v2")), &impact.hosts);
  catalog.classify(proxy, member);
  const auto after = catalog.resources(*member.kind, xds::kEndpointType, names);
  ASSERT_EQ(after->size(), 2u);
  EXPECT_EQ((*after)[0], (*endpoints)[0]);
  EXPECT_NE((*after)[1], (*endpoints)[1]);

  mesh.with(R"(
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: r, namespace: default}
spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews}}]}]}
)");
  catalog.update(std::make_shared<const MeshSnapshot>(mesh.store().input("v3")), nullptr);
  EXPECT_EQ(catalog.resources(*member.kind, xds::kClusterType, names), clusters);
  EXPECT_EQ(catalog.resources(*member.kind, xds::kEndpointType, names), after);
}

TEST(Catalog, ReplicasAreOfOneKind) {
  TestMesh mesh;
  mesh.service("reviews", "10.96.0.1", 9080, "http", {"v1"});
  Catalog catalog;
  catalog.update(std::make_shared<const MeshSnapshot>(mesh.store().input("v1")), nullptr);
  Catalog::Member one, two, other;
  catalog.classify(TestMesh::sidecar("web", "10.1.9.1"), one);
  catalog.classify(TestMesh::sidecar("web", "10.1.9.2"), two);
  catalog.classify(TestMesh::sidecar("web", "10.1.9.3", "other"), other);
  EXPECT_EQ(one.kind, two.kind);
  EXPECT_NE(one.kind, other.kind);
}

}  // namespace
}  // namespace lateen::discovery
