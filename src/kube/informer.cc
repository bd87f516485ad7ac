// List, watch from there, list again when the server forgot where we were. The reading thread only
// parses; the informer's own thread changes the cache and calls back, so that callbacks may block
// without stalling the transport.
#include "kube/informer.h"

#include <shared_mutex>

#include "base/log.h"
#include "base/strings.h"

namespace lateen::kube {
namespace {

constexpr std::size_t kMaxPending = 100'000;      // changes read but not applied yet
constexpr std::size_t kMaxLineBytes = 64u << 20;  // one watch event
constexpr std::size_t kMaxTombs = 1'000;
constexpr int kWatchSeconds = 540;  // the server ends the watch, we go on from the last version
constexpr milliseconds kFirstBackOff{20};
constexpr milliseconds kMaxBackOff{5'000};

struct Event {
  enum class Type : unsigned char { kChange, kDelete, kReplace } type;
  ObjectPtr object;                // kChange, kDelete
  std::vector<ObjectPtr> objects;  // kReplace: the whole list
};

// Versions are opaque by contract but numbers in practice; others count as newer.
bool is_older(const Json& a, const Json& b) {
  const auto x = parse_uint(resource_version_of(a)), y = parse_uint(resource_version_of(b));
  return x && y && *x < *y;
}

}  // namespace

struct Informer::State {
  State(Client& client, Resource resource, std::string ns, ListOptions options)
      : client(client),
        resource(std::move(resource)),
        ns(std::move(ns)),
        options(std::move(options)) {}

  // Reader.
  void read_loop();
  Result<> list();
  Result<> watch();
  bool on_bytes(std::string_view bytes);
  bool on_line(std::string_view line);
  bool push(Event event);
  bool pause(milliseconds delay);

  // Applier.
  void apply_loop();
  void apply(Event& event);
  void apply_change(ObjectPtr after);
  void apply_delete(const Json& gone);
  void apply_replace(const std::vector<ObjectPtr>& objects);
  void put(const Key& key, ObjectPtr object);
  void notify(const Change& change);

  Client& client;
  const Resource resource;
  const std::string ns;
  const ListOptions options;
  std::vector<Function<void(const Change&)>> callbacks;
  Function<void(Json&)> shrink;

  std::atomic<bool> is_stopped{false};
  StopSignal stop;   // set after it
  std::mutex mutex;  // pending, synced
  std::condition_variable changed;
  std::deque<Event> pending;
  bool has_synced = false;
  bool is_inline = false;

  mutable std::shared_mutex cache_mutex;
  std::map<Key, ObjectPtr> cache;
  std::map<std::string, std::set<Key>, std::less<>> by_owner;
  // Uids deleted lately: an answer to a write that comes late must not bring them back.
  std::set<std::string, std::less<>> tombs;
  std::deque<std::string> tomb_order;

  std::map<Key, ObjectPtr> notified;  // applier only: what callbacks know

  // Reader thread only.
  std::string version;  // where the next watch starts; empty: list first
  std::string partial;
  bool is_expired = false;
  bool has_progress = false;

  std::thread reader, applier;
};

void Informer::State::read_loop() {
  milliseconds back_off = kFirstBackOff;
  while (!is_stopped) {
    has_progress = false;
    auto done = version.empty() ? list() : watch();
    if (is_expired || (!done && done.error().code() == Code::kOutOfRange)) {
      is_expired = false;
      version.clear();
      if (has_progress) back_off = kFirstBackOff;
    } else if (done) {
      back_off = kFirstBackOff;
      continue;
    } else if (!is_stopped) {
      LOG(kDebug, "kube", "watching {}: {}; again in {} ms", resource.plural,
          done.error().message(), back_off.count());
    }
    if (!pause(back_off)) return;
    back_off = std::min(back_off * 2, kMaxBackOff);
  }
}

bool Informer::State::pause(milliseconds delay) {
  std::unique_lock lock(mutex);
  changed.wait_for(lock, delay, [&] { return is_stopped.load(); });
  return !is_stopped;
}

Result<> Informer::State::list() {
  Json found = TRY(client.list(resource, ns, options));
  version = std::string(resource_version_of(found));
  Event event{Event::Type::kReplace, nullptr, {}};
  if (Json* items = data::find(found, {"items"}); items != nullptr && items->is_array()) {
    for (Json& item : *items->if_array())
      event.objects.push_back(std::make_shared<const Json>(std::move(item)));
  }
  has_progress = true;
  if (version.empty())
    return internal("the API server's list of " + resource.plural + " has no resourceVersion");
  push(std::move(event));
  return {};
}

Result<> Informer::State::watch() {
  std::string url = resource.path(ns) + "?watch=true&allowWatchBookmarks=true&resourceVersion=" +
                    percent_encode(version) + "&timeoutSeconds=" + std::to_string(kWatchSeconds);
  if (!options.label_selector.empty())
    url += "&labelSelector=" + percent_encode(options.label_selector);
  if (!options.field_selector.empty())
    url += "&fieldSelector=" + percent_encode(options.field_selector);
  http::PlainRequest request;
  request.url = std::move(url);
  request.headers = {{"accept", "application/json"}};
  request.timeout = seconds(kWatchSeconds + 30);
  request.stop = &stop;
  partial.clear();
  const auto response = TRY(client.transport().stream(
      request, [this](std::string_view bytes) { return on_bytes(bytes); },
      [this] { return is_stopped.load(); }));
  if (response.status < 200 || response.status > 299) return error_of(response);
  // A server that ends watches at once must not be asked in a tight loop.
  if (!has_progress) pause(kFirstBackOff);
  return {};
}

bool Informer::State::on_bytes(std::string_view bytes) {
  while (!is_stopped) {
    const auto end = bytes.find('\n');
    if (end == std::string_view::npos) {
      partial.append(bytes);
      return partial.size() <= kMaxLineBytes;
    }
    bool goes_on;
    if (partial.empty()) {
      goes_on = on_line(bytes.substr(0, end));
    } else {
      partial.append(bytes.substr(0, end));
      goes_on = on_line(partial);
      partial.clear();
    }
    if (!goes_on) return false;
    bytes.remove_prefix(end + 1);
  }
  return false;
}

bool Informer::State::on_line(std::string_view line) {
  if (trim(line).empty()) return true;
  auto event = data::parse_json(line);
  Json* object = event ? data::find(*event, {"object"}) : nullptr;
  if (object == nullptr) {
    LOG(kWarn, "kube", "watching {}: an event that is not JSON; listing again", resource.plural);
    is_expired = true;
    return false;
  }
  const std::string type(data::get_string(*event, {"type"}));
  if (type == "ERROR") {
    // Nearly always 410 Gone; whatever it is, a fresh list is the way back.
    is_expired = true;
    return false;
  }
  has_progress = true;
  if (const auto seen = resource_version_of(*object); !seen.empty()) version = std::string(seen);
  if (type == "BOOKMARK") return true;
  if (shrink) shrink(*object);
  const auto kind = type == "DELETED" ? Event::Type::kDelete : Event::Type::kChange;
  return push({kind, std::make_shared<const Json>(std::move(*object)), {}});
}

bool Informer::State::push(Event event) {
  if (is_inline) {
    apply(event);
    return true;
  }
  {
    const std::lock_guard lock(mutex);
    if (pending.size() >= kMaxPending) {
      LOG(kWarn, "kube", "watching {}: {} changes wait; listing again", resource.plural,
          pending.size());
      is_expired = true;
      return false;
    }
    pending.push_back(std::move(event));
  }
  changed.notify_all();
  return true;
}

void Informer::State::apply_loop() {
  std::unique_lock lock(mutex);
  while (true) {
    changed.wait(lock, [&] { return is_stopped || !pending.empty(); });
    if (is_stopped) return;
    Event event = std::move(pending.front());
    pending.pop_front();
    lock.unlock();
    apply(event);
    lock.lock();
  }
}

void Informer::State::apply(Event& event) {
  switch (event.type) {
    case Event::Type::kChange: return apply_change(std::move(event.object));
    case Event::Type::kDelete: return apply_delete(*event.object);
    case Event::Type::kReplace: apply_replace(event.objects); break;
  }
  {
    const std::lock_guard lock(mutex);
    has_synced = true;
  }
  changed.notify_all();
}

// Caller holds cache_mutex.
void Informer::State::put(const Key& key, ObjectPtr object) {
  const auto owner_uid = [](const ObjectPtr& from) {
    const Json* owner = from != nullptr ? controller_of(*from) : nullptr;
    return owner != nullptr ? std::string(data::get_string(*owner, {"uid"})) : std::string();
  };
  const auto found = cache.find(key);
  const std::string before = found != cache.end() ? owner_uid(found->second) : std::string();
  const std::string after = owner_uid(object);
  if (before != after) {
    if (const auto keys = by_owner.find(before); keys != by_owner.end()) {
      keys->second.erase(key);
      if (keys->second.empty()) by_owner.erase(keys);
    }
    if (!after.empty()) by_owner[after].insert(key);
  }
  if (object == nullptr) cache.erase(key);
  else cache[key] = std::move(object);
}

void Informer::State::notify(const Change& change) {
  for (const auto& callback : callbacks) callback(change);
}

void Informer::State::apply_change(ObjectPtr after) {
  const Key key = key_of(*after);
  ObjectPtr& last = notified[key];
  if (last != nullptr && resource_version_of(*last) == resource_version_of(*after)) return;
  {
    const std::unique_lock lock(cache_mutex);
    const auto found = cache.find(key);
    if (found == cache.end() || !is_older(*after, *found->second)) put(key, after);
  }
  notify({std::exchange(last, after), after});
}

void Informer::State::apply_delete(const Json& gone) {
  const Key key = key_of(gone);
  {
    const std::unique_lock lock(cache_mutex);
    const auto found = cache.find(key);
    // A new object of that name may have been observed already.
    if (found != cache.end() && uid_of(*found->second) == uid_of(gone)) put(key, nullptr);
    if (tombs.insert(std::string(uid_of(gone))).second) tomb_order.emplace_back(uid_of(gone));
    if (tomb_order.size() > kMaxTombs) {
      tombs.erase(tomb_order.front());
      tomb_order.pop_front();
    }
  }
  const auto last = notified.extract(key);
  if (!last.empty()) notify({last.mapped(), nullptr});
}

void Informer::State::apply_replace(const std::vector<ObjectPtr>& objects) {
  std::set<Key> present;
  for (const auto& object : objects) present.insert(key_of(*object));
  std::vector<ObjectPtr> gone;
  {
    const std::shared_lock lock(cache_mutex);
    for (const auto& [key, object] : cache) {
      if (!present.contains(key)) gone.push_back(object);
    }
  }
  for (const auto& object : gone) apply_delete(*object);
  for (const auto& object : objects) apply_change(object);
}

Informer::Informer(Client& client, Resource resource, std::string ns, ListOptions options)
    : state_(std::make_unique<State>(client, std::move(resource), std::move(ns),
                                     std::move(options))) {}

void Informer::begin_stop() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->is_stopped = true;
  }
  state_->changed.notify_all();
  state_->stop.set();
}

Informer::~Informer() {
  begin_stop();
  if (state_->reader.joinable()) state_->reader.join();
  if (state_->applier.joinable()) state_->applier.join();
}

void Informer::on_change(Function<void(const Change&)> callback) {
  state_->callbacks.push_back(std::move(callback));
}

void Informer::on_read(Function<void(Json&)> shrink) { state_->shrink = std::move(shrink); }

void Informer::apply_inline() { state_->is_inline = true; }

void Informer::observe(const Json& written) {
  if (name_of(written).empty() || resource_version_of(written).empty()) return;
  auto object = std::make_shared<Json>(written);
  if (state_->shrink) state_->shrink(*object);
  const Key key = key_of(*object);
  const std::unique_lock lock(state_->cache_mutex);
  if (state_->tombs.contains(uid_of(*object))) return;
  const auto found = state_->cache.find(key);
  if (found == state_->cache.end() || is_older(*found->second, *object))
    state_->put(key, std::move(object));
}

void Informer::observe_removal(const Key& key) {
  const std::unique_lock lock(state_->cache_mutex);
  const auto found = state_->cache.find(key);
  if (found == state_->cache.end() || is_deleting(*found->second)) return;
  auto marked = std::make_shared<Json>(*found->second);
  data::set(*marked, {"metadata", "deletionTimestamp"}, Json("1970-01-01T00:00:00Z"));
  found->second = std::move(marked);
}

void Informer::start() {
  CHECK(!state_->reader.joinable());
  if (!state_->is_inline)
    state_->applier = std::thread([state = state_.get()] { state->apply_loop(); });
  state_->reader = std::thread([state = state_.get()] { state->read_loop(); });
}

bool Informer::has_synced() const {
  const std::lock_guard lock(state_->mutex);
  return state_->has_synced;
}

bool Informer::wait_synced(milliseconds limit) {
  std::unique_lock lock(state_->mutex);
  return state_->changed.wait_for(lock, limit, [&] {
    return state_->has_synced || state_->is_stopped;
  }) && state_->has_synced;
}

ObjectPtr Informer::find(const Key& key) const {
  const std::shared_lock lock(state_->cache_mutex);
  const auto found = state_->cache.find(key);
  return found != state_->cache.end() ? found->second : nullptr;
}

std::vector<ObjectPtr> Informer::list(std::string_view ns) const {
  std::vector<ObjectPtr> out;
  const std::shared_lock lock(state_->cache_mutex);
  auto at = ns.empty() ? state_->cache.begin() : state_->cache.lower_bound({std::string(ns), ""});
  for (; at != state_->cache.end() && (ns.empty() || at->first.ns == ns); ++at)
    out.push_back(at->second);
  return out;
}

std::vector<ObjectPtr> Informer::owned_by(std::string_view uid) const {
  std::vector<ObjectPtr> out;
  const std::shared_lock lock(state_->cache_mutex);
  const auto keys = state_->by_owner.find(uid);
  if (keys == state_->by_owner.end()) return out;
  for (const auto& key : keys->second) {
    const auto found = state_->cache.find(key);
    if (found != state_->cache.end()) out.push_back(found->second);
  }
  return out;
}

const Resource& Informer::resource() const { return state_->resource; }

}  // namespace lateen::kube
