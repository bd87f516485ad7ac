// The store against a real file: optimistic concurrency, gap-free watches, reopening, compaction.
#include "cluster/apiserver/store.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace lateen::cluster::apiserver {
namespace {

using data::Json;
using data::JsonObject;

class Recorder final : public Watcher {
 public:
  void notify(const EventPtr& event) override { events.push_back(event); }
  std::vector<std::int64_t> revisions() const {
    std::vector<std::int64_t> made;
    for (const auto& event : events) made.push_back(event->revision);
    return made;
  }
  std::vector<EventPtr> events;
};

class StoreTest : public testing::Test {
 protected:
  StoreTest() {
    char name[] = "/tmp/lateen-store-XXXXXX";
    directory_ = mkdtemp(name);
    open();
  }
  ~StoreTest() override {
    store_ = nullptr;
    std::filesystem::remove_all(directory_);
  }
  void open(StoreOptions options = {}) {
    store_ = nullptr;
    auto opened = Store::open(directory_ + "/state.db", options);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    store_ = std::move(*opened);
  }
  static Json object(std::string_view name, int value) {
    return JsonObject{{"metadata", JsonObject{{"name", name}, {"namespace", "ns"}}},
                      {"value", value}};
  }
  StoredPtr put(std::string_view name, int value) {
    const kube::Key key{"ns", std::string(name)};
    auto stored = store_->get("b", key) == nullptr
                      ? store_->create("b", key, object(name, value))
                      : store_->update("b", key, object(name, value), 0);
    EXPECT_TRUE(stored.ok());
    return *stored;
  }

  std::string directory_;
  std::unique_ptr<Store> store_;
};

TEST_F(StoreTest, StampsRevisionsAndRefusesStaleWrites) {
  const auto first = put("a", 1);
  EXPECT_EQ(data::get_string(first->value, {"metadata", "resourceVersion"}),
            std::to_string(first->revision));
  auto again = store_->create("b", {"ns", "a"}, object("a", 2));
  EXPECT_EQ(again.error().code(), Code::kAlreadyExists);
  const auto second = store_->update("b", {"ns", "a"}, object("a", 2), first->revision);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(store_->update("b", {"ns", "a"}, object("a", 3), first->revision).error().code(),
            Code::kAborted);
  EXPECT_EQ(store_->remove("b", {"ns", "a"}, first->revision).error().code(), Code::kAborted);
  EXPECT_TRUE(store_->remove("b", {"ns", "a"}, (*second)->revision).ok());
  EXPECT_EQ(store_->remove("b", {"ns", "a"}, 0).error().code(), Code::kNotFound);
}

TEST_F(StoreTest, ReopensWithWhatWasAcknowledged) {
  put("a", 1);
  put("a", 2);
  put("gone", 1);
  ASSERT_TRUE(store_->remove("b", {"ns", "gone"}, 0).ok());
  const auto revision = store_->revision();
  open();
  EXPECT_EQ(store_->revision(), revision);
  ASSERT_NE(store_->get("b", {"ns", "a"}), nullptr);
  EXPECT_EQ(data::get_int(store_->get("b", {"ns", "a"})->value, {"value"}), 2);
  EXPECT_EQ(store_->get("b", {"ns", "gone"}), nullptr);
}

TEST_F(StoreTest, WatchSeesEverythingAfterItsRevisionOnceAndInOrder) {
  const auto start = store_->revision();
  put("a", 1);
  put("a", 2);
  auto watcher = std::make_shared<Recorder>();
  ASSERT_TRUE(store_->watch_from("b", start, watcher).ok());
  put("b", 1);
  ASSERT_TRUE(store_->remove("b", {"ns", "a"}, 0).ok());
  EXPECT_EQ(watcher->revisions(),
            (std::vector<std::int64_t>{start + 1, start + 2, start + 3, start + 4}));
  EXPECT_EQ(watcher->events[1]->type, StoreEvent::Type::kModified);
  EXPECT_EQ(data::get_int(watcher->events[1]->previous->value, {"value"}), 1);
  EXPECT_EQ(watcher->events[3]->type, StoreEvent::Type::kDeleted);
  store_->unwatch("b", watcher.get());
  put("c", 1);
  EXPECT_EQ(watcher->events.size(), 4u);
}

TEST_F(StoreTest, WatchReplaysFromTheLogAfterReopening) {
  const auto start = store_->revision();
  put("a", 1);
  put("a", 2);
  ASSERT_TRUE(store_->remove("b", {"ns", "a"}, 0).ok());
  open();
  auto watcher = std::make_shared<Recorder>();
  ASSERT_TRUE(store_->watch_from("b", start, watcher).ok());
  EXPECT_EQ(watcher->revisions(), (std::vector<std::int64_t>{start + 1, start + 2, start + 3}));
  EXPECT_EQ(data::get_int(watcher->events[1]->previous->value, {"value"}), 1);
}

TEST_F(StoreTest, CompactionKeepsTheCurrentStateAndRefusesOldWatches) {
  StoreOptions options;
  options.kept_revisions = 5;
  open(options);
  put("old", 7);
  for (int i = 0; i < 20; ++i) put("a", i);
  ASSERT_TRUE(store_->remove("b", {"ns", "a"}, 0).ok());
  for (int i = 0; i < 10; ++i) put("c", i);
  ASSERT_TRUE(store_->compact().ok());
  EXPECT_EQ(store_->compacted_revision(), store_->revision() - 5);
  auto watcher = std::make_shared<Recorder>();
  EXPECT_EQ(store_->watch_from("b", 2, watcher).error().code(), Code::kOutOfRange);
  open(options);
  EXPECT_EQ(data::get_int(store_->get("b", {"ns", "old"})->value, {"value"}), 7);
  EXPECT_EQ(store_->get("b", {"ns", "a"}), nullptr);
  EXPECT_EQ(data::get_int(store_->get("b", {"ns", "c"})->value, {"value"}), 9);
  ASSERT_TRUE(store_->watch_from("b", store_->compacted_revision(), watcher).ok());
  EXPECT_EQ(watcher->events.size(), 5u);
}

TEST_F(StoreTest, ListAndWatchMeetWithoutAGap) {
  put("a", 1);
  auto watcher = std::make_shared<Recorder>();
  const auto listing = store_->watch_now("b", "ns", watcher);
  ASSERT_EQ(listing.items.size(), 1u);
  put("b", 1);
  EXPECT_EQ(watcher->revisions(), (std::vector<std::int64_t>{listing.revision + 1}));
}

TEST_F(StoreTest, ListsWhatWas) {
  open({.kept_revisions = 5, .recent_events = 10});
  const auto put = [&](const std::string& name, int value) {
    const kube::Key key{"ns", name};
    Json object = JsonObject{{"v", value}};
    auto done = store_->get("b", key) == nullptr ? store_->create("b", key, object)
                                                 : store_->update("b", key, object, 0);
    ASSERT_TRUE(done.ok());
  };
  const auto names = [&](std::int64_t revision, std::string_view ns = "") {
    std::string text;
    auto listing = store_->list_at("b", ns, revision);
    if (!listing.ok()) return std::string(to_string(listing.error().code()));
    for (const auto& item : listing->items)
      text += item->key.name + std::to_string(data::get_int(item->value, {"v"})) + " ";
    return text;
  };
  const auto nothing = store_->revision();
  put("a", 1);
  put("b", 1);
  const auto both = store_->revision();
  put("a", 2);
  ASSERT_TRUE(store_->remove("b", {"ns", "b"}, 0).ok());
  EXPECT_EQ(names(nothing), "");
  EXPECT_EQ(names(both), "a1 b1 ");
  EXPECT_EQ(names(both, "other"), "");
  EXPECT_EQ(names(both + 1), "a2 b1 ");
  EXPECT_EQ(names(store_->revision()), "a2 ");
  for (int i = 0; i < 10; ++i) put("c", i);
  ASSERT_TRUE(store_->compact().ok());
  EXPECT_EQ(names(both), to_string(Code::kOutOfRange));
  EXPECT_EQ(names(store_->compacted_revision()), "a2 c4 ");
}

}  // namespace
}  // namespace lateen::cluster::apiserver
