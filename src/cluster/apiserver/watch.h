// A watch: store events filtered by namespace and selectors, encoded once per form, with bookmarks
// and a time limit.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "cluster/apiserver/encode.h"
#include "cluster/apiserver/store.h"
#include "kube/selector.h"

namespace lateen::cluster::apiserver {

// What a list or watch is narrowed to.
struct Filter {
  std::string ns;  // empty: all
  kube::LabelSelector labels = kube::LabelSelector::everything();
  kube::FieldSelector fields;
  bool matches(const StoredObject& object) const;
  bool is_everything() const { return labels.is_everything() && fields.is_everything(); }
};

struct WatchOptions {
  bool has_bookmarks = false;
  bool wants_initial_end = false;    // sendInitialEvents: a bookmark after the initial ADDED events
  std::optional<std::int64_t> from;  // nullopt: start with the current objects as ADDED
  bool skips_initial = false;        // from "now" without the current objects
  std::chrono::seconds limit{1800};
};

class WatchQueue;

class WatchStream final : public ByteStream {
 public:
  // Fails with 410 when `from` is gone. `store` and `clock` outlive the stream.
  static Outcome<std::unique_ptr<WatchStream>> open(Store& store, const Clock& clock, TypePtr type,
                                                    Encoder encoder, Filter filter,
                                                    WatchOptions options);
  ~WatchStream() override;
  Taken take() override;
  void on_more(std::function<void()> wake) override;
  milliseconds tick_interval() const override;

 private:
  WatchStream(Store& store, const Clock& clock, TypePtr type, Encoder encoder, Filter filter,
              WatchOptions options);
  void append_event(const StoreEvent& event, std::string& into);
  void append_line(const StoreEvent& event, std::string_view type, const StoredObject& object,
                   std::string& into);

  Store& store_;
  const Clock& clock_;
  TypePtr type_;
  Encoder encoder_;
  Filter filter_;
  WatchOptions options_;
  std::shared_ptr<WatchQueue> queue_;
  std::vector<StoredPtr> initial_;
  std::int64_t initial_revision_ = 0;
  bool is_initial_sent_ = false;
  SteadyTime ends_;
  SteadyTime next_bookmark_;
  std::int64_t last_sent_ = 0;
};

}  // namespace lateen::cluster::apiserver
