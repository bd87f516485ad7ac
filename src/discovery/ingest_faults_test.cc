// What the API server may do to the ingest: go away and come back, forget history, lack Istio's
// kinds, hold what contradicts, change ten thousand objects at once. Snapshots go on from what was
// known, and end at what is true.
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "data/yaml.h"
#include "discovery/ingest.h"
#include "kube/memory_server.h"
#include "mesh/kinds.h"

namespace lateen::discovery {
namespace {

using data::Json;
using data::JsonObject;

kube::Resource resource_of(const mesh::Kind& kind) {
  return {std::string(kind.group), std::string(kind.version), std::string(kind.plural),
          std::string(kind.kind), true};
}
std::vector<kube::Resource> all_kinds() {
  std::vector<kube::Resource> out = {
      {"networking.k8s.io", "v1", "ingresses", "Ingress", true},
      {"networking.k8s.io", "v1", "ingressclasses", "IngressClass", false}};
  for (const mesh::Kind& kind : mesh::kinds()) out.push_back(resource_of(kind));
  return out;
}
const mesh::Kind& virtual_services() {
  return *mesh::find_kind("VirtualService", "networking.istio.io");
}
std::string version() {
  return std::string(virtual_services().group) + "/" + std::string(virtual_services().version);
}

Json service(const std::string& name) {
  return JsonObject{
      {"apiVersion", "v1"},
      {"kind", "Service"},
      {"metadata", JsonObject{{"name", name}, {"namespace", "default"}, {"uid", name}}},
      {"spec", JsonObject{{"clusterIP", "10.96.1.1"},
                          {"ports", data::JsonArray{JsonObject{{"name", "http"}, {"port", 80}}}}}}};
}

Json virtual_service(const std::string& name, const std::string& created, const std::string& to) {
  auto made = data::parse_yaml(
      "apiVersion: " + version() + "\nkind: VirtualService\nmetadata: {name: " + name +
      ", namespace: default, uid: " + name + ", creationTimestamp: '" + created +
      "'}\nspec: {hosts: [shop.default.svc.cluster.local], http: [{route: [{destination: {host: " +
      to + "}}]}]}\n");
  EXPECT_TRUE(made.ok());
  return *std::move(made);
}

// Which API server there is; none while it is away. Switching ends the watches.
struct Road {
  std::mutex mutex;
  kube::MemoryServer* server = nullptr;
  std::atomic<int> turn = 0;

  void lead_to(kube::MemoryServer* to) {
    const std::lock_guard lock(mutex);
    server = to;
    ++turn;
  }
};

class RoadTransport final : public kube::Transport {
 public:
  explicit RoadTransport(Road& road) : road_(road) {}
  Result<http::PlainResponse> call(const http::PlainRequest& request) override {
    return TRY(open())->call(request);
  }
  Result<http::PlainResponse> stream(const http::PlainRequest& request,
                                     const Function<bool(std::string_view)>& on_chunk,
                                     const Function<bool()>& should_stop) override {
    const int turn = road_.turn;
    auto there = TRY(open());
    return there->stream(request, on_chunk,
                         [&, turn] { return should_stop() || road_.turn != turn; });
  }
  Result<std::unique_ptr<http::BlockingClient::Tunnel>> upgrade(
      const http::PlainRequest& request, std::string_view protocol) override {
    return TRY(open())->upgrade(request, protocol);
  }

 private:
  Result<std::unique_ptr<kube::Transport>> open() {
    const std::lock_guard lock(road_.mutex);
    if (road_.server == nullptr) return Error(Code::kUnavailable, "the API server is away");
    return road_.server->transport();
  }
  Road& road_;
};

class IngestFaults : public testing::Test {
 protected:
  IngestFaults()
      : with_kinds_(all_kinds()),
        client_(std::make_unique<RoadTransport>(road_)),
        ingest_(client_, clock_, {}, metrics_,
                [this](SnapshotPtr snapshot, Impact, SteadyTime) { take(std::move(snapshot)); }) {}
  ~IngestFaults() override { road_.lead_to(nullptr); }

  void start(kube::MemoryServer& server) {
    road_.lead_to(&server);
    ingest_.start();
    ASSERT_TRUE(ingest_.wait_synced(seconds(60)));
  }
  void take(SnapshotPtr snapshot) {
    const std::lock_guard lock(mutex_);
    last_ = std::move(snapshot);
    ++published_;
    changed_.notify_all();
  }
  template <typename Holds>
  bool wait_for(Holds holds) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, seconds(60), [&] { return last_ != nullptr && holds(*last_); });
  }
  bool wait_for_services(std::size_t count) {
    return wait_for([&](const MeshSnapshot& mesh) { return mesh.services().size() == count; });
  }
  int published() {
    const std::lock_guard lock(mutex_);
    return published_;
  }
  static std::string target(const MeshSnapshot& mesh) {
    const auto& all = mesh.virtual_services_of("mesh");
    return all.empty() ? "" : all.front()->spec.http.front().route.front().destination.host;
  }

  SystemClock clock_;
  Metrics metrics_;
  kube::MemoryServer bare_, with_kinds_;
  Road road_;
  kube::Client client_;
  std::mutex mutex_;
  std::condition_variable changed_;
  SnapshotPtr last_;
  int published_ = 0;
  Ingest ingest_;
};

TEST_F(IngestFaults, AnApiServerThatGoesAndComesBack) {
  with_kinds_.put(service("one"));
  start(with_kinds_);
  ASSERT_TRUE(wait_for_services(1));
  road_.lead_to(nullptr);
  // Nobody sees this until it is back, and what was known is still served.
  with_kinds_.put(service("two"));
  ASSERT_TRUE(wait_for_services(1));
  road_.lead_to(&with_kinds_);
  EXPECT_TRUE(wait_for_services(2));
}

TEST_F(IngestFaults, AnExpiredWatchIsReadAnew) {
  with_kinds_.put(service("one"));
  start(with_kinds_);
  ASSERT_TRUE(wait_for_services(1));
  with_kinds_.expire();
  with_kinds_.put(service("two"));
  ASSERT_TRUE(client_.remove(kube::resources::services(), {"default", "one"}).ok());
  EXPECT_TRUE(wait_for([](const MeshSnapshot& mesh) {
    return mesh.services().size() == 1 && mesh.services().front()->name == "two";
  }));
}

// Istio's kinds may be installed after the control plane, and be taken away under it.
TEST_F(IngestFaults, KindsThatComeAndGo) {
  bare_.put(service("shop"));
  start(bare_);
  ASSERT_TRUE(wait_for_services(1));
  with_kinds_.put(service("shop"));
  with_kinds_.put(virtual_service("v", "2026-01-01T00:00:00Z", "first"));
  road_.lead_to(&with_kinds_);
  ASSERT_TRUE(wait_for([](const MeshSnapshot& mesh) { return target(mesh) != ""; }));
  // A definition goes with its objects; services go on.
  ASSERT_TRUE(client_.remove(resource_of(virtual_services()), {"default", "v"}).ok());
  ASSERT_TRUE(wait_for([](const MeshSnapshot& mesh) { return target(mesh) == ""; }));
  road_.lead_to(&bare_);
  bare_.put(service("more"));
  EXPECT_TRUE(wait_for_services(2));
}

TEST_F(IngestFaults, OfObjectsThatContradictTheOldestCounts) {
  with_kinds_.put(service("shop"));
  with_kinds_.put(virtual_service("a-late", "2026-02-01T00:00:00Z", "late"));
  with_kinds_.put(virtual_service("b-early", "2026-01-01T00:00:00Z", "early"));
  start(with_kinds_);
  ASSERT_TRUE(wait_for(
      [](const MeshSnapshot& mesh) { return mesh.virtual_services_of("mesh").size() == 2; }));
  EXPECT_TRUE(wait_for([](const MeshSnapshot& mesh) { return target(mesh).starts_with("early"); }));
  // One that cannot be read harms neither.
  auto broken = data::parse_yaml("apiVersion: " + version() +
                                 "\nkind: VirtualService\nmetadata: {name: broken, "
                                 "namespace: default}\nspec: {hosts: 7, http: {}}\n");
  ASSERT_TRUE(broken.ok());
  with_kinds_.put(*broken);
  with_kinds_.put(service("marker"));
  ASSERT_TRUE(wait_for_services(2));
  EXPECT_TRUE(wait_for([](const MeshSnapshot& mesh) { return target(mesh).starts_with("early"); }));
}

TEST_F(IngestFaults, TenThousandObjectsAtOnceAreFewSnapshots) {
  start(with_kinds_);
  const int before = published();
  for (int i = 0; i < 10'000; ++i) with_kinds_.put(service("svc-" + std::to_string(i)));
  ASSERT_TRUE(wait_for_services(10'000));
  // However busy it is, a snapshot holds many changes.
  EXPECT_LT(published() - before, 1'000);
}

}  // namespace
}  // namespace lateen::discovery
