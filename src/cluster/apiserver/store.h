// The state of the cluster: an append-only log of revisions in SQLite (a row id is the
// resourceVersion), and all current objects in memory, from which reads and lists are answered. One
// writer at a time; every change reaches every watcher of its bucket exactly once and in order,
// starting from any revision that is still kept.
//
// A bucket is one resource across its versions: "apps/deployments", "/pods". Thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "data/json.h"
#include "kube/object.h"
#include "sql/database.h"

namespace lateen::cluster::apiserver {

// An object as stored, with its JSON text; metadata.resourceVersion is `revision`.
struct StoredObject {
  data::Json value;
  std::string text;
  std::int64_t revision = 0;
  kube::Key key;
};
using StoredPtr = std::shared_ptr<const StoredObject>;

struct StoreEvent {
  enum class Type : unsigned char { kAdded, kModified, kDeleted };
  Type type;
  StoredPtr object;    // for kDeleted: the last state, under the revision of the deletion
  StoredPtr previous;  // null for kAdded
  std::int64_t revision;
  // Encodings made so far, shared by all watchers: (kind of encoding, bytes).
  struct Encodings {
    std::mutex mutex;
    std::vector<std::pair<std::string, std::shared_ptr<const std::string>>> made;
  };
  std::shared_ptr<Encodings> encodings = std::make_shared<Encodings>();
};
using EventPtr = std::shared_ptr<const StoreEvent>;

// Told about each change of one bucket, in order, from inside the store's lock: must be quick and
// not call the store.
class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual void notify(const EventPtr& event) = 0;
};

struct StoreOptions {
  std::int64_t kept_revisions = 10'000;
  // Events kept in memory for watches that start a little late; older ones are read from the log.
  std::size_t recent_events = 2'000;
  std::size_t recent_bytes = 2u << 20;  // of JSON text
};

class Store {
 public:
  static Result<std::unique_ptr<Store>> open(const std::string& path, StoreOptions options = {});
  ~Store();

  StoredPtr get(std::string_view bucket, const kube::Key& key) const;
  struct Listing {
    std::vector<StoredPtr> items;  // by namespace, then name
    std::int64_t revision = 0;
  };
  // `ns` empty: all.
  Listing list(std::string_view bucket, std::string_view ns = {}) const;
  // As it was at `revision`, read from the log; kOutOfRange when that is compacted away.
  Result<Listing> list_at(std::string_view bucket, std::string_view ns, std::int64_t revision);
  std::int64_t revision() const;
  std::int64_t compacted_revision() const;
  std::size_t count(std::string_view bucket) const;

  // Writes stamp metadata.resourceVersion. create: kAlreadyExists. update and remove: kNotFound,
  // and kAborted when the stored revision is not `expected` (0: any). A full disk is
  // kResourceExhausted and changes nothing.
  Result<StoredPtr> create(std::string_view bucket, const kube::Key& key, data::Json value);
  Result<StoredPtr> update(std::string_view bucket, const kube::Key& key, data::Json value,
                           std::int64_t expected);
  // `last` is what watchers see as the deleted object; null: as stored.
  Result<StoredPtr> remove(std::string_view bucket, const kube::Key& key, std::int64_t expected,
                           const data::Json* last = nullptr);

  // Registers `watcher` and first tells it everything after `from`; kOutOfRange when `from` is
  // compacted away.
  Result<> watch_from(std::string_view bucket, std::int64_t from, std::shared_ptr<Watcher> watcher);
  // Registers `watcher` for what comes after the returned listing.
  Listing watch_now(std::string_view bucket, std::string_view ns, std::shared_ptr<Watcher> watcher);
  void unwatch(std::string_view bucket, const Watcher* watcher);

  // Drops superseded revisions older than the newest `kept_revisions`. Also runs by itself every so
  // many writes.
  Result<> compact();

 private:
  struct Bucket {
    std::map<kube::Key, StoredPtr> objects;
    std::vector<std::shared_ptr<Watcher>> watchers;
  };
  explicit Store(StoreOptions options) : options_(options) {}
  Result<> load();
  Result<> append(std::string_view bucket, const kube::Key& key, StoreEvent::Type type,
                  std::int64_t previous, const StoredObject& object);
  void publish(std::string_view bucket_name, Bucket& bucket, StoreEvent::Type type,
               StoredPtr object, StoredPtr previous);
  Result<> replay(std::string_view bucket, std::int64_t from, Watcher& watcher);
  Result<StoredPtr> revision_object(std::int64_t revision);
  Bucket& bucket(std::string_view name);
  StoredPtr stamp(const kube::Key& key, data::Json value) const;
  Result<> compact_locked();

  StoreOptions options_;
  mutable std::mutex mutex_;
  std::unique_ptr<sql::Database> db_;
  sql::Statement insert_;
  std::unordered_map<std::string, Bucket, StringHash, std::equal_to<>> buckets_;
  std::int64_t last_ = 0;
  std::int64_t compacted_ = 0;
  std::int64_t writes_since_compaction_ = 0;
  std::deque<std::pair<std::string, EventPtr>> recent_;  // consecutive revisions, newest last
  std::size_t recent_bytes_ = 0;
};

}  // namespace lateen::cluster::apiserver
