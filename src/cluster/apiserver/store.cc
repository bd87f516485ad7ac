// See store.h. The lock order is simple: one mutex; watchers are told inside it, which is what
// makes fan-out gap-free.
#include "cluster/apiserver/store.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"

namespace lateen::cluster::apiserver {
namespace {

using data::Json;

constexpr std::string_view kSchema = R"(
CREATE TABLE revisions (
  id INTEGER PRIMARY KEY,      -- the resourceVersion
  bucket TEXT NOT NULL,
  ns TEXT NOT NULL,
  name TEXT NOT NULL,
  type INTEGER NOT NULL,       -- 0 added, 1 modified, 2 deleted
  previous INTEGER NOT NULL,   -- id of the revision this one replaces; 0 for none
  value TEXT NOT NULL);
CREATE INDEX revisions_by_key ON revisions (bucket, ns, name, id);
CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT INTO facts VALUES ('compacted', 0);
)";

StoredPtr parse_stored(std::int64_t revision, kube::Key key, std::string_view text) {
  auto parsed = data::parse_json(text);
  if (!parsed.ok()) return nullptr;
  auto object = std::make_shared<StoredObject>();
  object->value = std::move(*parsed);
  object->text = text;
  object->revision = revision;
  object->key = std::move(key);
  return object;
}

}  // namespace

Result<std::unique_ptr<Store>> Store::open(const std::string& path, StoreOptions options) {
  std::unique_ptr<Store> store(new Store(options));
  sql::DatabaseOptions database;
  database.schema_version = 1;
  database.schema = kSchema;
  database.is_exclusive = true;
  store->db_ = TRY(sql::Database::open(path, database));
  TRY(store->load().at("loading the cluster's state"));
  store->insert_ =
      TRY(store->db_->prepare("INSERT INTO revisions (id, bucket, ns, name, type, previous, value) "
                              "VALUES (?,?,?,?,?,?,?)"));
  return store;
}

Store::~Store() {
  insert_ = sql::Statement();
  if (db_ != nullptr) db_->checkpoint();
}

Result<> Store::load() {
  {
    auto query = TRY(db_->prepare("SELECT value FROM facts WHERE name = 'compacted'"));
    if (TRY(query.step())) compacted_ = query.integer(0);
  }
  auto query =
      TRY(db_->prepare("SELECT r.id, r.bucket, r.ns, r.name, r.type, r.value FROM revisions r JOIN "
                       "(SELECT max(id) AS id FROM revisions GROUP BY bucket, ns, name) newest ON "
                       "r.id = newest.id"));
  while (TRY(query.step())) {
    const std::int64_t id = query.integer(0);
    last_ = std::max(last_, id);
    if (query.integer(4) == static_cast<int>(StoreEvent::Type::kDeleted)) continue;
    kube::Key key{std::string(query.text(2)), std::string(query.text(3))};
    StoredPtr object = parse_stored(id, key, query.text(5));
    if (object == nullptr) {
      return Error(Code::kDataLoss,
                   fmt::format("revision {} ({} {}) is not JSON: the file is damaged", id,
                               query.text(1), key.to_string()));
    }
    bucket(query.text(1)).objects.emplace(std::move(key), std::move(object));
  }
  last_ = std::max(last_, compacted_);
  if (last_ == 0)
    last_ = 1;  // A resourceVersion of 0 means "any": the first list must not show it.
  return {};
}

Store::Bucket& Store::bucket(std::string_view name) {
  auto found = buckets_.find(name);
  if (found == buckets_.end()) found = buckets_.emplace(std::string(name), Bucket{}).first;
  return found->second;
}

StoredPtr Store::get(std::string_view bucket, const kube::Key& key) const {
  std::lock_guard lock(mutex_);
  const auto found = buckets_.find(bucket);
  if (found == buckets_.end()) return nullptr;
  const auto object = found->second.objects.find(key);
  return object == found->second.objects.end() ? nullptr : object->second;
}

namespace {
template <typename Objects>
void collect(const Objects& objects, std::string_view ns, std::vector<StoredPtr>& into) {
  if (ns.empty()) {
    into.reserve(objects.size());
    for (const auto& [key, object] : objects) into.push_back(object);
    return;
  }
  for (auto at = objects.lower_bound(kube::Key{std::string(ns), ""});
       at != objects.end() && at->first.ns == ns; ++at) {
    into.push_back(at->second);
  }
}
}  // namespace

Store::Listing Store::list(std::string_view bucket, std::string_view ns) const {
  Listing listing;
  std::lock_guard lock(mutex_);
  listing.revision = last_;
  const auto found = buckets_.find(bucket);
  if (found != buckets_.end()) collect(found->second.objects, ns, listing.items);
  return listing;
}

Result<Store::Listing> Store::list_at(std::string_view bucket, std::string_view ns,
                                      std::int64_t revision) {
  std::lock_guard lock(mutex_);
  if (revision < compacted_)
    return Error(Code::kOutOfRange, fmt::format("revision {} is compacted away", revision));
  Listing listing;
  listing.revision = revision;
  auto query =
      TRY(db_->prepare("SELECT r.id, r.ns, r.name, r.type, r.value FROM revisions r JOIN "
                       "(SELECT max(id) AS id FROM revisions WHERE bucket = ?1 AND id <= ?2 "
                       "AND (?3 = '' OR ns = ?3) GROUP BY ns, name) newest ON r.id = newest.id "
                       "ORDER BY r.ns, r.name"));
  query.bind(1, bucket);
  query.bind(2, revision);
  query.bind(3, ns);
  while (TRY(query.step())) {
    if (query.integer(3) == static_cast<int>(StoreEvent::Type::kDeleted)) continue;
    kube::Key key{std::string(query.text(1)), std::string(query.text(2))};
    StoredPtr object = parse_stored(query.integer(0), std::move(key), query.text(4));
    if (object == nullptr)
      return Error(Code::kDataLoss, fmt::format("revision {} is not JSON", query.integer(0)));
    listing.items.push_back(std::move(object));
  }
  return listing;
}

std::int64_t Store::revision() const {
  std::lock_guard lock(mutex_);
  return last_;
}
std::int64_t Store::compacted_revision() const {
  std::lock_guard lock(mutex_);
  return compacted_;
}
std::size_t Store::count(std::string_view bucket) const {
  std::lock_guard lock(mutex_);
  const auto found = buckets_.find(bucket);
  return found == buckets_.end() ? 0 : found->second.objects.size();
}

StoredPtr Store::stamp(const kube::Key& key, Json value) const {
  auto object = std::make_shared<StoredObject>();
  object->revision = last_ + 1;
  object->key = key;
  data::set(value, {"metadata", "resourceVersion"}, Json(fmt::format("{}", object->revision)));
  object->text = data::dump_json(value);
  object->value = std::move(value);
  return object;
}

Result<> Store::append(std::string_view bucket, const kube::Key& key, StoreEvent::Type type,
                       std::int64_t previous, const StoredObject& object) {
  insert_.bind(1, object.revision);
  insert_.bind(2, bucket);
  insert_.bind(3, key.ns);
  insert_.bind(4, key.name);
  insert_.bind(5, static_cast<std::int64_t>(type));
  insert_.bind(6, previous);
  insert_.bind(7, object.text);
  return insert_.run();
}

void Store::publish(std::string_view bucket_name, Bucket& bucket, StoreEvent::Type type,
                    StoredPtr object, StoredPtr previous) {
  last_ = object->revision;
  auto event = std::make_shared<StoreEvent>();
  event->type = type;
  event->revision = object->revision;
  event->object = std::move(object);
  event->previous = std::move(previous);
  recent_.emplace_back(std::string(bucket_name), event);
  recent_bytes_ += event->object->text.size();
  while (recent_.size() > options_.recent_events ||
         (recent_bytes_ > options_.recent_bytes && recent_.size() > 1)) {
    recent_bytes_ -= recent_.front().second->object->text.size();
    recent_.pop_front();
  }
  for (const auto& watcher : bucket.watchers) watcher->notify(event);
  if (++writes_since_compaction_ >= std::max<std::int64_t>(options_.kept_revisions / 4, 100)) {
    writes_since_compaction_ = 0;
    if (auto done = compact_locked(); !done.ok()) {
      LOG(kWarn, "store", "compaction failed, will try again later: {}", done.error().message());
    }
  }
}

Result<StoredPtr> Store::create(std::string_view bucket_name, const kube::Key& key, Json value) {
  std::lock_guard lock(mutex_);
  Bucket& in = bucket(bucket_name);
  if (in.objects.contains(key)) {
    return Error(Code::kAlreadyExists,
                 fmt::format("{} {} already exists", bucket_name, key.to_string()));
  }
  StoredPtr object = stamp(key, std::move(value));
  TRY(append(bucket_name, key, StoreEvent::Type::kAdded, 0, *object));
  in.objects.emplace(key, object);
  publish(bucket_name, in, StoreEvent::Type::kAdded, object, nullptr);
  return object;
}

Result<StoredPtr> Store::update(std::string_view bucket_name, const kube::Key& key, Json value,
                                std::int64_t expected) {
  std::lock_guard lock(mutex_);
  Bucket& in = bucket(bucket_name);
  const auto found = in.objects.find(key);
  if (found == in.objects.end()) {
    return not_found(fmt::format("{} {} not found", bucket_name, key.to_string()));
  }
  StoredPtr previous = found->second;
  if (expected != 0 && previous->revision != expected) {
    return Error(Code::kAborted, fmt::format("{} {} has changed", bucket_name, key.to_string()));
  }
  StoredPtr object = stamp(key, std::move(value));
  TRY(append(bucket_name, key, StoreEvent::Type::kModified, previous->revision, *object));
  found->second = object;
  publish(bucket_name, in, StoreEvent::Type::kModified, object, std::move(previous));
  return object;
}

Result<StoredPtr> Store::remove(std::string_view bucket_name, const kube::Key& key,
                                std::int64_t expected, const Json* last) {
  std::lock_guard lock(mutex_);
  Bucket& in = bucket(bucket_name);
  const auto found = in.objects.find(key);
  if (found == in.objects.end()) {
    return not_found(fmt::format("{} {} not found", bucket_name, key.to_string()));
  }
  StoredPtr previous = found->second;
  if (expected != 0 && previous->revision != expected) {
    return Error(Code::kAborted, fmt::format("{} {} has changed", bucket_name, key.to_string()));
  }
  StoredPtr object = stamp(key, last != nullptr ? *last : previous->value);
  TRY(append(bucket_name, key, StoreEvent::Type::kDeleted, previous->revision, *object));
  in.objects.erase(found);
  publish(bucket_name, in, StoreEvent::Type::kDeleted, object, std::move(previous));
  return object;
}

Result<> Store::watch_from(std::string_view bucket_name, std::int64_t from,
                           std::shared_ptr<Watcher> watcher) {
  std::lock_guard lock(mutex_);
  if (from < compacted_) {
    return Error(Code::kOutOfRange,
                 fmt::format("too old resource version: {} ({})", from, compacted_));
  }
  const std::int64_t oldest = recent_.empty() ? last_ + 1 : recent_.front().second->revision;
  if (from + 1 < oldest) {
    TRY(replay(bucket_name, from, *watcher));
  } else {
    for (const auto& [name, event] : recent_) {
      if (event->revision > from && name == bucket_name) watcher->notify(event);
    }
  }
  bucket(bucket_name).watchers.push_back(std::move(watcher));
  return {};
}

Store::Listing Store::watch_now(std::string_view bucket_name, std::string_view ns,
                                std::shared_ptr<Watcher> watcher) {
  Listing listing;
  std::lock_guard lock(mutex_);
  listing.revision = last_;
  Bucket& in = bucket(bucket_name);
  collect(in.objects, ns, listing.items);
  in.watchers.push_back(std::move(watcher));
  return listing;
}

void Store::unwatch(std::string_view bucket_name, const Watcher* watcher) {
  std::lock_guard lock(mutex_);
  std::erase_if(bucket(bucket_name).watchers,
                [&](const auto& one) { return one.get() == watcher; });
}

Result<StoredPtr> Store::revision_object(std::int64_t revision) {
  auto query = TRY(db_->prepare("SELECT ns, name, value FROM revisions WHERE id = ?"));
  query.bind(1, revision);
  if (!TRY(query.step())) return StoredPtr();
  return parse_stored(revision, {std::string(query.text(0)), std::string(query.text(1))},
                      query.text(2));
}

Result<> Store::replay(std::string_view bucket_name, std::int64_t from, Watcher& watcher) {
  auto query =
      TRY(db_->prepare("SELECT id, ns, name, type, previous, value FROM revisions "
                       "WHERE id > ? AND bucket = ? ORDER BY id"));
  query.bind(1, from);
  query.bind(2, bucket_name);
  while (TRY(query.step())) {
    auto event = std::make_shared<StoreEvent>();
    event->revision = query.integer(0);
    event->type = static_cast<StoreEvent::Type>(query.integer(3));
    event->object = parse_stored(
        event->revision, {std::string(query.text(1)), std::string(query.text(2))}, query.text(5));
    if (event->object == nullptr)
      return internal(fmt::format("revision {} is damaged", event->revision));
    // The revision replaced may be compacted away; the event then counts as one without a former
    // state.
    if (query.integer(4) != 0) event->previous = TRY(revision_object(query.integer(4)));
    watcher.notify(event);
  }
  return {};
}

Result<> Store::compact() {
  std::lock_guard lock(mutex_);
  return compact_locked();
}

Result<> Store::compact_locked() {
  const std::int64_t horizon = last_ - options_.kept_revisions;
  if (horizon <= compacted_) return {};
  TRY(db_->transaction([&]() -> Result<> {
    auto drop =
        TRY(db_->prepare("DELETE FROM revisions WHERE id <= ?1 AND (type = 2 OR EXISTS (SELECT 1 "
                         "FROM revisions newer WHERE "
                         "newer.bucket = revisions.bucket AND newer.ns = revisions.ns AND "
                         "newer.name = revisions.name AND "
                         "newer.id > revisions.id AND newer.id <= ?1))"));
    drop.bind(1, horizon);
    TRY(drop.run());
    auto note = TRY(db_->prepare("UPDATE facts SET value = ? WHERE name = 'compacted'"));
    note.bind(1, horizon);
    return note.run();
  }));
  compacted_ = horizon;
  return {};
}

}  // namespace lateen::cluster::apiserver
