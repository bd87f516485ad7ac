// Informer: a local, always current copy of one resource (list, then watch, from the last bookmark;
// list again on 410). WorkQueue and run_reconciler: the level-based controller loop over it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/function.h"
#include "kube/client.h"

namespace lateen::kube {

using ObjectPtr = std::shared_ptr<const Json>;

struct Change {
  ObjectPtr before;  // null: added
  ObjectPtr after;   // null: deleted
  const Json& object() const { return after != nullptr ? *after : *before; }
};

// Runs two threads: one reads the watch, one (the informer's) applies it and calls back. All
// members are thread-safe.
class Informer {
 public:
  // `client` outlives the informer. `ns` empty: all namespaces.
  Informer(Client& client, Resource resource, std::string ns = {}, ListOptions options = {});
  ~Informer();  // stops the watch and joins
  // Asks the threads to end without waiting for them: many informers then end in the time of one.
  void begin_stop();

  // Called on the informer's thread for each change, in order; the cache already shows `after` or
  // what came later. Set before start().
  void on_change(Function<void(const Change&)> callback);
  // Keeps only part of each object (to save memory); runs on the reading thread. metadata must
  // stay. Set before start().
  void on_read(Function<void(Json&)> shrink);
  // Callbacks run on the transport's reading thread and must not block: saves a thread. Set before
  // start().
  void apply_inline();
  void start();
  bool has_synced() const;
  // Waits for the first list; false when `limit` passed.
  bool wait_synced(milliseconds limit);

  // Reading your own writes: shows an object this process just wrote (the server's answer) before
  // its watch event arrives. Callbacks still run when the event comes. Older objects than the
  // cached one are ignored.
  void observe(const Json& written);
  // Shows the object as being deleted (deletionTimestamp) until the server says more.
  void observe_removal(const Key& key);

  ObjectPtr find(const Key& key) const;
  std::vector<ObjectPtr> list(std::string_view ns = {}) const;
  // Objects whose controller owner has this uid.
  std::vector<ObjectPtr> owned_by(std::string_view uid) const;
  const Resource& resource() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// When to look at a key again.
struct Requeue {
  std::optional<milliseconds> delay;
  static Requeue no() { return {}; }
  static Requeue after(milliseconds delay) { return {delay}; }
};

// Keys waiting for a worker: each at most once, never two workers on one key, errors backed off
// (5 ms doubling to 1000 s with client-go; here to 30 s). Thread-safe.
class WorkQueue {
 public:
  void add(Key key);
  void add_after(Key key, milliseconds delay);
  // Blocks; nullopt once stop() was called.
  std::optional<Key> take();
  void finish(const Key& key);  // clears its back-off
  void fail(const Key& key);    // adds it again after its back-off
  void stop();

 private:
  struct Delayed {
    std::chrono::steady_clock::time_point due;
    Key key;
    bool operator<(const Delayed& other) const {
      return due != other.due ? due < other.due : key < other.key;
    }
  };
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Key> ready_;
  std::set<Key> waiting_;  // in ready_
  std::set<Key> busy_;
  std::set<Key> again_;  // added while busy
  std::set<Delayed> delayed_;
  std::map<Key, int> failures_;
  bool is_stopped_ = false;
};

// `workers` threads that take keys and reconcile them. Errors are logged with `name` and retried
// with back-off.
class ReconcileLoop {
 public:
  ReconcileLoop(std::string name, int workers, Function<Result<Requeue>(const Key&)> reconcile);
  ~ReconcileLoop();  // stops and joins
  WorkQueue& queue() { return queue_; }
  void start();
  void stop();  // joins; idempotent

 private:
  void work();
  std::string name_;
  int workers_;
  Function<Result<Requeue>(const Key&)> reconcile_;
  WorkQueue queue_;
  std::vector<std::thread> threads_;
};

}  // namespace lateen::kube
