// Machines outside the cluster, by the WorkloadEntries that their proxies' coming and going makes.
#include "discovery/registration.h"

#include <gtest/gtest.h>

#include "data/yaml.h"
#include "kube/memory_server.h"

namespace lateen::discovery {
namespace {

using data::Json;
using data::JsonObject;

const kube::Resource kEntries{"networking.istio.io", "v1", "workloadentries", "WorkloadEntry",
                              true};
const kube::Resource kGroups{"networking.istio.io", "v1", "workloadgroups", "WorkloadGroup", true};

Proxy machine() {
  auto proxy = read_proxy("sidecar~10.9.0.1~vm.vms~vms.svc.cluster.local",
                          JsonObject{{"NAMESPACE", "vms"},
                                     {"AUTO_REGISTER_GROUP", "db"},
                                     {"SERVICE_ACCOUNT", "db"},
                                     {"LABELS", JsonObject{{"app", "db"}}}},
                          "us/east");
  EXPECT_TRUE(proxy.ok());
  return *std::move(proxy);
}

class RegistrationTest : public testing::Test {
 protected:
  RegistrationTest() : server_({kEntries, kGroups}), client_(server_.transport()) {
    server_.put(*data::parse_yaml(R"(
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: db, namespace: vms, uid: u1}
spec:
  metadata: {labels: {version: v1}}
  template: {serviceAccount: db, ports: {tcp: 3306}}
)"));
  }
  std::vector<Json> entries() { return server_.all(kEntries); }

  kube::MemoryServer server_;
  kube::Client client_;
  SystemClock clock_;
};

TEST_F(RegistrationTest, AConnectedProxyHasAnEntryAndAGoneOneNone) {
  Registration registration(client_, clock_, {"istiod-1", milliseconds(1), 100});
  registration.note_presence(machine(), true);
  ASSERT_TRUE(server_.wait_until([&] { return entries().size() == 1; }));
  const Json entry = entries().front();
  EXPECT_EQ(data::get_string(entry, {"metadata", "name"}), "db-10.9.0.1");
  EXPECT_EQ(data::get_string(entry, {"spec", "address"}), "10.9.0.1");
  EXPECT_EQ(data::get_string(entry, {"spec", "locality"}), "us/east");
  EXPECT_EQ(data::get_string(entry, {"spec", "labels", "app"}), "db");
  EXPECT_EQ(data::get_string(entry, {"spec", "labels", "version"}), "v1");
  EXPECT_EQ(data::get_int(entry, {"spec", "ports", "tcp"}), 3306);
  EXPECT_EQ(data::get_string(entry, {"metadata", "annotations", "istio.io/workloadController"}),
            "istiod-1");
  registration.note_presence(machine(), false);
  EXPECT_TRUE(server_.wait_until([&] { return entries().empty(); }));
}

TEST_F(RegistrationTest, HealthStandsInTheStatus) {
  Registration registration(client_, clock_, {"istiod-1", seconds(60), 100});
  registration.note_presence(machine(), true);
  ASSERT_TRUE(server_.wait_until([&] { return entries().size() == 1; }));
  const auto health = [&]() -> std::string {
    const Json entry = entries().front();
    for (const Json& condition : data::get_array(entry, {"status", "conditions"})) {
      if (data::get_string(condition, {"type"}) == "Healthy") {
        return std::string(data::get_string(condition, {"status"})) + " " +
               std::string(data::get_string(condition, {"message"}));
      }
    }
    return "";
  };
  registration.note_health(machine(), "probe failed");
  EXPECT_TRUE(server_.wait_until([&] { return health() == "False probe failed"; })) << health();
  registration.note_health(machine(), "");
  EXPECT_TRUE(server_.wait_until([&] { return health() == "True "; })) << health();
}

TEST_F(RegistrationTest, AnotherAccountIsNotRegistered) {
  Registration registration(client_, clock_, {"istiod-1", seconds(60), 100});
  Proxy foreign = machine();
  foreign.is_verified = true;
  foreign.service_account = "other";
  registration.note_presence(foreign, true);
  // A machine that may be registered comes after it, so the foreign one was looked at.
  Proxy good = machine();
  good.ips = {"10.9.0.2"};
  registration.note_presence(good, true);
  ASSERT_TRUE(server_.wait_until([&] { return !entries().empty(); }));
  ASSERT_EQ(entries().size(), 1u);
  EXPECT_EQ(data::get_string(entries().front(), {"metadata", "name"}), "db-10.9.0.2");
}

}  // namespace
}  // namespace lateen::discovery
