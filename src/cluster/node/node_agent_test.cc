// The node agent with a real kernel and an API server in memory: pods run in namespaces that the
// test makes.
#include "cluster/node/node_agent.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "kube/memory_server.h"
#include "linux/files.h"
#include "linux/namespaces.h"

namespace lateen::cluster::node {
namespace {

// What each scenario runs in: a cluster of one node, in this process's (fresh) namespaces.
struct Cluster {
  kube::MemoryServer server;
  kube::Client client{server.transport()};
  SystemClock clock;
  std::string directory;
  std::unique_ptr<NodeAgent> agent;

  Result<> start() {
    // Seen by nobody else, and gone with the namespace.
    if (::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", "/tmp", "tmpfs", 0, nullptr) != 0 ||
        ::mount("proc", "/proc", "proc", 0, nullptr) != 0)
      return errno_error("mounting", errno);
    directory = "/tmp/cluster";
    TRY(os::make_directories(directory));
    return restart();
  }
  Result<> restart() {
    agent.reset();
    agent = std::make_unique<NodeAgent>(
        client, clock, NodeOptions{.data_dir = directory, .programs_dir = "/usr/bin"});
    return agent->start();
  }
  Json pod(std::string_view name) {
    auto found = client.get(kube::resources::pods(), {"default", std::string(name)});
    return found.ok() ? std::move(found).value() : Json(data::JsonObject{});
  }
  Result<> run(std::string_view json) {
    Json object = TRY(data::parse_json(json));
    data::set(object, {"apiVersion"}, Json("v1"));
    data::set(object, {"kind"}, Json("Pod"));
    data::set(object, {"metadata", "namespace"}, Json("default"));
    data::set(object, {"spec", "nodeName"}, Json("lateen"));
    TRY(client.create(kube::resources::pods(), object));
    return {};
  }
  Result<> wait(std::string_view name, const std::function<bool(const Json&)>& holds) {
    if (server.wait_until([&] { return holds(pod(name)); }, milliseconds(30'000))) return {};
    return internal("never came: " + data::dump_json(pod(name)));
  }
  Result<> wait_ready(std::string_view name) {
    return wait(name, [](const Json& pod) {
      const Json* ready = kube::condition(pod, "Ready");
      return ready != nullptr && data::get_string(*ready, {"status"}) == "True";
    });
  }
  std::string exec(std::string_view name, const std::string& script) {
    auto session = agent->exec({.pod = {"default", std::string(name)},
                                .container = "app",
                                .command = {"sh", "-c", script}});
    if (!session.ok()) return "error: " + session.error().message();
    std::string text;
    const int fd = session.value()->stdout_fd();
    (void)os::set_nonblocking(fd, false);
    char chunk[1024];
    for (ssize_t got; (got = ::read(fd, chunk, sizeof chunk)) > 0;)
      text.append(chunk, static_cast<std::size_t>(got));
    (void)session.value()->wait();
    return text;
  }
  std::string logs(std::string_view name, bool is_previous = false) {
    std::string text;
    auto read = agent->logs(
        {.pod = {"default", std::string(name)}, .container = "app", .is_previous = is_previous},
        [&](std::string_view line) {
          text += line;
          return true;
        },
        [] { return false; });
    return read.ok() ? text : "error: " + read.error().message();
  }
  // What a container said arrives in its log a moment later.
  Result<> wait_logs(std::string_view name, std::string_view text, bool is_previous = false) {
    if (server.wait_until([&] { return logs(name, is_previous) == text; }, milliseconds(30'000)))
      return {};
    return internal("the log is: " + logs(name, is_previous));
  }
};

Result<> in_cluster(Result<> (*body)()) {
  return os::run_in_namespaces(
      CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC, body);
}

Result<> expect(bool holds, std::string_view what) {
  return holds ? Result<>() : Result<>(internal(std::string(what)));
}

TEST(NodeAgent, RunsAPodAndShowsItsOutput) {
  auto result = in_cluster([]() -> Result<> {
    Cluster cluster;
    TRY(cluster.start());
    TRY(cluster.run(
        R"({"metadata": {"name": "one"}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "app", "image": "busybox",
        "command": ["sh", "-c", "echo hello $(id -u) $WHO; exec sleep 1000"],
        "securityContext": {"runAsUser": 1337, "runAsGroup": 1337},
        "env": [{"name": "WHO", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}]}})"));
    TRY(cluster.wait_ready("one"));
    const Json pod = cluster.pod("one");
    TRY(expect(data::get_string(pod, {"status", "phase"}) == "Running", data::dump_json(pod)));
    TRY(expect(data::get_string(pod, {"status", "podIP"}).starts_with("10.244.0."), "no address"));
    TRY(cluster.wait_logs("one", "hello 1337 one\n"));
    // Its shell becomes the sleep after that.
    const std::string seen = cluster.exec(
        "one",
        "for i in $(seq 1000); do [ $(cat /proc/1/comm) = sleep ] && break; sleep 0.02; done; "
        "echo $(hostname) $(id -u):$(id -g) $(cat /proc/1/comm)");
    TRY(expect(seen == "one 1337:1337 sleep\n", seen));
    const std::string network =
        cluster.exec("one", "cat /etc/resolv.conf; cat /proc/net/route; cat /etc/hosts");
    TRY(expect(network.find("search default.svc.cluster.local svc.cluster.local cluster.local") !=
                   std::string::npos,
               network));
    TRY(cluster.client.remove(kube::resources::pods(), {"default", "one"}, {.grace_seconds = 1}));
    return cluster.wait("one", [](const Json& pod) { return data::get_object(pod, {}).empty(); });
  });
  EXPECT_TRUE(result.ok()) << result.error().message();
}

TEST(NodeAgent, RestartsWhatCrashesAndKeepsItsLog) {
  auto result = in_cluster([]() -> Result<> {
    Cluster cluster;
    TRY(cluster.start());
    TRY(cluster.run(
        R"({"metadata": {"name": "crash"}, "spec": {"containers": [{"name": "app", "image": "busybox",
        "command": ["sh", "-c", "echo run; echo why > /dev/termination-log; exit 3"]}]}})"));
    TRY(cluster.wait("crash", [](const Json& pod) {
      const auto& list = data::get_array(pod, {"status", "containerStatuses"});
      return !list.empty() &&
             data::get_string(list[0], {"state", "waiting", "reason"}) == "CrashLoopBackOff" &&
             data::get_int(list[0], {"lastState", "terminated", "exitCode"}) == 3 &&
             data::get_string(list[0], {"lastState", "terminated", "message"}) == "why\n" &&
             data::get_int(list[0], {"restartCount"}) == 1;
    }));
    return cluster.wait_logs("crash", "run\n", true);
  });
  EXPECT_TRUE(result.ok()) << result.error().message();
}

TEST(NodeAgent, NamesTheReasonOfWhatCannotRun) {
  auto result = in_cluster([]() -> Result<> {
    Cluster cluster;
    TRY(cluster.start());
    TRY(cluster.run(
        R"({"metadata": {"name": "image"}, "spec": {"containers": [{"name": "app", "image": "acme/x:1"}]}})"));
    TRY(cluster.run(R"({"metadata": {"name": "command"}, "spec": {"restartPolicy": "Never",
        "containers": [{"name": "app", "image": "busybox", "command": ["nonesuch"]}]}})"));
    TRY(cluster.run(
        R"({"metadata": {"name": "config"}, "spec": {"containers": [{"name": "app", "image": "busybox",
        "envFrom": [{"configMapRef": {"name": "gone"}}]}]}})"));
    const auto reason = [](std::string_view wanted) {
      return [wanted](const Json& pod) {
        const auto& list = data::get_array(pod, {"status", "containerStatuses"});
        return !list.empty() &&
               (data::get_string(list[0], {"state", "waiting", "reason"}) == wanted ||
                data::get_string(list[0], {"state", "terminated", "reason"}) == wanted);
      };
    };
    TRY(cluster.wait("image", reason("ErrImagePull")));
    TRY(cluster.wait("command", reason("ContainerCannotRun")));
    TRY(cluster.wait("command", [](const Json& pod) {
      return data::get_string(pod, {"status", "phase"}) == "Failed";
    }));
    return cluster.wait("config", reason("CreateContainerConfigError"));
  });
  EXPECT_TRUE(result.ok()) << result.error().message();
}

TEST(NodeAgent, InitContainersSidecarsAndJobsRunInOrder) {
  auto result = in_cluster([]() -> Result<> {
    Cluster cluster;
    TRY(cluster.start());
    TRY(cluster.run(R"({"metadata": {"name": "job"}, "spec": {"restartPolicy": "Never",
        "volumes": [{"name": "v", "emptyDir": {}}],
        "initContainers": [
          {"name": "first", "image": "busybox", "command": ["sh", "-c", "echo first >> /v/order"],
           "volumeMounts": [{"name": "v", "mountPath": "/v"}]},
          {"name": "side", "image": "busybox", "restartPolicy": "Always",
           "command": ["sh", "-c", "echo side >> /v/order; trap 'exit 0' TERM; while :; do sleep 0.05; done"],
           "startupProbe": {"exec": {"command": ["grep", "side", "/v/order"]}},
           "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
        "containers": [{"name": "app", "image": "busybox", "command": ["sh", "-c", "echo app >> /v/order; cat /v/order"],
           "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]}})"));
    TRY(cluster.wait("job", [](const Json& pod) {
      return data::get_string(pod, {"status", "phase"}) == "Succeeded";
    }));
    return cluster.wait_logs("job", "first\nside\napp\n");
  });
  EXPECT_TRUE(result.ok()) << result.error().message();
}

TEST(NodeAgent, PodsReachEachOtherAndComeBackWithTheNode) {
  auto result = in_cluster([]() -> Result<> {
    Cluster cluster;
    TRY(cluster.start());
    for (const char* name : {"a", "b"})
      TRY(cluster.run(fmt::format(
          R"({{"metadata": {{"name": "{}"}}, "spec": {{"containers": [{{"name": "app", "image": "debian",
          "command": ["python3", "-m", "http.server", "8000"], "ports": [{{"name": "http", "containerPort": 8000}}],
          "readinessProbe": {{"httpGet": {{"path": "/etc/hostname", "port": "http"}}}}}}]}}}})",
          name)));
    TRY(cluster.wait_ready("a"));
    TRY(cluster.wait_ready("b"));
    const std::string ip(data::get_string(cluster.pod("b"), {"status", "podIP"}));
    const std::string got =
        cluster.exec("a", "curl -sS --max-time 3 http://" + ip + ":8000/etc/hostname");
    TRY(expect(got == "b\n", got));
    auto forwarded = cluster.agent->port_forward({"default", "b"}, 8000);
    TRY(expect(forwarded.ok(), "port-forward"));
    TRY(cluster.restart());
    return cluster.wait("b", [](const Json& pod) {
      const auto& list = data::get_array(pod, {"status", "containerStatuses"});
      return !list.empty() && data::get_int(list[0], {"restartCount"}) == 1 &&
             data::get_bool(list[0], {"ready"});
    });
  });
  EXPECT_TRUE(result.ok()) << result.error().message();
}

}  // namespace
}  // namespace lateen::cluster::node
