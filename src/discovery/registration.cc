#include "discovery/registration.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"

namespace lateen::discovery {
namespace {

using data::get_string;
using data::Json;
using data::JsonArray;
using data::JsonObject;

constexpr std::string_view kGroup = "istio.io/autoRegistrationGroup";
constexpr std::string_view kController = "istio.io/workloadController";
constexpr std::string_view kConnected = "istio.io/connectedAt";
constexpr std::string_view kDisconnected = "istio.io/disconnectedAt";

const kube::Resource& entries() {
  static const kube::Resource kResource{"networking.istio.io", "v1", "workloadentries",
                                        "WorkloadEntry", true};
  return kResource;
}

const kube::Resource& groups() {
  static const kube::Resource kResource{"networking.istio.io", "v1", "workloadgroups",
                                        "WorkloadGroup", true};
  return kResource;
}

std::string stream_key(const Proxy& proxy) { return proxy.ns + "/" + entry_name(proxy); }

bool is_conflict(const Error& error) {
  return error.code() == Code::kAborted || error.code() == Code::kAlreadyExists;
}

}  // namespace

std::string entry_name(const Proxy& proxy) {
  if (const auto own = proxy.meta("WORKLOAD_ENTRY"); !own.empty()) return std::string(own);
  const auto group = proxy.meta("AUTO_REGISTER_GROUP");
  if (group.empty()) return {};
  std::string name = std::string(group) + "-" + replace_all(proxy.ips.front(), ":", "-");
  if (!proxy.network.empty()) name += "-" + proxy.network;
  return name;
}

Json make_registered_entry(const Json& group, const Proxy& proxy, std::string_view controller,
                           WallTime now) {
  const Json* made = data::find(group, {"spec", "template"});
  Json spec = made != nullptr && made->is_object() ? *made : Json(JsonObject{});
  data::set(spec, {"address"}, Json(proxy.ips.front()));
  JsonObject labels = data::get_object(group, {"spec", "metadata", "labels"});
  for (const auto& entry : data::get_object(spec, {"labels"})) {
    labels[entry.key()] = entry.value();
  }
  for (const auto& [key, value] : proxy.labels) labels[key] = value;
  if (!proxy.network.empty()) data::set(spec, {"network"}, Json(proxy.network));
  if (!proxy.locality.empty()) data::set(spec, {"locality"}, Json(proxy.locality));
  data::set(spec, {"labels"}, Json(labels));
  JsonObject annotations = data::get_object(group, {"spec", "metadata", "annotations"});
  const std::string group_name(get_string(group, {"metadata", "name"}));
  annotations[kGroup] = group_name;
  annotations[kController] = controller;
  annotations[kConnected] = format_rfc3339(now, 9);
  return JsonObject{
      {"apiVersion", "networking.istio.io/v1"},
      {"kind", "WorkloadEntry"},
      {"metadata",
       JsonObject{{"name", entry_name(proxy)},
                  {"namespace", proxy.ns},
                  {"labels", labels},
                  {"annotations", std::move(annotations)},
                  {"ownerReferences",
                   JsonArray{JsonObject{{"apiVersion", get_string(group, {"apiVersion"})},
                                        {"kind", "WorkloadGroup"},
                                        {"name", group_name},
                                        {"uid", get_string(group, {"metadata", "uid"})},
                                        {"controller", true}}}}}},
      {"spec", std::move(spec)}};
}

Registration::Registration(kube::Client& client, const Clock& clock, Options options)
    : client_(client), clock_(clock), options_(std::move(options)), thread_([this] { work(); }) {}

Registration::~Registration() {
  {
    const std::lock_guard lock(mutex_);
    is_stopped_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Registration::push(Event event) {
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() >= options_.most_waiting) return;  // the next change tells it again
    waiting_.push_back(std::move(event));
  }
  changed_.notify_all();
}

void Registration::note_presence(const Proxy& proxy, bool is_connected) {
  if (proxy.meta("AUTO_REGISTER_GROUP").empty()) return;
  {
    const std::lock_guard lock(mutex_);
    int& streams = connected_[stream_key(proxy)];
    streams += is_connected ? 1 : -1;
    if (streams <= 0) connected_.erase(stream_key(proxy));
    if (is_connected && streams > 1) return;
    if (!is_connected && streams > 0) return;
  }
  push({is_connected ? Event::Kind::kConnected : Event::Kind::kDisconnected, proxy, "",
        clock_.steady()});
}

void Registration::note_health(const Proxy& proxy, const std::string& problem) {
  if (entry_name(proxy).empty()) return;
  push({Event::Kind::kHealth, proxy, problem, clock_.steady()});
}

void Registration::work() {
  std::unique_lock lock(mutex_);
  while (!is_stopped_) {
    // Events that are due run in their order; those of later wait behind.
    const SteadyTime now = clock_.steady();
    const auto next =
        std::min_element(waiting_.begin(), waiting_.end(),
                         [](const Event& a, const Event& b) { return a.due < b.due; });
    if (next == waiting_.end()) {
      changed_.wait(lock);
      continue;
    }
    if (next->due > now) {
      changed_.wait_for(lock, next->due - now);
      continue;
    }
    const Event event = std::move(*next);
    waiting_.erase(next);
    lock.unlock();
    const auto done = handle(event);
    if (!done.ok()) {
      LOG(kWarn, "registration", "WorkloadEntry {}: {}", stream_key(event.proxy),
          done.error().message());
    }
    lock.lock();
    if (!done.ok() && is_conflict(done.error())) {
      Event again = event;
      again.due = clock_.steady() + milliseconds(50);
      waiting_.push_back(std::move(again));
    }
    if (event.kind == Event::Kind::kDisconnected) {
      Event last = event;
      last.kind = Event::Kind::kExpired;
      last.due = clock_.steady() + options_.grace;
      waiting_.push_back(std::move(last));
    }
  }
}

Result<> Registration::handle(const Event& event) {
  switch (event.kind) {
    case Event::Kind::kConnected: return connect(event.proxy);
    case Event::Kind::kDisconnected: return disconnect(event.proxy);
    case Event::Kind::kExpired: return expire(event.proxy);
    case Event::Kind::kHealth: return set_health(event.proxy, event.problem);
  }
  return {};
}

Result<> Registration::connect(const Proxy& proxy) {
  const kube::Key key{proxy.ns, entry_name(proxy)};
  auto existing = client_.get(entries(), key);
  if (existing.ok()) {
    // It came back in time, maybe to another replica.
    data::set(*existing, {"metadata", "annotations", kController}, Json(options_.controller));
    data::set(*existing, {"metadata", "annotations", kConnected},
              Json(format_rfc3339(clock_.wall(), 9)));
    data::erase(*existing, {"metadata", "annotations", kDisconnected});
    TRY(client_.update(entries(), *existing));
    return {};
  }
  if (existing.error().code() != Code::kNotFound) return std::move(existing).error();
  const std::string group_name(proxy.meta("AUTO_REGISTER_GROUP"));
  const Json group = TRY(client_.get(groups(), {proxy.ns, group_name}).at("WorkloadGroup"));
  const std::string_view account = get_string(group, {"spec", "template", "serviceAccount"});
  if (!account.empty() && proxy.is_verified && account != proxy.service_account) {
    return invalid("the proxy is service account " + proxy.service_account + ", group " +
                       group_name + " is for " + std::string(account),
                   Blame::kDownstream);
  }
  TRY(client_.create(entries(),
                     make_registered_entry(group, proxy, options_.controller, clock_.wall())));
  LOG(kInfo, "registration", "registered WorkloadEntry {}", key.to_string());
  return {};
}

Result<> Registration::disconnect(const Proxy& proxy) {
  auto entry = client_.get(entries(), {proxy.ns, entry_name(proxy)});
  if (!entry.ok()) {
    return entry.error().code() == Code::kNotFound ? Result<>() : std::move(entry).error();
  }
  const auto& annotations = data::get_object(*entry, {"metadata", "annotations"});
  const Json* holder = annotations.if_contains(kController);
  if (holder == nullptr || data::as_string(*holder) != options_.controller) return {};
  data::set(*entry, {"metadata", "annotations", kDisconnected},
            Json(format_rfc3339(clock_.wall(), 9)));
  TRY(client_.update(entries(), *entry));
  return {};
}

Result<> Registration::expire(const Proxy& proxy) {
  {
    const std::lock_guard lock(mutex_);
    if (connected_.count(stream_key(proxy)) > 0) return {};
  }
  const kube::Key key{proxy.ns, entry_name(proxy)};
  auto entry = client_.get(entries(), key);
  if (!entry.ok()) {
    return entry.error().code() == Code::kNotFound ? Result<>() : std::move(entry).error();
  }
  // Another replica may have it by now.
  const auto& annotations = data::get_object(*entry, {"metadata", "annotations"});
  const Json* holder = annotations.if_contains(kController);
  if (annotations.if_contains(kDisconnected) == nullptr || holder == nullptr ||
      data::as_string(*holder) != options_.controller) {
    return {};
  }
  auto removed = client_.remove(entries(), key);
  if (!removed.ok() && removed.error().code() != Code::kNotFound) return removed;
  LOG(kInfo, "registration", "WorkloadEntry {} removed: its proxy is gone", key.to_string());
  return {};
}

Result<> Registration::set_health(const Proxy& proxy, const std::string& problem) {
  Json entry = TRY(client_.get(entries(), {proxy.ns, entry_name(proxy)}));
  const char* status = problem.empty() ? "True" : "False";
  JsonArray conditions;
  for (const Json& condition : data::get_array(entry, {"status", "conditions"})) {
    if (get_string(condition, {"type"}) != "Healthy") {
      conditions.push_back(condition);
    } else if (get_string(condition, {"status"}) == status &&
               get_string(condition, {"message"}) == problem) {
      return {};
    }
  }
  const std::string now = format_rfc3339(clock_.wall());
  conditions.push_back(JsonObject{{"type", "Healthy"},
                                  {"status", status},
                                  {"lastProbeTime", now},
                                  {"lastTransitionTime", now},
                                  {"message", problem}});
  data::set(entry, {"status", "conditions"}, Json(std::move(conditions)));
  TRY(client_.update_status(entries(), entry));
  return {};
}

}  // namespace lateen::discovery
