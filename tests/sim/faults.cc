// What can go wrong: each fault is told in the trace, and for how long it may explain failures.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <fmt/core.h>
#include <openssl/rand.h>

#include "data/yaml.h"
#include "simulation.h"

namespace lateen::mesh_test {
namespace {

constexpr seconds kMostBetweenFaults{2};
// Connections that a fault left half open are found out by their next use.
constexpr seconds kAftermath{3};

std::unique_ptr<Random>& tls_random() {
  static std::unique_ptr<Random> random;
  return random;
}

int tls_bytes(unsigned char* out, int count) {
  tls_random()->fill({out, static_cast<std::size_t>(count)});
  return 1;
}

}  // namespace

void make_tls_repeatable(std::uint64_t seed) {
  tls_random() = seeded_random(seed);
  static const RAND_METHOD method = {nullptr, tls_bytes, nullptr,
                                     nullptr, tls_bytes, [] { return 1; }};
  RAND_set_rand_method(&method);
}

void Simulation::disturb(const std::string& what, nanoseconds lasts) {
  ++counts_.faults;
  tell("fault " + what);
  disturbed_.emplace_back(world_.now(), world_.now() + lasts + kAftermath);
}

void Simulation::schedule_fault() {
  const auto wait = milliseconds(50 + random_->below(1000 * kMostBetweenFaults.count()));
  world_.at(wait, [this] {
    if (!is_disturbing_) return;
    inject();
    schedule_fault();
  });
}

void Simulation::inject() {
  switch (random_->below(10)) {
    case 0:
    case 1: return cut_links();
    case 2:
    case 3: return kill_pod();
    case 4: return restart_proxy();
    case 5: return restart_control_plane();
    case 6: return push_config();
    case 7: return bad_network();
    case 8: return pause_node();
    default: return jump_clock();
  }
}

void Simulation::cut_links() {
  const auto links = world_.links();
  if (links.empty()) return;
  const auto count = 1 + random_->below(3);
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto& link = links[random_->below(links.size())];
    disturb("cut " + link->name(), nanoseconds(0));
    link->cut();
  }
}

// An application with its proxy, gone without a word; noticed by Kubernetes a little later.
void Simulation::kill_pod() {
  std::vector<Pod*> candidates;
  for (const auto& pod : mesh_->pods()) {
    const auto& app = pod->spec().app;
    if ((app == "reviews" || app == "ratings") && pod->is_running())
      candidates.push_back(pod.get());
  }
  if (candidates.empty()) return;
  Pod* pod = candidates[random_->below(candidates.size())];
  const auto noticed = milliseconds(100 + random_->below(1500));
  const auto back = noticed + milliseconds(500 + random_->below(4000));
  disturb(fmt::format("kill {} for {} ms", pod->spec().name, back.count()), back + seconds(1));
  client_->drop_connections(*pod);
  mesh_->stop_pod(*pod);
  const std::string app = pod->spec().app;
  world_.at(noticed, [this, app] { mesh_->publish_endpoints("default", app); });
  world_.at(back, [this, pod, app] {
    tell("back " + pod->spec().name);
    mesh_->start_pod(*pod);
    mesh_->publish_endpoints("default", app);
  });
}

void Simulation::restart_proxy() {
  std::vector<Pod*> candidates;
  for (const auto& pod : mesh_->pods())
    if (pod->proxy() != nullptr) candidates.push_back(pod.get());
  Pod* pod = candidates[random_->below(candidates.size())];
  disturb("restart the proxy of " + pod->spec().name, seconds(10));
  mesh_->restart_proxy(*pod);
}

// Proxies go on by what they have: not a fault to any request, but to those that start meanwhile.
void Simulation::restart_control_plane() {
  if (mesh_->control_plane() == nullptr) return;
  const auto back = milliseconds(100 + random_->below(3000));
  tell(fmt::format("the control plane dies for {} ms", back.count()));
  ++counts_.faults;
  mesh_->stop_control_plane();
  world_.at(back, [this] {
    tell("the control plane is back");
    mesh_->start_control_plane();
  });
}

// A valid change of configuration must cost no request.
void Simulation::push_config() {
  ++config_;
  ++counts_.faults;
  const auto weight = random_->below(101);
  tell(fmt::format("configuration {}: weight {}", config_, weight));
  const std::string yaml = fmt::format(
      R"(
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: front, namespace: default}}
spec:
  selector: {{istio: ingressgateway}}
  servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ["*"]}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: reviews, namespace: default}}
spec:
  host: reviews
  trafficPolicy: {{loadBalancer: {{simple: {2}}}}}
  subsets:
  - {{name: some, labels: {{app: reviews}}}}
  - {{name: all, labels: {{app: reviews}}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: reviews, namespace: default}}
spec:
  hosts: [reviews, books.example.com]
  gateways: [mesh, front]
  http:
  - headers: {{response: {{set: {{x-config: "{0}"}}}}}}
    route:
    - {{destination: {{host: reviews, subset: some}}, weight: {1}}}
    - {{destination: {{host: reviews, subset: all}}, weight: {3}}}
)",
      config_, weight, random_->below(2) == 0 ? "ROUND_ROBIN" : "LEAST_REQUEST", 100 - weight);
  const auto objects = data::parse_yaml_documents(yaml);
  CHECK(objects.ok());
  for (const auto& object : *objects) mesh_->put(object);
}

void Simulation::bad_network() {
  const auto lasts = milliseconds(200 + random_->below(3000));
  weather_.refused_percent = random_->below(2) == 0 ? static_cast<int>(random_->below(60)) : 0;
  weather_.lost_percent = random_->below(3) == 0 ? static_cast<int>(random_->below(30)) : 0;
  weather_.latency = microseconds(random_->below(40'000));
  weather_.most_bytes = random_->below(2) == 0 ? 1 + random_->below(2000) : 0;
  disturb(fmt::format("weather for {} ms: {} % refused, {} % lost, {} us, {} bytes at a time",
                      lasts.count(), weather_.refused_percent, weather_.lost_percent,
                      weather_.latency.count() / 1000, weather_.most_bytes),
          lasts + seconds(12));
  world_.at(lasts, [this] {
    tell("calm");
    weather_ = {};
  });
}

void Simulation::meddle(Route& route) {
  // By the world's own dice: dials come in its order.
  if (weather_.lost_percent > 0 &&
      world_.random().below(100) < static_cast<unsigned>(weather_.lost_percent))
    route.is_lost = true;
  if (weather_.refused_percent > 0 &&
      world_.random().below(100) < static_cast<unsigned>(weather_.refused_percent))
    route.door = {};
  route.delay = microseconds(world_.random().below(500)) + weather_.latency;
  route.latency = microseconds(50) + weather_.latency;
  route.most_bytes = weather_.most_bytes;
}

void Simulation::pause_node() {
  const auto& pods = mesh_->pods();
  Pod& pod = *pods[random_->below(pods.size())];
  Node* node =
      pod.proxy_node() != nullptr && random_->below(2) == 0 ? pod.proxy_node() : &pod.app_node();
  const auto lasts = milliseconds(10 + random_->below(2000));
  disturb(fmt::format("{} hangs for {} ms", node->name(), lasts.count()), lasts);
  node->pause(true);
  world_.at(lasts, [node] { node->pause(false); });
}

// Wall clocks may jump; nothing may depend on them but stamps.
void Simulation::jump_clock() {
  const auto by = minutes(static_cast<std::int64_t>(random_->below(240)) - 120);
  tell(fmt::format("the wall clock jumps by {} min", by.count()));
  ++counts_.faults;
  world_.clock().set_wall(world_.clock().wall() + by);
}

}  // namespace lateen::mesh_test
