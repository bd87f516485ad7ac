// Service rules, as text and in a real kernel.
#include "cluster/balancer/rules.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <chrono>

#include "linux/namespaces.h"
#include "linux/nft.h"

namespace lateen::cluster::balancer {
namespace {

Json parse(std::string_view text) { return data::parse_json(text).value(); }

kube::ObjectPtr slice(std::string_view endpoints) {
  return std::make_shared<const Json>(parse(fmt::format(
      R"({{"addressType": "IPv4", "ports": [{{"name": "http", "port": 8080}}], "endpoints": [{}]}})",
      endpoints)));
}

std::string endpoint(std::string_view ip, bool is_ready, bool is_terminating = false) {
  return fmt::format(
      R"({{"addresses": ["{}"], "conditions": {{"ready": {}, "serving": true, "terminating": {}}}}})",
      ip, is_ready, is_terminating);
}

Json service(std::string_view extra = "") {
  return parse(fmt::format(
      R"({{"metadata": {{"name": "web", "namespace": "default"}}, "spec": {{"clusterIP": "10.96.1.2",
      "ports": [{{"name": "http", "port": 80, "nodePort": 30080}}]{}}}}})",
      extra));
}

TEST(Endpoints, AreTheReadyOnesElseTheServingOnes) {
  const Json web = service();
  const Json& port = data::get_array(web, {"spec", "ports"})[0];
  const auto both = slice(endpoint("10.244.0.5", true) + "," + endpoint("10.244.0.6", false, true));
  ASSERT_EQ(endpoints_of(web, port, {both}).size(), 1u);
  EXPECT_EQ(endpoints_of(web, port, {both})[0].ip, "10.244.0.5");
  const auto leaving =
      slice(endpoint("10.244.0.6", false, true) + "," + endpoint("10.244.0.7", false));
  ASSERT_EQ(endpoints_of(web, port, {leaving}).size(), 1u);
  EXPECT_EQ(endpoints_of(web, port, {leaving})[0].ip, "10.244.0.6");
}

TEST(Rules, HeadlessAndEmptyServicesHaveNone) {
  EXPECT_EQ(
      rules_of(parse(R"({"metadata": {"name": "x", "namespace": "d"}, "spec": {"clusterIP": "None",
      "ports": [{"name": "http", "port": 80}]}})"),
               {slice(endpoint("10.244.0.5", true))}),
      Rules{});
  EXPECT_EQ(rules_of(service(), {}), Rules{});
}

TEST(Rules, HostPortsLeadToTheirPod) {
  Json pod = parse(
      R"({"metadata": {"name": "p", "namespace": "d"}, "status": {"phase": "Running", "podIP": "10.244.0.9"},
      "spec": {"containers": [{"ports": [{"containerPort": 80, "hostPort": 8080},
      {"containerPort": 53, "hostPort": 5353, "protocol": "UDP"}, {"containerPort": 81}]}]}})");
  const Rules rules = rules_of_pod(pod);
  ASSERT_EQ(rules.node_ports.size(), 2u);
  ASSERT_TRUE(rules.node_ports.contains("tcp . 8080"));
  EXPECT_EQ(rules.chains.at(rules.node_ports.at("tcp . 8080")),
            "meta l4proto tcp dnat to 10.244.0.9:80");
  EXPECT_EQ(rules.chains.at(rules.node_ports.at("udp . 5353")),
            "meta l4proto udp dnat to 10.244.0.9:53");
  data::set(pod, {"status", "phase"}, Json("Succeeded"));
  EXPECT_EQ(rules_of_pod(pod), Rules{});
}

TEST(Rules, OnlyWhatChangedIsInTheTransaction) {
  const Rules one = rules_of(service(), {slice(endpoint("10.244.0.5", true))});
  const Rules two = rules_of(
      service(), {slice(endpoint("10.244.0.5", true) + "," + endpoint("10.244.0.6", true))});
  EXPECT_EQ(transaction(one, one), "");
  const std::string change = transaction(one, two);
  EXPECT_NE(change.find("flush chain"), std::string::npos);
  EXPECT_EQ(change.find("cluster_ips"),
            std::string::npos);  // the address still leads to the same chain
}

TEST(Rules, TheKernelTakesEveryStep) {
  auto result = os::run_in_namespaces(CLONE_NEWNET, []() -> Result<> {
    TRY(os::nft_apply(table_setup()));
    const Json plain = service();
    const Json sticky = service(R"(, "sessionAffinity": "ClientIP")");
    const auto one = slice(endpoint("10.244.0.5", true));
    const auto two = slice(endpoint("10.244.0.5", true) + "," + endpoint("10.244.0.6", true));
    Rules before;
    for (const Rules& after :
         {rules_of(plain, {one}), rules_of(plain, {two}), rules_of(sticky, {two}),
          rules_of(sticky, {one}), Rules{}, rules_of(sticky, {two}), rules_of(plain, {one})}) {
      TRY(os::nft_apply(transaction(before, after)));
      before = after;
    }
    const std::string table = TRY(os::nft_list("table ip lateen"));
    if (table.find("10.96.1.2 . 6 . 80 : goto svc_") == std::string::npos) return internal(table);
    if (table.find("dnat to 10.244.0.5:8080") == std::string::npos) return internal(table);
    if (table.find("aff_") != std::string::npos) return internal("left over: " + table);
    return {};
  });
  EXPECT_TRUE(result.ok()) << result.error().message();
}

}  // namespace
}  // namespace lateen::cluster::balancer
