// Ingest: watches the Kubernetes API, keeps the Store current and publishes snapshots. Changes of
// config are gathered for a moment (debounced), changes of endpoints alone go out at once. Threads:
// one per watched resource, one builder.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "discovery/metrics.h"
#include "discovery/store.h"
#include "kube/informer.h"

namespace lateen::discovery {

class Ingest {
 public:
  struct Options {
    Store::Options store;
    milliseconds debounce_after{10};   // quiet time before a config push
    milliseconds debounce_most{1000};  // however busy it is
    std::string only_namespace;        // "": all
  };
  // Called on the builder's thread.
  using Publish = Function<void(SnapshotPtr snapshot, Impact impact, SteadyTime since)>;
  // Sees every change after the store did, on informer threads.
  using Observer = Function<void(const data::Json& object, bool is_removed)>;

  // `client`, `clock` and `metrics` outlive it.
  Ingest(kube::Client& client, const Clock& clock, Options options, Metrics& metrics,
         Publish publish);
  ~Ingest();

  void on_change(Observer observer) { observer_ = std::move(observer); }
  void start();
  // Core resources are read (Istio's kinds too, where their CRDs exist); false when `limit` passed.
  bool wait_synced(milliseconds limit);
  // Keys of a JWT issuer were fetched. Thread-safe.
  void set_jwks(const std::string& uri, std::string keys);
  std::set<std::string> wanted_jwks() const;

 private:
  void take(const data::Json& object, bool is_removed);
  void note(const Impact& impact);
  void build_loop();

  kube::Client& client_;
  const Clock& clock_;
  Options options_;
  Metrics& metrics_;
  Publish publish_;
  Observer observer_;
  mutable std::mutex mutex_;  // store_ and what waits to be published
  std::condition_variable changed_;
  Store store_;
  Impact pending_;
  SteadyTime first_change_{}, last_change_{};
  bool is_started_ = false;  // snapshots are made from now on
  bool is_stopped_ = false;
  std::uint64_t next_version_ = 1;
  std::vector<std::unique_ptr<kube::Informer>> core_, configs_;
  std::thread builder_;
};

}  // namespace lateen::discovery
