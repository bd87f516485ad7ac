// Writes what the control plane has to say into the status of Ingresses and of the Gateway API's
// objects. One of several replicas does (the leader). One thread.
#pragma once

#include <mutex>

#include "discovery/leader_thread.h"
#include "discovery/translate/translation.h"
#include "kube/client.h"

namespace lateen::discovery {

class StatusWriter {
 public:
  struct Options {
    std::string domain = "cluster.local";
    std::string system_namespace = "istio-system";
  };
  // All outlive it.
  StatusWriter(kube::Client& client, const Clock& clock, Options options);

  // Thread-safe. Objects as the watches bring them, and the services of the newest snapshot.
  void take(const data::Json& object, bool is_removed);
  void note(SnapshotPtr snapshot);
  void set_leading(bool is_leading) { thread_.set_leading(is_leading); }

 private:
  struct Wanted {
    Translation::Key key;
    data::Json status;
  };
  void work();  // a turn
  std::vector<Wanted> wanted(const Translation::Objects& objects,
                             const MeshSnapshot& snapshot) const;
  Result<> write(const Wanted& wanted);

  kube::Client& client_;
  const Clock& clock_;
  Options options_;
  std::mutex mutex_;
  Translation::Objects objects_;
  SnapshotPtr snapshot_;
  std::map<Translation::Key, data::Json> written_;  // only the thread's
  LeaderThread thread_;
};

}  // namespace lateen::discovery
