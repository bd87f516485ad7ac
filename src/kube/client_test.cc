// Client, informer, work queue, events and kubeconfig, against the in-memory server.
#include "kube/client.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <future>

#include "base/strings.h"
#include "kube/events.h"
#include "kube/informer.h"
#include "kube/memory_server.h"

namespace lateen::kube {
namespace {

Json pod(std::string_view name, std::string_view ns = "default") {
  return {{"apiVersion", "v1"},
          {"kind", "Pod"},
          {"metadata", {{"name", name}, {"namespace", ns}}},
          {"spec", Json(boost::json::object_kind)}};
}

TEST(Client, CreatesReadsPatchesAndRemoves) {
  MemoryServer server;
  Client client(server.transport());
  ASSERT_TRUE(client.create(resources::pods(), pod("a")).ok());
  EXPECT_EQ(client.create(resources::pods(), pod("a")).error().code(), Code::kAlreadyExists);
  auto read = client.get(resources::pods(), {"default", "a"});
  ASSERT_TRUE(read.ok());
  set_label(*read, "x", "y");
  ASSERT_TRUE(client.update(resources::pods(), *read).ok());
  EXPECT_EQ(client.update(resources::pods(), *read).error().code(), Code::kAborted);
  ASSERT_TRUE(client
                  .patch(resources::pods(), {"default", "a"}, Patch::kMerge,
                         {{"metadata", {{"labels", {{"z", "1"}}}}}})
                  .ok());
  const auto list = client.list(resources::pods(), "default", {.label_selector = "x=y,z"});
  ASSERT_TRUE(list.ok());
  EXPECT_EQ(data::get_array(*list, {"items"}).size(), 1u);
  EXPECT_TRUE(client.remove(resources::pods(), {"default", "a"}).ok());
  const auto gone = client.get(resources::pods(), {"default", "a"});
  EXPECT_EQ(gone.error().code(), Code::kNotFound);
  EXPECT_EQ(gone.error().message(), "pods \"a\" not found");
}

TEST(Client, FindsResourcesThroughDiscovery) {
  MemoryServer server({{"networking.istio.io", "v1", "virtualservices", "VirtualService", true}});
  Client client(server.transport());
  EXPECT_EQ(client.resource_for("networking.istio.io/v1", "VirtualService")->plural,
            "virtualservices");
  EXPECT_EQ(client.resource_for("v1", "Node")->is_namespaced, false);
  EXPECT_EQ(client.resource_for("example.com/v1", "Nothing").error().code(), Code::kNotFound);
  const auto before = server.requests();
  EXPECT_TRUE(client.resource_for("v1", "Pod").ok());
  EXPECT_EQ(server.requests(), before);
}

TEST(Informer, FollowsChangesAndSurvivesExpiry) {
  MemoryServer server;
  Client client(server.transport());
  server.put(pod("a"));
  Informer informer(client, resources::pods());
  std::mutex mutex;
  std::vector<std::string> seen;
  informer.on_change([&](const Change& change) {
    const std::lock_guard lock(mutex);
    seen.push_back((change.before == nullptr  ? "+"
                    : change.after == nullptr ? "-"
                                              : "~") +
                   std::string(name_of(change.object())));
  });
  const auto history = [&] {
    const std::lock_guard lock(mutex);
    return join(seen, " ");
  };
  informer.start();
  ASSERT_TRUE(informer.wait_synced(seconds(5)));
  ASSERT_TRUE(client.create(resources::pods(), pod("b")).ok());
  ASSERT_TRUE(server.wait_until([&] { return history() == "+a +b"; })) << history();
  server.expire();
  ASSERT_TRUE(client.remove(resources::pods(), {"default", "a"}).ok());
  ASSERT_TRUE(client
                  .patch(resources::pods(), {"default", "b"}, Patch::kMerge,
                         {{"metadata", {{"labels", {{"z", "1"}}}}}})
                  .ok());
  ASSERT_TRUE(server.wait_until([&] {
    return history() == "+a +b -a ~b" || history() == "+a +b ~b -a";
  })) << history();
  EXPECT_EQ(informer.list("default").size(), 1u);
  EXPECT_EQ(informer.list("other").size(), 0u);
}

TEST(Informer, ShowsObservedWritesOnceAndNeverRevivesTheDead) {
  MemoryServer server;
  Client client(server.transport());
  Informer informer(client, resources::pods());
  std::atomic<int> calls{0};
  informer.on_change([&](const Change&) { ++calls; });
  informer.start();
  ASSERT_TRUE(informer.wait_synced(seconds(5)));
  Json owned = pod("a");
  data::set(owned, {"metadata", "ownerReferences"},
            Json(data::JsonArray{Json{{"uid", "u1"}, {"controller", true}}}));
  const Json written = *client.create(resources::pods(), owned);
  informer.observe(written);
  EXPECT_EQ(informer.owned_by("u1").size(), 1u);
  ASSERT_TRUE(server.wait_until([&] { return calls == 1; }));
  informer.observe_removal({"default", "a"});
  EXPECT_TRUE(is_deleting(*informer.find({"default", "a"})));
  ASSERT_TRUE(client.remove(resources::pods(), {"default", "a"}).ok());
  ASSERT_TRUE(server.wait_until([&] { return calls == 2; }));
  informer.observe(written);
  EXPECT_EQ(informer.find({"default", "a"}), nullptr);
}

TEST(WorkQueue, HandsOutEachKeyOnceAndAgainWhenChangedMeanwhile) {
  WorkQueue queue;
  queue.add({"", "a"});
  queue.add({"", "a"});
  queue.add({"", "b"});
  const auto first = queue.take();
  EXPECT_EQ(first->name, "a");
  queue.add({"", "a"});
  EXPECT_EQ(queue.take()->name, "b");
  queue.finish(*first);
  EXPECT_EQ(queue.take()->name, "a");
  queue.add_after({"", "late"}, milliseconds(5));
  EXPECT_EQ(queue.take()->name, "late");
  queue.fail({"", "late"});
  EXPECT_EQ(queue.take()->name, "late");
  queue.stop();
  EXPECT_EQ(queue.take(), std::nullopt);
}

TEST(ReconcileLoop, RetriesUntilItWorks) {
  std::atomic<int> tries{0};
  std::promise<void> done;
  {
    ReconcileLoop loop("test", 2, [&](const Key&) -> Result<Requeue> {
      if (++tries < 3) return unavailable("not yet");
      if (tries == 3) return Requeue::after(milliseconds(1));
      done.set_value();
      return Requeue::no();
    });
    loop.start();
    loop.queue().add({"ns", "x"});
    EXPECT_EQ(done.get_future().wait_for(seconds(5)), std::future_status::ready);
  }
  EXPECT_EQ(tries, 4);
}

TEST(EventRecorder, CountsEqualEvents) {
  MemoryServer server;
  Client client(server.transport());
  ManualClock clock;
  const Json object = server.put(pod("a"));
  {
    EventRecorder recorder(client, clock, "test-controller");
    for (int i = 0; i < 3; ++i)
      recorder.record(object, EventRecorder::Type::kWarning, "Failed", "it failed");
    recorder.record(object, EventRecorder::Type::kNormal, "Done", "it worked");
  }
  const auto events = server.all(resources::events());
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(data::get_int(events[0], {"count"}), 3);
  EXPECT_EQ(data::get_string(events[0], {"involvedObject", "name"}), "a");
  EXPECT_EQ(data::get_string(events[1], {"source", "component"}), "test-controller");
}

TEST(Kubeconfig, ReadsContextsDataAndErrors) {
  const std::string path = testing::TempDir() + "/kubeconfig-" + std::to_string(::getpid());
  std::ofstream(path)
      << "apiVersion: v1\nkind: Config\ncurrent-context: one\n"
         "clusters:\n- {name: c, cluster: {server: 'https://h:1', certificate-authority-data: "
         "Q0E=}}\n"
         "users:\n- {name: u, user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}}\n"
         "- {name: v, user: {exec: {command: aws}}}\n"
         "contexts:\n- {name: one, context: {cluster: c, user: u, namespace: n}}\n"
         "- {name: two, context: {cluster: c, user: v}}\n- {name: bad, context: {cluster: x, user: "
         "u}}\n";
  const auto config = load_kubeconfig(path);
  ASSERT_TRUE(config.ok()) << config.error().message();
  EXPECT_EQ(config->server, "https://h:1");
  EXPECT_EQ(config->ca_pem, "CA");
  EXPECT_EQ(config->client_certificate_pem, "CERT");
  EXPECT_EQ(config->client_key_pem, "KEY");
  EXPECT_EQ(config->ns, "n");
  EXPECT_EQ(load_kubeconfig(path, "two").error().code(), Code::kUnimplemented);
  EXPECT_NE(load_kubeconfig(path, "bad").error().message().find("cluster \"x\" does not exist"),
            std::string::npos);
  EXPECT_NE(load_kubeconfig(path, "no").error().message().find("context \"no\" does not exist"),
            std::string::npos);
  EXPECT_EQ(load_kubeconfig(path + ".missing").error().code(), Code::kNotFound);
  ::unlink(path.c_str());
}

}  // namespace
}  // namespace lateen::kube
