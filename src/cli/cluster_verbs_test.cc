// Verbs that look at a cluster: the API server in memory.
#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/archive.h"
#include "cli/istioctl.h"
#include "data/yaml.h"
#include "kube/memory_server.h"

namespace lateen::cli {
namespace {

struct Outcome {
  int status;
  std::string out, err;
};

class Verbs : public testing::Test {
 protected:
  Verbs()
      : server_({kube::resources::mutating_webhooks(),
                 {"networking.istio.io", "v1", "workloadgroups", "WorkloadGroup", true}}) {}
  void put(const std::string& documents) {
    const auto parsed = data::parse_yaml_documents(documents);
    ASSERT_TRUE(parsed.ok()) << parsed.error().message();
    for (const Json& each : *parsed) server_.put(each);
  }
  Outcome run(const std::vector<std::string>& arguments) {
    std::istringstream in;
    std::ostringstream out, err;
    Session session(in, out, err);
    session.adopt(std::make_unique<kube::Client>(server_.transport()));
    const int status = run_istioctl(arguments, session);
    return {status, out.str(), err.str()};
  }
  std::string folder() {
    std::string name = testing::TempDir() + "lateen-verbs-XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    folders_.push_back(name);
    return name;
  }
  ~Verbs() override {
    for (const auto& each : folders_) std::filesystem::remove_all(each);
  }
  kube::MemoryServer server_;
  std::vector<std::string> folders_;
};

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream out;
  out << file.rdbuf();
  return out.str();
}

constexpr const char* kHooks = R"(
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: istio-sidecar-injector, labels: {app: sidecar-injector, istio.io/rev: default}}
webhooks:
- name: namespace.sidecar-injector.istio.io
  namespaceSelector: {matchExpressions: [{key: istio-injection, operator: In, values: [enabled]}]}
  objectSelector: {matchExpressions: [{key: sidecar.istio.io/inject, operator: NotIn, values: ["false"]}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: plain}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio-sidecar-injector, namespace: istio-system, labels: {istio.io/rev: default}}
data: {values: '{"global": {"hub": "h", "tag": "1.2", "proxy": {"image": "proxyv2"}}}'}
---
apiVersion: v1
kind: Pod
metadata: {name: in, namespace: shop, annotations: {istio.io/rev: default}}
---
apiVersion: v1
kind: Pod
metadata: {name: late, namespace: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: out, namespace: shop, labels: {sidecar.istio.io/inject: "false"}}
)";

TEST_F(Verbs, CheckInjectSaysWhyAndWhyNot) {
  EXPECT_EQ(run({"x", "check-inject", "-n", "shop"}).status, 1);
  put(kHooks);
  EXPECT_EQ(run({"x", "check-inject", "in.shop"}).out,
            "WEBHOOK                 REVISION  INJECTED  REASON\n"
            "istio-sidecar-injector  default   ✔         Namespace label istio-injection=enabled "
            "matches\n");
  EXPECT_NE(
      run({"x", "check-inject", "out.shop"})
          .out.find("✘         Pod has sidecar.istio.io/inject=false label, preventing injection"),
      std::string::npos);
  EXPECT_NE(
      run({"x", "check-inject", "-n", "plain", "-l", "app=a"})
          .out.find("No matching namespace labels (istio-injection=enabled) or pod labels ()"),
      std::string::npos);
}

TEST_F(Verbs, InjectorListCountsPods) {
  put(kHooks);
  const Outcome r = run({"x", "injector", "list"});
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.out,
            "NAMESPACE ISTIO-REVISION POD-REVISIONS\n"
            "shop      default        <non-Istio>: 2 (injection disabled: 1) NEEDS RESTART: 1\n"
            "shop      default        default: 1\n"
            "\n"
            "NAMESPACES INJECTOR-HOOK          ISTIO-REVISION SIDECAR-IMAGE\n"
            "shop       istio-sidecar-injector default        h/proxyv2:1.2\n");
}

TEST_F(Verbs, CreatesWorkloadGroups) {
  const Outcome r = run({"x", "workload", "group", "create", "--name", "vm", "-n", "shop",
                         "--labels", "app=vm,v=1", "--ports", "http=8080"});
  ASSERT_EQ(r.status, 0) << r.err;
  const auto made = data::parse_yaml(r.out);
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(data::get_string(*made, {"spec", "metadata", "labels", "v"}), "1");
  EXPECT_EQ(data::get_int(*made, {"spec", "template", "ports", "http"}), 8080);
  EXPECT_EQ(run({"x", "workload", "group", "create", "--name", "vm"}).err,
            "Error: expecting a workload namespace\n");
}

TEST_F(Verbs, ConfiguringAWorkloadNeedsWhatItWritesDown) {
  const std::string out = folder();
  EXPECT_EQ(run({"x", "workload", "entry", "configure", "-o", out}).err,
            "Error: expecting a WorkloadGroup artifact file or the name and namespace of an "
            "existing WorkloadGroup\n");
  put(kHooks);
  put(R"(
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: vm, namespace: shop}
spec: {metadata: {labels: {app: vm}}, template: {serviceAccount: robot, ports: {http: 8080}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "trustDomain: t.example\ndefaultConfig: {proxyMetadata: {A: it's}}\n"}
)");
  // No root certificate in the namespace: the error names what is missing, after the files before
  // it.
  const Outcome r = run({"x", "workload", "entry", "configure", "--name", "vm", "-n", "shop", "-o",
                         out, "--internalIP", "10.1.1.1"});
  EXPECT_NE(r.err.find("configmap istio-ca-root-cert was not found in namespace shop"),
            std::string::npos)
      << r.err;
  const std::string env = text_of(out + "/cluster.env");
  EXPECT_NE(env.find("ISTIO_INBOUND_PORTS='8080'\n"), std::string::npos) << env;
  EXPECT_NE(env.find("A='it'\"'\"'s'\n"), std::string::npos) << env;
  EXPECT_NE(env.find("ISTIO_SVC_IP='10.1.1.1'\n"), std::string::npos) << env;
  EXPECT_NE(env.find("ISTIO_LOCAL_EXCLUDE_PORTS='22,15090,15021,15020'\n"), std::string::npos)
      << env;
  const auto mesh = data::parse_yaml(text_of(out + "/mesh.yaml"));
  ASSERT_TRUE(mesh.ok());
  EXPECT_EQ(data::get_string(*mesh, {"defaultConfig", "proxyMetadata", "TRUST_DOMAIN"}),
            "t.example");
  EXPECT_EQ(data::get_string(*mesh, {"defaultConfig", "proxyMetadata", "SERVICE_ACCOUNT"}),
            "robot");
}

TEST_F(Verbs, RemoteSecretsCarryAKubeconfig) {
  put(R"(
apiVersion: v1
kind: ServiceAccount
metadata: {name: istio-reader-service-account, namespace: istio-system}
---
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata: {name: t, namespace: istio-system, annotations: {kubernetes.io/service-account.name: istio-reader-service-account}}
data: {ca.crt: Q0E=, token: dG9rZW4=}
)");
  const Outcome r =
      run({"create-remote-secret", "--name", "east", "--server", "https://10.0.0.1:6443"});
  ASSERT_EQ(r.status, 0) << r.err;
  const auto documents = data::parse_yaml_documents(r.out);
  ASSERT_TRUE(documents.ok());
  const Json& secret = documents->front();
  EXPECT_EQ(kube::name_of(secret), "istio-remote-secret-east");
  EXPECT_EQ(kube::label(secret, "istio/multiCluster"), "true");
  const auto config = data::parse_yaml(data::get_string(secret, {"stringData", "east"}));
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(data::get_string(*config, {"current-context"}), "east");
  EXPECT_EQ(data::get_string(data::get_array(*config, {"users"}).at(0), {"user", "token"}),
            "token");
  EXPECT_EQ(run({"create-remote-secret", "--name", "Bad_Name"}).err,
            "Error: Bad_Name is not a valid DNS 1123 label\n");
  EXPECT_NE(run({"create-remote-secret", "--name", "east", "--service-account", "x",
                 "--create-service-account=false"})
                .err.find("failed retrieving service account x.istio-system"),
            std::string::npos);
}

TEST_F(Verbs, ArchivesAreTarFiles) {
  const std::string path = folder() + "/a.tar.gz";
  {
    auto archive = Archive::create(path);
    ASSERT_TRUE(archive.ok());
    ASSERT_TRUE((*archive)->add("one.txt", "hello").ok());
    ASSERT_TRUE((*archive)
                    ->add(std::string(90, 'd') + "/" + std::string(60, 'f'), std::string(600, 'x'))
                    .ok());
    EXPECT_FALSE((*archive)->add(std::string(300, 'n'), "x").ok());
    ASSERT_TRUE((*archive)->finish().ok());
  }
  gzFile file = gzopen(path.c_str(), "rb");
  ASSERT_NE(file, nullptr);
  std::string all(8192, '\0');
  all.resize(static_cast<std::size_t>(std::max(0, gzread(file, all.data(), 8192))));
  gzclose(file);
  ASSERT_EQ(all.size(), 512u * (2 + 3 + 2));  // two entries with their headers, and the end
  EXPECT_EQ(all.substr(0, 8), std::string("one.txt\0", 8));
  EXPECT_EQ(all.substr(257, 5), "ustar");
  EXPECT_EQ(all.substr(512, 5), "hello");
  EXPECT_EQ(all.substr(1024 + 345, 5), "ddddd");
}

TEST_F(Verbs, StatsAndLogsNeedAPodOrASelector) {
  EXPECT_EQ(run({"x", "envoy-stats"}).err, "Error: stats requires pod name or label selector\n");
  EXPECT_EQ(run({"pc", "log", "a", "-l", "app=b"}).err,
            "Error: name cannot be provided when the label selector is specified\n");
  EXPECT_EQ(run({"pc", "log", "-l", "app=b"}).err, "Error: no pods found\n");
  EXPECT_EQ(run({"x", "metrics"}).err, "Error: metrics requires workload name\n");
  EXPECT_EQ(
      run({"x", "internal-debug"}).err,
      "Error: debug type is required, you can specify --list flag to list supported debug types\n");
}

}  // namespace
}  // namespace lateen::cli
