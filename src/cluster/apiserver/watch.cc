// See watch.h. The queue is filled inside the store's lock; filtering and encoding happen on the
// consumer's thread.
#include "cluster/apiserver/watch.h"

#include <fmt/format.h>

namespace lateen::cluster::apiserver {

bool Filter::matches(const StoredObject& object) const {
  if (!ns.empty() && object.key.ns != ns) return false;
  if (!labels.is_everything() && !labels.matches(kube::labels_of(object.value))) return false;
  return fields.is_everything() || fields.matches(object.value);
}

// Bounded: a consumer that falls this far behind is cut off and lists again.
class WatchQueue final : public Watcher {
 public:
  static constexpr std::size_t kMostEvents = 20'000;

  void notify(const EventPtr& event) override {
    std::function<void()> wake;
    {
      std::lock_guard lock(mutex_);
      if (events_.size() >= kMostEvents) {
        is_overrun_ = true;
      } else {
        events_.push_back(event);
      }
      wake = wake_;
    }
    if (wake) wake();
  }
  std::deque<EventPtr> drain(std::size_t most) {
    std::lock_guard lock(mutex_);
    std::deque<EventPtr> taken;
    if (events_.size() <= most) {
      taken.swap(events_);
    } else {
      taken.assign(events_.begin(), events_.begin() + static_cast<std::ptrdiff_t>(most));
      events_.erase(events_.begin(), events_.begin() + static_cast<std::ptrdiff_t>(most));
    }
    return taken;
  }
  bool is_overrun() {
    std::lock_guard lock(mutex_);
    return is_overrun_;
  }
  bool is_empty() {
    std::lock_guard lock(mutex_);
    return events_.empty();
  }
  void set_wake(std::function<void()> wake) {
    std::lock_guard lock(mutex_);
    wake_ = std::move(wake);
  }

 private:
  std::mutex mutex_;
  std::deque<EventPtr> events_;
  bool is_overrun_ = false;
  std::function<void()> wake_;
};

namespace {
constexpr auto kBookmarkInterval = seconds(55);
// One comes this long before the end, so that the client goes on from there.
constexpr auto kLastBookmark = seconds(2);
constexpr std::size_t kEventsPerTake = 500;
}  // namespace

WatchStream::WatchStream(Store& store, const Clock& clock, TypePtr type, Encoder encoder,
                         Filter filter, WatchOptions options)
    : store_(store),
      clock_(clock),
      type_(std::move(type)),
      encoder_(std::move(encoder)),
      filter_(std::move(filter)),
      options_(options),
      queue_(std::make_shared<WatchQueue>()) {
  const auto now = clock_.steady();
  ends_ = now + options_.limit;
  next_bookmark_ = now + kBookmarkInterval;
  if (ends_ - kLastBookmark > now) next_bookmark_ = std::min(next_bookmark_, ends_ - kLastBookmark);
}

WatchStream::~WatchStream() {
  queue_->set_wake(nullptr);
  store_.unwatch(type_->bucket, queue_.get());
}

Outcome<std::unique_ptr<WatchStream>> WatchStream::open(Store& store, const Clock& clock,
                                                        TypePtr type, Encoder encoder,
                                                        Filter filter, WatchOptions options) {
  std::unique_ptr<WatchStream> stream(
      new WatchStream(store, clock, type, std::move(encoder), std::move(filter), options));
  if (options.from) {
    TRY(store.watch_from(type->bucket, *options.from, stream->queue_));
    stream->is_initial_sent_ = true;
    stream->last_sent_ = *options.from;
    return stream;
  }
  auto listing = store.watch_now(type->bucket, stream->filter_.ns, stream->queue_);
  stream->initial_revision_ = listing.revision;
  if (!options.skips_initial) stream->initial_ = std::move(listing.items);
  return stream;
}

void WatchStream::on_more(std::function<void()> wake) { queue_->set_wake(std::move(wake)); }

milliseconds WatchStream::tick_interval() const {
  const auto due = options_.has_bookmarks ? std::min(ends_, next_bookmark_) : ends_;
  return std::max(std::chrono::ceil<milliseconds>(due - clock_.steady()), milliseconds(10));
}

ByteStream::Taken WatchStream::take() {
  Taken taken;
  if (!is_initial_sent_) {
    is_initial_sent_ = true;
    for (const auto& object : initial_) {
      if (filter_.matches(*object)) taken.bytes += encoder_.event("ADDED", *object);
    }
    initial_.clear();
    last_sent_ = initial_revision_;
    if (options_.wants_initial_end) taken.bytes += encoder_.bookmark(initial_revision_, true);
    return taken;
  }
  for (const auto& event : queue_->drain(kEventsPerTake)) {
    append_event(*event, taken.bytes);
    last_sent_ = event->revision;
  }
  const auto now = clock_.steady();
  if (options_.has_bookmarks && now >= next_bookmark_) {
    next_bookmark_ = now + kBookmarkInterval;
    if (ends_ - kLastBookmark > now)
      next_bookmark_ = std::min(next_bookmark_, ends_ - kLastBookmark);
    // Everything up to `revision` has been queued: notify() runs inside the store's lock.
    const std::int64_t revision = store_.revision();
    if (queue_->is_empty()) {
      last_sent_ = std::max(last_sent_, revision);
      taken.bytes += encoder_.bookmark(last_sent_, false);
    }
  }
  taken.is_end = now >= ends_ || queue_->is_overrun();
  return taken;
}

void WatchStream::append_event(const StoreEvent& event, std::string& into) {
  const bool is_new_match = filter_.matches(*event.object);
  const bool is_old_match = event.previous != nullptr ? filter_.matches(*event.previous) : false;
  if (event.type == StoreEvent::Type::kDeleted) {
    if (is_old_match || (event.previous == nullptr && is_new_match)) {
      append_line(event, "DELETED", *event.object, into);
    }
    return;
  }
  if (is_new_match) {
    const bool is_known =
        is_old_match || (event.previous == nullptr && event.type == StoreEvent::Type::kModified);
    append_line(event, is_known ? "MODIFIED" : "ADDED", *event.object, into);
  } else if (is_old_match) {
    append_line(event, "DELETED", *event.object, into);
  }
}

void WatchStream::append_line(const StoreEvent& event, std::string_view type,
                              const StoredObject& object, std::string& into) {
  const std::string key = fmt::format("{}|{}", type, encoder_.cache_key());
  std::lock_guard lock(event.encodings->mutex);
  for (const auto& [name, bytes] : event.encodings->made) {
    if (name == key) {
      into += *bytes;
      return;
    }
  }
  auto bytes = std::make_shared<const std::string>(encoder_.event(type, object));
  into += *bytes;
  event.encodings->made.emplace_back(key, std::move(bytes));
}

}  // namespace lateen::cluster::apiserver
