// The event recorder.
#include "cluster/node/events.h"

#include <fmt/format.h>

#include "base/log.h"

namespace lateen::cluster::node {

namespace {
using data::JsonObject;
constexpr std::size_t kMaxQueued = 1000;  // beyond it the newest are dropped
constexpr std::size_t kMaxRemembered = 4096;
}  // namespace

Events::Events(kube::Client& client, const Clock& clock, std::string component, std::string host)
    : client_(client), clock_(clock), component_(std::move(component)), host_(std::move(host)) {
  thread_ = std::thread([this] { work(); });
}

Events::~Events() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Events::record(const data::Json& about, Type type, std::string_view reason,
                    std::string message, std::string_view field) {
  JsonObject reference{
      {"kind", kube::kind_of(about).empty() ? "Pod" : kube::kind_of(about)},
      {"apiVersion", kube::api_version_of(about).empty() ? "v1" : kube::api_version_of(about)},
      {"name", kube::name_of(about)},
      {"uid", kube::uid_of(about)}};
  if (const auto ns = kube::namespace_of(about); !ns.empty()) reference["namespace"] = ns;
  if (!field.empty()) reference["fieldPath"] = field;
  const std::lock_guard lock(mutex_);
  if (queue_.size() >= kMaxQueued) return;
  queue_.push_back(
      {std::move(reference), type, std::string(reason), std::move(message), clock_.wall()});
  changed_.notify_one();
}

void Events::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return is_stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    const Pending event = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    write(event);
    lock.lock();
  }
}

void Events::write(const Pending& event) {
  const std::string stamp = format_rfc3339(event.when);
  const std::string_view object_ns = data::get_string(event.reference, {"namespace"}, "default");
  const std::string identity =
      fmt::format("{}|{}|{}", data::dump_json(event.reference), event.reason, event.message);
  if (const auto found = written_.find(identity); found != written_.end()) {
    const JsonObject patch{{"count", found->second.count + 1}, {"lastTimestamp", stamp}};
    if (client_.patch(kube::resources::events(), found->second.key, kube::Patch::kMerge, patch)
            .ok()) {
      ++found->second.count;
      return;
    }
    written_.erase(found);
  }
  if (written_.size() >= kMaxRemembered) written_.clear();
  const kube::Key key{std::string(object_ns),
                      fmt::format("{}.{:x}{:04x}", data::get_string(event.reference, {"name"}),
                                  event.when.time_since_epoch().count(), next_name_++ & 0xffff)};
  const JsonObject object{{"apiVersion", "v1"},
                          {"kind", "Event"},
                          {"metadata", JsonObject{{"name", key.name}, {"namespace", key.ns}}},
                          {"involvedObject", event.reference},
                          {"reason", event.reason},
                          {"message", event.message},
                          {"type", event.type == Type::kNormal ? "Normal" : "Warning"},
                          {"source", JsonObject{{"component", component_}, {"host", host_}}},
                          {"reportingComponent", component_},
                          {"reportingInstance", host_},
                          {"firstTimestamp", stamp},
                          {"lastTimestamp", stamp},
                          {"eventTime", nullptr},
                          {"count", 1}};
  auto created = client_.create(kube::resources::events(), object);
  if (created.ok()) written_[identity] = {key, 1};
  else if (created.error().code() != Code::kNotFound)  // its namespace went away
    LOG(kDebug, "node", "an event was not written: {}", created.error().message());
}

}  // namespace lateen::cluster::node
