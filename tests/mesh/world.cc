// Scheduling: a random node of those that have work takes a turn; when none has, time jumps.
#include "world.h"

#include <algorithm>

namespace lateen::mesh_test {

namespace {
constexpr int kMostTurns = 2'000'000;         // of one moment: beyond is a livelock
constexpr std::uint16_t kFirstPort = 20'000;  // of dialing ends
}  // namespace

Node::Node(World& world, std::string name, std::uint64_t seed)
    : world_(world), name_(std::move(name)), random_(seeded_random(seed)) {}

SteadyTime Node::now() const { return world_.now(); }
const Clock& Node::clock() const { return world_.clock_; }

std::unique_ptr<event::FdWatch> Node::watch(int, Function<void(event::FdWatch::Ready)>) {
  CHECK(!"a simulated node has no descriptors");
  return nullptr;
}

bool Node::is_ready() const {
  if (is_paused_) return false;
  return !posted_.empty() || !deferred_.empty() ||
         (!timers_.empty() && timers_.next_due() <= world_.now());
}

void Node::turn() {
  std::vector<Function<void()>> tasks;
  tasks.swap(posted_);
  for (auto& task : tasks) task();
  timers_.fire_due(now());
  for (int i = 0; !deferred_.empty(); ++i) {
    CHECK(i < kMostTurns);
    std::vector<Function<void()>> last;
    last.swap(deferred_);
    for (auto& task : last) task();
  }
}

void Node::drop_work() {
  // Dropping a task may post another.
  while (!posted_.empty() || !deferred_.empty()) {
    const auto posted = std::move(posted_);
    const auto deferred = std::move(deferred_);
    posted_.clear();
    deferred_.clear();
  }
}

// A dial under way. Its handle outlives it and is null once it is gone.
struct World::Dial final : event::Scope::Operation {
  Dial(event::Scope& scope, event::Completion<std::unique_ptr<net::Stream>> then)
      : Operation(scope), done(std::move(then)), handle(std::make_shared<Dial*>(this)) {}
  ~Dial() override { *handle = nullptr; }
  void cancel() override { delete this; }
  void finish(Result<std::unique_ptr<net::Stream>> result) {
    auto then = std::move(done);
    delete this;
    then(std::move(result));
  }
  event::Completion<std::unique_ptr<net::Stream>> done;
  std::shared_ptr<Dial*> handle;
};

void Node::dial(event::Scope& scope, const net::Address& to, milliseconds limit,
                event::Completion<std::unique_ptr<net::Stream>> done,
                const net::DialOptions& options) {
  const auto handle = (new World::Dial(scope, std::move(done)))->handle;
  const auto expire = [handle, to] {
    if (*handle == nullptr) return;
    (*handle)->finish(Error(Code::kDeadlineExceeded,
                            "connecting to " + to.to_string() + " timed out", Blame::kUpstream));
  };
  world_.at(limit, [this, expire] { post(expire); });
  world_.at(nanoseconds(0),
            [this, handle, to, options] { world_.arrive(handle, *this, to, options); });
}

World::World(std::uint64_t seed) : random_(seeded_random(seed)) {}

World::~World() {
  events_.clear();
  for (const auto& node : nodes_) node->drop_work();
}

Node& World::add_node(const std::string& name) {
  nodes_.push_back(std::make_unique<Node>(*this, name, random_->next()));
  return *nodes_.back();
}

void World::at(nanoseconds delay, Function<void()> fire) {
  events_.emplace(std::pair(now() + std::max(delay, nanoseconds(0)), next_event_++),
                  std::move(fire));
}

void World::arrive(const std::shared_ptr<Dial*>& handle, Node& from, const net::Address& to,
                   const net::DialOptions& options) {
  if (*handle == nullptr) return;
  Route route = router_(from, to, options);
  if (route.is_lost) return;
  const std::uint64_t number = ++dials_;
  if (route.door.node == nullptr) {
    at(route.delay, [&from, handle, to] {
      from.post([handle, to] {
        if (*handle == nullptr) return;
        (*handle)->finish(unavailable("connecting to " + to.to_string() + ": connection refused",
                                      Blame::kUpstream));
      });
    });
    return;
  }
  net::Address near = route.from;
  if (!near.is_unix())
    near = net::Address(near.ip(), static_cast<std::uint16_t>(kFirstPort + number % 40'000));
  const std::uint64_t seed = random_->next();
  at(route.delay, [this, handle, &from, to, near, route = std::move(route), seed] {
    if (*handle == nullptr) return;
    LinkEnds ends = make_link(*this, from, near, to, route, seed);
    std::erase_if(links_, [](const auto& link) { return link.expired(); });
    links_.push_back(ends.link);
    route.door.node->post([accept = route.door.accept, far = std::move(ends.far)]() mutable {
      accept(std::move(far));
    });
    from.post([handle, near_end = std::move(ends.near)]() mutable {
      if (*handle != nullptr) (*handle)->finish(std::move(near_end));
    });
  });
}

void World::fire_due() {
  while (!events_.empty() && events_.begin()->first.first <= now()) {
    auto first = events_.extract(events_.begin());
    first.mapped()();
  }
}

void World::run_ready() {
  std::vector<Node*> ready;
  for (int turns = 0;; ++turns) {
    CHECK(turns < kMostTurns);
    fire_due();
    ready.clear();
    for (const auto& node : nodes_)
      if (node->is_ready()) ready.push_back(node.get());
    if (ready.empty()) {
      if (!events_.empty() && events_.begin()->first.first <= now()) continue;
      return;
    }
    ready[random_->below(ready.size())]->turn();
  }
}

bool World::next_due(SteadyTime& due) const {
  bool is_any = false;
  const auto consider = [&](SteadyTime time) {
    if (!is_any || time < due) due = time;
    is_any = true;
  };
  if (!events_.empty()) consider(events_.begin()->first.first);
  for (const auto& node : nodes_)
    if (!node->is_paused() && !node->timers().empty()) consider(node->timers().next_due());
  return is_any;
}

bool World::run_until(const std::function<bool()>& holds, nanoseconds limit) {
  const SteadyTime end = now() + limit;
  for (;;) {
    run_ready();
    if (holds()) return true;
    SteadyTime due{};
    if (!next_due(due) || due > end) {
      if (end > now()) clock_.advance(end - now());
      run_ready();
      return holds();
    }
    if (due > now()) clock_.advance(due - now());
  }
}

void World::run_for(nanoseconds span) {
  run_until([] { return false; }, span);
}

std::vector<std::shared_ptr<Link>> World::links() const {
  std::vector<std::shared_ptr<Link>> out;
  for (const auto& each : links_) {
    auto link = each.lock();
    if (link != nullptr && link->is_open()) out.push_back(std::move(link));
  }
  return out;
}

}  // namespace lateen::mesh_test
