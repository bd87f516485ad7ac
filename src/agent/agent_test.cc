#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <thread>

#include "agent/bootstrap.h"
#include "agent/options.h"
#include "agent/redirect.h"
#include "agent/status_server.h"
#include "linux/nft.h"

namespace lateen::agent {
namespace {

Environment sidecar_environment() {
  return {
      {"POD_NAME", "reviews-v1-x"},
      {"POD_NAMESPACE", "default"},
      {"INSTANCE_IP", "10.244.0.7"},
      {"SERVICE_ACCOUNT", "bookinfo-reviews"},
      {"ISTIO_META_CLUSTER_ID", "Kubernetes"},
      {"ISTIO_META_POD_PORTS", R"([{"containerPort":9080}])"},
      {"ISTIO_META_WORKLOAD_NAME", "reviews-v1"},
      {"CA_ADDR", "istiod.istio-system.svc:15012"},
      {"PROXY_CONFIG",
       R"({"discoveryAddress":"istiod-1-9-1.istio-system.svc:15012","tracing":{"zipkin":{"address":"zipkin.istio-system:9411"}},"terminationDrainDuration":"3s"})"}};
}

std::vector<std::string> sidecar_args() {
  return {"sidecar",
          "--domain",
          "default.svc.cluster.local",
          "--proxyLogLevel=warning",
          "--proxyComponentLogLevel=misc:error",
          "--log_output_level=default:info",
          "--concurrency",
          "2"};
}

}  // namespace

TEST(Options, ReadWhatInjectionSets) {
  const auto options = parse_options(sidecar_args(), sidecar_environment(), "/nonexistent/");
  ASSERT_TRUE(options) << options.error().message();
  EXPECT_EQ(options->node_id(),
            "sidecar~10.244.0.7~reviews-v1-x.default~default.svc.cluster.local");
  EXPECT_EQ(options->spiffe_id(), "spiffe://cluster.local/ns/default/sa/bookinfo-reviews");
  EXPECT_EQ(options->discovery_address, "istiod-1-9-1.istio-system.svc:15012");
  EXPECT_EQ(options->ca_address, "istiod.istio-system.svc:15012");
  EXPECT_EQ(options->termination_drain, seconds(3));
  EXPECT_EQ(options->metadata.at("WORKLOAD_NAME"), "reviews-v1");
  EXPECT_EQ(options->concurrency, 2);
}

TEST(Options, MistakesAreNamed) {
  EXPECT_NE(parse_options({"gateway"}, sidecar_environment(), "/x/")
                .error()
                .message()
                .find("sidecar or router"),
            std::string::npos);
  Environment bad = sidecar_environment();
  bad["PROXY_CONFIG"] = "{concurrency: [";
  EXPECT_NE(parse_options(sidecar_args(), bad, "/x/").error().message().find("PROXY_CONFIG"),
            std::string::npos);
  bad = sidecar_environment();
  bad.erase("INSTANCE_IP");
  EXPECT_NE(parse_options(sidecar_args(), bad, "/x/").error().message().find("INSTANCE_IP"),
            std::string::npos);
}

TEST(Options, DownwardFiles) {
  const auto labels =
      parse_downward_file("app=\"reviews\"\nversion=\"v1\"\nnote=\"a \\\"b\\\"\"\n");
  EXPECT_EQ(data::as_string(*labels.if_contains("note")), "a \"b\"");
  EXPECT_EQ(labels.size(), 3u);
}

TEST(Bootstrap, HoldsTheContract) {
  const auto options =
      parse_options(sidecar_args(), sidecar_environment(), "/nonexistent/").value();
  const data::Json bootstrap = make_bootstrap(options, true);
  EXPECT_EQ(data::get_string(bootstrap, {"node", "id"}), options.node_id());
  EXPECT_EQ(data::get_string(bootstrap, {"node", "metadata", "ISTIO_PROXY_BUILD"}), "lateen");
  EXPECT_EQ(data::get_string(bootstrap, {"node", "metadata", "POD_PORTS"}),
            R"([{"containerPort":9080}])");
  EXPECT_TRUE(data::find(bootstrap, {"node", "metadata", "PROXY_CONFIG"})->is_object());
  EXPECT_EQ(data::get_string(bootstrap, {"dynamic_resources", "ads_config", "api_type"}),
            "DELTA_GRPC");
  std::vector<std::string_view> names;
  for (const auto& cluster : data::get_array(bootstrap, {"static_resources", "clusters"}))
    names.push_back(data::get_string(cluster, {"name"}));
  EXPECT_EQ(names, (std::vector<std::string_view>{"prometheus_stats", "agent", "sds-grpc",
                                                  "xds-grpc", "zipkin"}));
  EXPECT_EQ(data::get_string(data::get_array(bootstrap, {"static_resources", "clusters"})[4],
                             {"dns_lookup_family"}),
            "V4_ONLY");
  EXPECT_EQ(data::get_array(bootstrap, {"static_resources", "listeners"}).size(), 2u);
  EXPECT_EQ(data::find(make_bootstrap(options, false), {"node", "metadata", "ISTIO_PROXY_BUILD"}),
            nullptr);
}

TEST(Redirect, RulesApplyTwiceAndGoAway) {
  if (geteuid() != 0) GTEST_SKIP() << "needs a network namespace of its own";
  const auto options = parse_redirect_options(
      {"-p", "15001", "-z", "15006", "-u", "1337", "-m", "REDIRECT", "-i", "*", "-x", "10.9.0.0/16",
       "-b", "*", "-d", "15090,15021,15020", "--log_output_level=default:info"});
  ASSERT_TRUE(options) << options.error().message();
  std::thread([&] {
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    const auto once = apply_redirect(*options);
    ASSERT_TRUE(once) << once.error().message();
    const std::string first = os::nft_list(std::string("table ") + kRedirectTable).value();
    ASSERT_TRUE(apply_redirect(*options));
    EXPECT_EQ(os::nft_list(std::string("table ") + kRedirectTable).value(), first);
    EXPECT_NE(first.find("redirect to :15001"), std::string::npos) << first;
    EXPECT_NE(first.find("10.9.0.0/16"), std::string::npos);
    RedirectOptions cleanup = *options;
    cleanup.is_cleanup = true;
    ASSERT_TRUE(apply_redirect(cleanup));
    EXPECT_EQ(os::nft_list("ruleset").value(), "");
    ASSERT_TRUE(apply_redirect(cleanup));
  }).join();
}

TEST(Redirect, BadInputIsNamed) {
  EXPECT_NE(parse_redirect_options({"-m", "TPROXY"}).error().message().find("TPROXY"),
            std::string::npos);
  EXPECT_FALSE(parse_redirect_options({"-u", "root; drop"}));
  RedirectOptions options;
  options.exclude_inbound = "80,http";
  EXPECT_NE(redirect_ruleset(options).error().message().find("http"), std::string::npos);
  options = RedirectOptions();
  options.exclude_outbound = "10.0.0.0/99";
  EXPECT_FALSE(redirect_ruleset(options));
}

TEST(Status, ReadinessNamesWhatIsMissing) {
  EXPECT_NE(not_ready_reason("server.state: 0\n").find("CDS"), std::string::npos);
  EXPECT_NE(not_ready_reason("cluster_manager.cds.update_success: 1\n").find("LDS"),
            std::string::npos);
  const std::string fine =
      "cluster_manager.cds.update_success: 2\nlistener_manager.lds.update_success: "
      "1\nlistener_manager.workers_started: 1\nserver.state: ";
  EXPECT_EQ(not_ready_reason(fine + "0\n"), "");
  EXPECT_NE(not_ready_reason(fine + "2\n").find("server.state 2"), std::string::npos);
}

TEST(Status, AppProbersOfInjection) {
  const auto probes = parse_app_probers(
      R"({"/app-health/reviews/readyz":{"httpGet":{"path":"health","port":9080,"scheme":"HTTP"},"timeoutSeconds":2},"/app-health/db/livez":{"tcpSocket":{"port":3306}}})");
  ASSERT_TRUE(probes) << probes.error().message();
  EXPECT_EQ(probes->at("/app-health/reviews/readyz").path, "/health");
  EXPECT_EQ(probes->at("/app-health/reviews/readyz").limit, seconds(2));
  EXPECT_EQ(probes->at("/app-health/db/livez").kind, AppProbe::Kind::kTcp);
  EXPECT_FALSE(parse_app_probers(R"({"/x":{"httpGet":{"path":"/"}}})"));
}

}  // namespace lateen::agent
