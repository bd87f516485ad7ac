// Command lines as a user types them; no cluster.
#include <gtest/gtest.h>

#include <sstream>

#include "cli/istioctl.h"
#include "cli/text_diff.h"
#include "data/yaml.h"

namespace lateen::cli {
namespace {

struct Outcome {
  int status;
  std::string out, err;
};

Outcome run(const std::vector<std::string>& arguments, const std::string& input = {}) {
  std::istringstream in(input);
  std::ostringstream out, err;
  Session session(in, out, err);
  session.kubeconfig = "/nonexistent/kubeconfig";
  const int status = run_istioctl(arguments, session);
  return {status, out.str(), err.str()};
}

TEST(Istioctl, ListsProfiles) {
  const Outcome r = run({"profile", "list"});
  EXPECT_EQ(r.status, 0);
  EXPECT_EQ(r.out,
            "Istio configuration profiles:\n    default\n    demo\n    empty\n    minimal\n    "
            "preview\n");
}

TEST(Istioctl, GeneratesManifestsFromProfilesAndFiles) {
  const Outcome r =
      run({"manifest", "generate", "--set", "profile=demo", "--set", "hub=reg:5000/x", "-f", "-"},
          "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec: {tag: t1}\n");
  ASSERT_EQ(r.status, 0) << r.err;
  const auto objects = data::parse_yaml_documents(r.out);
  ASSERT_TRUE(objects.ok()) << objects.error().message();
  EXPECT_GT(objects.value().size(), 40u);
  EXPECT_NE(r.out.find("reg:5000/x/pilot:t1"), std::string::npos);
}

TEST(Istioctl, DumpsPartsOfProfiles) {
  EXPECT_EQ(run({"profile", "dump", "demo", "-p", "components.pilot.k8s.resources"}).out,
            "requests:\n  cpu: 10m\n  memory: 100Mi\n");
  EXPECT_NE(run({"profile", "dump", "demo", "-o", "flags"})
                .out.find("\nmeshConfig.accessLogFile=/dev/stdout\n"),
            std::string::npos);
  EXPECT_EQ(run({"profile", "diff", "demo", "demo"}).out, "Profiles are identical\n");
  EXPECT_EQ(run({"profile", "diff", "demo", "default"}).status, 1);
}

TEST(Istioctl, DumpsTheOperator) {
  const Outcome r = run({"operator", "dump", "--watchedNamespaces", "a,b", "--revision", "r1"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("name: istio-operator-r1"), std::string::npos);
  EXPECT_NE(r.out.find("value: a,b"), std::string::npos);
}

// What a proxy with two policies answers to /config_dump, as far as it matters here.
constexpr const char* kPolicyDump = R"({"configs": [{
  "@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump",
  "dynamic_listeners": [{"active_state": {"listener": {"name": "virtualInbound", "filter_chains": [
    {"filters": [{"typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
      "http_filters": [
        {"typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
          "rules": {"action": "DENY", "policies": {"ns[a]-policy[no]-rule[0]": {}}}}},
        {"typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
          "rules": {"policies": {"ns[a]-policy[yes]-rule[0]": {}, "ns[a]-policy[yes]-rule[1]": {}}}}}]}}]},
    {"filters": [{"typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC",
      "rules": {}}}]}]}}}]}]})";

TEST(Istioctl, ChecksTheLoadedPolicies) {
  const Outcome r = run({"x", "authz", "check", "-f", "-"}, kPolicyDump);
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.out,
            "ACTION   AuthorizationPolicy         RULES\n"
            "DENY     no.a                        1\n"
            "ALLOW    _anonymous_match_nothing_   1\n"
            "ALLOW    yes.a                       2\n");
  EXPECT_EQ(run({"x", "authz", "check"}).err, "Error: check requires only pod name or --file\n");
}

TEST(Istioctl, TheLastOfTwoFlagsCounts) {
  const Outcome r = run({"-n", "a", "x", "config", "list", "-n", "b"});
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("istioNamespace          istio-system     default\n"), std::string::npos)
      << r.out;
}

TEST(Istioctl, MistakesEndWithWhatToDo) {
  Outcome r = run({"manifest", "generate", "--set", "profile=nope"});
  EXPECT_EQ(r.status, 1);
  EXPECT_EQ(
      r.err,
      "Error: unknown profile \"nope\": choose one of default, demo, empty, minimal, preview\n");
  r = run({"manifest", "generate", "-f", "/nope.yaml"});
  EXPECT_EQ(r.err, "Error: cannot read /nope.yaml: check that the file exists and may be read\n");
  r = run({"manifest", "generate", "-f", "-"},
          "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec: {componentz: {}}\n");
  EXPECT_EQ(r.err,
            "Error: -: line 1: spec.componentz: unknown field, did you mean \"components\"?\n");
  EXPECT_EQ(run({"nonsense"}).status, 1);
  EXPECT_EQ(run({"operator", "init"}).status, 1);
}

TEST(Istioctl, VersionWithoutACluster) {
  const Outcome r = run({"version", "--remote=false"});
  EXPECT_EQ(r.out, "client version: 1.24.0\n");
}

TEST(TextDiff, ShowsChangesWithContext) {
  EXPECT_EQ(text_diff("a\nb\nc\nd\ne\nf\ng", "a\nb\nc\nd\nX\nf\ng"),
            " b\n c\n d\n-e\n+X\n f\n g\n");
}

TEST(Table, PadsColumns) {
  EXPECT_EQ(format_table({{"NAME", "X"}, {"longer", "y"}}), "NAME       X\nlonger     y\n");
}

}  // namespace
}  // namespace lateen::cli
