// Events of pods and of the node, written in the background: a slow API server holds nothing up.
// Equal events are counted on one object, as client-go's recorder does.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "base/clock.h"
#include "kube/client.h"

namespace lateen::cluster::node {

class Events {
 public:
  // `client` and `clock` outlive us.
  Events(kube::Client& client, const Clock& clock, std::string component, std::string host);
  ~Events();  // writes what is queued, then joins

  enum class Type : unsigned char { kNormal, kWarning };
  // `field`: the part of the object, "spec.containers{app}"; may be empty. Thread-safe.
  void record(const data::Json& about, Type type, std::string_view reason, std::string message,
              std::string_view field = {});

 private:
  struct Pending {
    data::Json reference;
    Type type;
    std::string reason;
    std::string message;
    WallTime when;
  };
  struct Written {
    kube::Key key;
    int count = 0;
  };
  void work();
  void write(const Pending& event);
  kube::Client& client_;
  const Clock& clock_;
  const std::string component_;
  const std::string host_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Pending> queue_;
  bool is_stopping_ = false;
  std::map<std::string, Written> written_;  // worker thread only
  std::uint64_t next_name_ = 0;
  std::thread thread_;
};

}  // namespace lateen::cluster::node
