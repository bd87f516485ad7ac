// Records core/v1 Events about objects, without making anyone wait: a bounded queue and one writer
// thread. Equal events become one with a count, as kubectl describe shows ("x5 over 2m").
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "kube/client.h"

namespace lateen::kube {

class EventRecorder {
 public:
  enum class Type : unsigned char { kNormal, kWarning };

  // `component` is the source ("deployment-controller"). `client` and `clock` outlive the recorder.
  EventRecorder(Client& client, const Clock& clock, std::string component, std::string host = {});
  ~EventRecorder();  // writes what is queued, then joins

  // Thread-safe. `object` needs apiVersion, kind and metadata. `field_path` such as
  // "spec.containers{web}".
  void record(const Json& object, Type type, std::string_view reason, std::string_view message,
              std::string_view field_path = {});
  // Events lost because the queue was full.
  std::uint64_t dropped() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lateen::kube
