// The load, its checks and the life of one simulation; faults.cc does the harm.
#include "simulation.h"

#include <fmt/core.h>

#include "base/strings.h"
#include "data/yaml.h"
#include "proxy/admin/admin.h"

namespace lateen::mesh_test {
namespace {

constexpr milliseconds kMostBetweenCalls{60};
constexpr std::size_t kMostBody = 40'000;
constexpr seconds kQuiet{60};  // after the last fault: back-off, ejection and drain times pass
constexpr std::size_t kMostProblems = 20;

}  // namespace

Simulation::Simulation(std::uint64_t seed) : world_(seed), random_(seeded_random(seed ^ 0x5eed)) {
  make_tls_repeatable(seed);
  build();
}

Simulation::~Simulation() {
  client_.reset();
  mesh_.reset();
}

void Simulation::build() {
  Mesh::Options options;
  mesh_ = std::make_unique<Mesh>(world_, std::move(options));
  client_ = std::make_unique<Client>(*mesh_);
  const PortSpec http{"http", 9080, 0, false, nullptr};
  const auto add = [&](const std::string& app, const std::string& ip, int number, int copies) {
    mesh_->add_service("default", app, ip, {http});
    for (int i = 1; i <= copies; ++i) {
      PodSpec spec;
      spec.app = app;
      spec.version = "v" + std::to_string(i);
      spec.name = app + "-" + spec.version;
      spec.ip = fmt::format("10.1.{}.{}", number, i);
      spec.ports = {http};
      mesh_->add_pod(std::move(spec));
    }
    mesh_->publish_endpoints("default", app);
  };
  add("productpage", "10.96.0.1", 1, 1);
  add("reviews", "10.96.0.2", 2, 3);
  add("ratings", "10.96.0.3", 3, 2);
  PodSpec gateway;
  gateway.name = gateway.app = "istio-ingressgateway";
  gateway.ns = "istio-system";
  gateway.ip = "10.1.250.1";
  gateway.labels["istio"] = "ingressgateway";
  gateway.is_gateway = true;
  mesh_->add_service("istio-system", gateway.app, "10.96.1.1",
                     {{"http2", 80, 8080, false, nullptr}});
  mesh_->add_pod(gateway);
  mesh_->publish_endpoints("istio-system", gateway.app);
  PodSpec outside;
  outside.name = outside.app = "outside";
  outside.ip = "198.51.100.7";
  outside.has_proxy = false;
  outside.is_external = true;
  mesh_->add_pod(outside);
  sources_ = {{mesh_->find_pod("productpage"), "reviews", 9080, ""},
              {mesh_->find_pod("productpage"), "ratings", 9080, ""},
              {mesh_->find_pod("reviews-v1"), "ratings", 9080, ""},
              {mesh_->find_pod("outside"), "books.example.com", 80, "10.96.1.1"}};
  mesh_->set_meddler([this](Node&, const net::Address&, Route& route) { meddle(route); });
}

void Simulation::tell(const std::string& what) {
  const auto micros =
      std::chrono::duration_cast<microseconds>(world_.now().time_since_epoch()).count();
  trace_ += fmt::format("{:.6f} {}\n", static_cast<double>(micros - 3'600'000'000) / 1e6, what);
}

void Simulation::complain(const std::string& what) {
  tell("PROBLEM " + what);
  if (problems_.size() < kMostProblems) problems_.push_back(what);
}

void Simulation::run(seconds span) {
  push_config();
  if (!mesh_->start()) return complain("the mesh does not converge at its start");
  tell("started");
  is_loading_ = is_disturbing_ = true;
  for (std::size_t i = 0; i < sources_.size(); ++i) schedule_call(i);
  schedule_fault();
  world_.run_for(span);
  is_disturbing_ = false;
  weather_ = {};
  mesh_->start_control_plane();
  for (const auto& pod : mesh_->pods()) {
    pod->app_node().pause(false);
    if (pod->proxy_node() != nullptr) pod->proxy_node()->pause(false);
    mesh_->start_pod(*pod);
  }
  for (const char* app : {"productpage", "reviews", "ratings"})
    mesh_->publish_endpoints("default", app);
  tell("the faults end");
  world_.run_for(kQuiet);
  is_loading_ = false;
  check_rest();
}

void Simulation::schedule_call(std::size_t source) {
  const auto wait = microseconds(1000 + random_->below(1000 * kMostBetweenCalls.count()));
  world_.at(wait, [this, source] {
    if (!is_loading_) return;
    start_call(source);
    schedule_call(source);
  });
}

void Simulation::start_call(std::size_t number, std::function<void(bool)> then) {
  const Source& source = sources_[number];
  if (!source.from->is_running()) return;
  const std::uint64_t id = ++next_id_;
  Call call;
  call.from = source.from;
  call.host = source.host;
  call.port = source.port;
  call.connect_to = source.connect_to;
  call.path = fmt::format("/call/{}", id);
  if (random_->below(4) == 0) call.path += fmt::format("?delay={}ms", random_->below(300));
  if (random_->below(3) == 0) {
    call.method = "POST";
    call.body = std::string(1 + random_->below(kMostBody), static_cast<char>('a' + id % 26));
  }
  call.is_reusing = random_->below(8) != 0;
  call.limit = seconds(20);
  pending_[id] = {call.path, call.body, world_.now()};
  ++counts_.calls;
  tell(fmt::format("call {} {} > {} {} {} bytes", id, source.from->spec().name, source.host,
                   call.path, call.body.size()));
  client_->start(call, [this, id, number, then = std::move(then)](Answer answer) {
    check(id, sources_[number], answer);
    if (then) then(answer.status == 200 && answer.error.empty());
  });
}

void Simulation::check(std::uint64_t id, const Source& source, const Answer& answer) {
  const auto found = pending_.find(id);
  if (found == pending_.end()) return complain(fmt::format("call {} got a second answer", id));
  const Pending asked = std::move(found->second);
  pending_.erase(found);
  ++counts_.answers;
  const std::string* by = answer.header("x-served-by");
  tell(fmt::format("answer {} {} {} {}", id, answer.status, by == nullptr ? "-" : *by,
                   answer.error));
  if (answer.status == 200 && answer.error.empty()) {
    const auto told = data::parse_json(answer.body);
    if (!told.ok()) return complain(fmt::format("answer {}: a body that is none of ours", id));
    if (data::get_string(*told, {"path"}) != asked.path)
      complain(fmt::format("answer {} is for {}", id, data::get_string(*told, {"path"})));
    if (data::get_string(*told, {"body"}) != asked.body)
      complain(fmt::format("answer {}: the application saw another body", id));
    if (by == nullptr || *by != data::get_string(*told, {"served_by"}))
      complain(fmt::format("answer {}: header and body come from two answers", id));
    const bool is_right = source.connect_to.empty() ? by != nullptr && by->starts_with(source.host)
                                                    : by != nullptr && by->starts_with("reviews");
    if (!is_right) complain(fmt::format("answer {} was served by the wrong service", id));
    return;
  }
  ++counts_.failures;
  if (!is_explained(asked.started, world_.now())) {
    complain(fmt::format("call {} failed ({} {} {}) and no fault explains it", id, answer.status,
                         answer.error, answer.body.substr(0, 120)));
  }
}

bool Simulation::is_explained(SteadyTime from, SteadyTime to) const {
  for (const auto& [begin, end] : disturbed_)
    if (begin <= to && end >= from) return true;
  return false;
}

void Simulation::check_rest() {
  world_.run_for(seconds(30));  // what is under way ends
  for (const auto& [id, pending] : pending_)
    complain(fmt::format("call {} never got an answer", id));
  if (!mesh_->converge(seconds(60))) complain("the configuration does not converge");
  // Everything works again, and by the last configuration.
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    Call call;
    call.from = sources_[i].from;
    call.host = sources_[i].host;
    call.port = sources_[i].port;
    call.connect_to = sources_[i].connect_to;
    const Answer answer = client_->run(call);
    const std::string* config = answer.header("x-config");
    tell(fmt::format("at rest {} {} {}", i, answer.status, answer.error));
    if (answer.status != 200)
      complain(fmt::format("at rest, source {} gets {} {}", i, answer.status, answer.error));
    else if (sources_[i].host != "ratings" &&
             (config == nullptr || *config != std::to_string(config_)))
      complain(fmt::format("at rest, source {} is served by configuration {}, not {}", i,
                           config == nullptr ? "none" : *config, config_));
  }
  for (const auto& pod : mesh_->pods()) client_->drop_connections(*pod);
  world_.run_for(seconds(5));
  if (client_->open_calls() != 0) complain("calls of the client are left");
  for (const auto& pod : mesh_->pods()) {
    if (App* app = pod->app(9080); app != nullptr && app->open_requests() != 0)
      complain(fmt::format("{} still has {} requests", pod->spec().name, app->open_requests()));
    if (pod->proxy() != nullptr) check_gauges(*pod);
  }
}

// What counts things under way must be back at zero.
void Simulation::check_gauges(Pod& pod) {
  pod.proxy()->update_stats();
  const std::string page = proxy::stats_text(*pod.proxy(), {});
  for (const auto line : split(page, '\n')) {
    const auto parts = split_once(line, ": ");
    if (!parts || parts->second == "0") continue;
    const std::string_view name = parts->first;
    const bool is_of_mesh = name.find("xds-grpc") == std::string_view::npos;
    const bool is_gauge = name.ends_with("_rq_active") || name.ends_with("rq_pending_active") ||
                          name.ends_with(".rq_open") || name.ends_with(".rq_pending_open") ||
                          name.ends_with(".rq_retry_open");
    if (is_of_mesh && is_gauge)
      complain(fmt::format("at rest, {} of {} is {}", name, pod.spec().name, parts->second));
  }
}

}  // namespace lateen::mesh_test
