// The pure parts of running a pod: environment, quantities, status, log files, projected files.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "cluster/node/environment.h"
#include "cluster/node/log_files.h"
#include "cluster/node/pod_status.h"
#include "cluster/node/volumes.h"
#include "linux/files.h"

namespace lateen::cluster::node {
namespace {

Json parse(std::string_view text) { return data::parse_json(text).value(); }

TEST(Environment, ExpandsVariablesAsKubernetesDoes) {
  const EnvironmentList list{{"A", "1"}, {"B", "two"}};
  EXPECT_EQ(expand_variables("$(A)-$(B)", list), "1-two");
  EXPECT_EQ(expand_variables("$$(A) $(NO) $A $( $", list), "$(A) $(NO) $A $( $");
}

TEST(Environment, ComesFromEverySource) {
  const Json pod =
      parse(R"({"metadata": {"name": "p", "namespace": "n", "labels": {"app": "x"}}, "spec": {}})");
  const Json container = parse(R"({"resources": {"limits": {"cpu": "1500m", "memory": "1Gi"}},
      "envFrom": [{"prefix": "C_", "configMapRef": {"name": "m"}}],
      "env": [{"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
              {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
              {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "0"}}},
              {"name": "MIB", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
              {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
              {"name": "MAYBE", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k", "optional": true}}},
              {"name": "URL", "value": "http://$(IP)/$(C_path)/"}]})");
  const Lookups lookups{
      [](std::string_view) {
        return Result<Json>(parse(R"({"kind": "ConfigMap", "data": {"path": "a"}})"));
      },
      [](std::string_view name) -> Result<Json> {
        if (name == "none") return not_found("secret");
        return parse(R"({"kind": "Secret", "data": {"k": "c2VjcmV0"}})");
      }};
  auto list = container_environment(pod, container, {{"PATH", "/bin"}}, {},
                                    {.pod_ip = "10.244.0.9"}, lookups);
  ASSERT_TRUE(list.ok()) << list.error().message();
  const auto value = [&](std::string_view name) {
    for (const auto& entry : *list)
      if (entry.first == name) return entry.second;
    return std::string("(unset)");
  };
  EXPECT_EQ(value("LABEL"), "x");
  EXPECT_EQ(value("CPU"), "2");
  EXPECT_EQ(value("MIB"), "1024");
  EXPECT_EQ(value("SECRET"), "secret");
  EXPECT_EQ(value("MAYBE"), "(unset)");
  EXPECT_EQ(value("URL"), "http://10.244.0.9/a/");
  EXPECT_EQ(value("HOSTNAME"), "p");
}

TEST(Environment, NamesWhatIsMissing) {
  const Json pod = parse(R"({"metadata": {"name": "p", "namespace": "n"}})");
  const Json container = parse(
      R"({"env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "no"}}}]})");
  const Lookups lookups{
      [](std::string_view) { return Result<Json>(parse(R"({"kind": "ConfigMap"})")); },
      [](std::string_view) { return Result<Json>(not_found("x")); }};
  auto list = container_environment(pod, container, {}, {}, {}, lookups);
  ASSERT_FALSE(list.ok());
  EXPECT_EQ(list.error().message(), "couldn't find key no in ConfigMap n/m");
}

TEST(Quantity, ReadsKubernetesForms) {
  EXPECT_EQ(parse_quantity_millis("100m").value(), 100);
  EXPECT_EQ(parse_quantity_millis("1.5").value(), 1500);
  EXPECT_EQ(parse_quantity_millis("128Mi").value(), 128LL * 1048576 * 1000);
  EXPECT_EQ(parse_quantity_millis("1G").value(), 1'000'000'000'000LL);
  for (const char* bad : {"", "abc", "1x", "-1"})
    EXPECT_FALSE(parse_quantity_millis(bad).ok()) << bad;
}

Json status_of(std::string_view policy, std::vector<ContainerReport> containers) {
  Json pod = parse(fmt::format(R"({{"spec": {{"restartPolicy": "{}"}}}})", policy));
  PodReport report;
  report.containers = std::move(containers);
  report.pod_ip = "10.244.0.2";
  report.now = "2026-01-01T00:00:00Z";
  return pod_status(pod, report);
}

ContainerReport container(Role role, Json state, bool is_ready = false) {
  ContainerReport report;
  report.name = "c";
  report.role = role;
  report.state = std::move(state);
  report.last_state = data::JsonObject{};
  report.is_ready = is_ready;
  report.is_started = is_ready;
  return report;
}

TEST(PodStatus, PhaseFollowsTheContainers) {
  const auto phase = [](const Json& status) {
    return std::string(data::get_string(status, {"phase"}));
  };
  const Json ended = terminated_state({.exit_code = 0, .reason = "Completed"});
  const Json failed = terminated_state({.exit_code = 1, .reason = "Error"});
  EXPECT_EQ(
      phase(status_of("Always", {container(Role::kMain, waiting_state("ContainerCreating"))})),
      "Pending");
  EXPECT_EQ(phase(status_of("Always", {container(Role::kMain, running_state("t"), true)})),
            "Running");
  EXPECT_EQ(phase(status_of("Always", {container(Role::kMain, failed)})), "Running");
  EXPECT_EQ(phase(status_of("Never", {container(Role::kMain, ended)})), "Succeeded");
  EXPECT_EQ(phase(status_of("Never", {container(Role::kMain, failed)})), "Failed");
  EXPECT_EQ(phase(status_of("OnFailure", {container(Role::kMain, failed)})), "Running");
  EXPECT_EQ(phase(status_of("Never", {container(Role::kInit, failed),
                                      container(Role::kMain, waiting_state("x"))})),
            "Failed");
  EXPECT_EQ(phase(status_of("Always", {container(Role::kInit, running_state("t")),
                                       container(Role::kMain, waiting_state("x"))})),
            "Pending");
}

TEST(PodStatus, ReadyWaitsForEveryContainer) {
  const Json status = status_of("Always", {container(Role::kSidecar, running_state("t"), true),
                                           container(Role::kMain, running_state("t"), false)});
  const Json whole = data::JsonObject{{"status", status}};
  const Json* ready = kube::condition(whole, "Ready");
  ASSERT_NE(ready, nullptr);
  EXPECT_EQ(data::get_string(*ready, {"status"}), "False");
  EXPECT_EQ(data::get_string(*ready, {"message"}), "containers with unready status: [c]");
}

class OnDisk : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "lateen-parts-" + std::to_string(::getpid());
    ASSERT_TRUE(os::make_directories(directory_).ok());
  }
  void TearDown() override { (void)os::remove_tree(directory_); }
  std::string read(LogRequest request) {
    std::string text;
    auto done = read_log(
        directory_ + "/log", request,
        [&](std::string_view line) {
          text += line;
          return true;
        },
        [] { return false; }, [] { return true; });
    EXPECT_TRUE(done.ok());
    return text;
  }
  std::string directory_;
};

TEST_F(OnDisk, LogsComeBackAsAsked) {
  ManualClock clock;
  LogWriter writer(directory_ + "/log", clock);
  writer.append("stdout", "one\ntw");
  writer.append("stderr", "err\n");
  writer.append("stdout", "o\nthree");
  writer.finish();
  EXPECT_EQ(read({}), "one\nerr\ntwo\nthree");
  EXPECT_EQ(read({.tail_lines = 2}), "two\nthree");
  EXPECT_EQ(read({.limit_bytes = 5}), "one\ne");
  EXPECT_EQ(read({.has_timestamps = true, .tail_lines = 2}).substr(0, 30),
            "2023-11-14T22:13:20.000000000Z");
  EXPECT_EQ(read({.since = clock.wall() + seconds(1)}), "");
}

TEST_F(OnDisk, LongLogsAreRotatedAndReadWhole) {
  ManualClock clock;
  LogWriter writer(directory_ + "/log", clock);
  const std::string line(10'000, 'x');
  constexpr int kLines = 2500;  // about 25 MB: two rotations
  for (int i = 0; i < kLines; ++i) writer.append("stdout", line + "\n");
  EXPECT_TRUE(os::path_exists(directory_ + "/log.1"));
  EXPECT_EQ(read({}).size(), static_cast<std::size_t>(kLines) * (line.size() + 1));
}

TEST_F(OnDisk, ProjectedFilesChangeAllAtOnce) {
  const std::string at = directory_ + "/volume";
  ASSERT_TRUE(os::make_directories(at).ok());
  ASSERT_TRUE(write_projected(at, {{"a", "1"}, {"sub/b", "2"}}, std::nullopt).ok());
  EXPECT_EQ(os::read_file(at + "/sub/b").value(), "2");
  ASSERT_TRUE(write_projected(at, {{"a", "3"}}, std::nullopt).ok());
  EXPECT_EQ(os::read_file(at + "/a").value(), "3");
  EXPECT_EQ(os::list_directory(at).size(), 3u);  // ..data, its directory, a
  EXPECT_FALSE(write_projected(at, {{"../escape", "x"}}, std::nullopt).ok());
}

}  // namespace
}  // namespace lateen::cluster::node
