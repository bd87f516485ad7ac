// The writer thread and its memory of recent events.
#include "kube/events.h"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "base/log.h"

namespace lateen::kube {
namespace {

constexpr std::size_t kMaxQueued = 1'000;
constexpr std::size_t kMaxRemembered = 4'096;
constexpr std::size_t kMaxMessageBytes = 1'024;

struct Pending {
  Json event;
  std::string identity;
};

}  // namespace

struct EventRecorder::State {
  State(Client& client, const Clock& clock, std::string component, std::string host)
      : client(client), clock(clock), component(std::move(component)), host(std::move(host)) {}

  void write_loop();
  bool write(Pending pending);
  Result<> create(const Pending& pending);

  Client& client;
  const Clock& clock;
  const std::string component;
  const std::string host;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Pending> queue;
  bool is_stopped = false;
  std::atomic<std::uint64_t> dropped{0};
  std::atomic<std::uint64_t> sequence{0};

  struct Known {
    std::string name;
    std::int64_t count = 1;
  };
  std::map<std::string, Known> known;  // writer thread only
  std::deque<std::string> order;       // oldest first
  std::thread writer;
};

void EventRecorder::State::write_loop() {
  std::unique_lock lock(mutex);
  while (true) {
    changed.wait(lock, [&] { return is_stopped || !queue.empty(); });
    if (queue.empty()) return;
    Pending next = std::move(queue.front());
    queue.pop_front();
    lock.unlock();
    const bool is_written = write(std::move(next));
    lock.lock();
    if (!is_written && is_stopped)
      return;  // the server is gone too: do not wait for it once per event
  }
}

bool EventRecorder::State::write(Pending pending) {
  const auto seen = known.find(pending.identity);
  if (seen != known.end()) {
    ++seen->second.count;
    const Json change = {{"count", seen->second.count},
                         {"lastTimestamp", *data::find(pending.event, {"lastTimestamp"})}};
    const Key key{std::string(namespace_of(pending.event)), seen->second.name};
    auto patched =
        client.patch(resources::events(), key, Patch::kMerge, change, {.field_manager = component});
    if (patched) return true;
    known.erase(seen);  // expired or lost: start a new one
  }
  auto created = create(pending);
  if (!created) LOG(kDebug, "events", "{}: {}", name_of(pending.event), created.error().message());
  return created.ok();
}

Result<> EventRecorder::State::create(const Pending& pending) {
  const Json stored =
      TRY(client.create(resources::events(), pending.event, {.field_manager = component}));
  known[pending.identity] = {std::string(name_of(stored)), 1};
  order.push_back(pending.identity);
  if (order.size() > kMaxRemembered) {
    known.erase(order.front());
    order.pop_front();
  }
  return {};
}

EventRecorder::EventRecorder(Client& client, const Clock& clock, std::string component,
                             std::string host)
    : state_(std::make_unique<State>(client, clock, std::move(component), std::move(host))) {
  state_->writer = std::thread([state = state_.get()] { state->write_loop(); });
}

EventRecorder::~EventRecorder() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->is_stopped = true;
  }
  state_->changed.notify_all();
  state_->writer.join();
}

void EventRecorder::record(const Json& object, Type type, std::string_view reason,
                           std::string_view message, std::string_view field_path) {
  const WallTime now = state_->clock.wall();
  const std::string stamp = format_rfc3339(now);
  const std::string ns(namespace_of(object).empty() ? "default" : namespace_of(object));
  const auto nanos =
      static_cast<std::uint64_t>(now.time_since_epoch().count()) + state_->sequence++;
  Json involved = {{"apiVersion", api_version_of(object)},
                   {"kind", kind_of(object)},
                   {"name", name_of(object)},
                   {"uid", uid_of(object)},
                   {"resourceVersion", resource_version_of(object)}};
  if (!namespace_of(object).empty()) data::set(involved, {"namespace"}, Json(ns));
  if (!field_path.empty()) data::set(involved, {"fieldPath"}, Json(field_path));
  Json source = {{"component", state_->component}};
  if (!state_->host.empty()) data::set(source, {"host"}, Json(state_->host));

  const std::string_view type_text = type == Type::kNormal ? "Normal" : "Warning";
  const auto text = message.substr(0, kMaxMessageBytes);
  Pending pending;
  pending.event = {
      {"apiVersion", "v1"},
      {"kind", "Event"},
      {"metadata", {{"name", fmt::format("{}.{:x}", name_of(object), nanos)}, {"namespace", ns}}},
      {"involvedObject", std::move(involved)},
      {"reason", reason},
      {"message", text},
      {"source", std::move(source)},
      {"firstTimestamp", stamp},
      {"lastTimestamp", stamp},
      {"count", 1},
      {"type", type_text},
      {"eventTime", nullptr},
      {"reportingComponent", state_->component},
      {"reportingInstance", state_->host}};
  pending.identity = fmt::format("{}|{}|{}|{}|{}|{}", uid_of(object), name_of(object), field_path,
                                 type_text, reason, text);
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->queue.size() >= kMaxQueued) {
      ++state_->dropped;
      return;
    }
    state_->queue.push_back(std::move(pending));
  }
  state_->changed.notify_one();
}

std::uint64_t EventRecorder::dropped() const { return state_->dropped; }

}  // namespace lateen::kube
