// Bodies on their way through the proxy: counted, and kept for a second try.
#pragma once

#include <memory>

#include "http/message.h"

namespace lateen::proxy {

struct HttpState;

http::Body count_request(HttpState& stream, http::Body body);
http::Body count_response(HttpState& stream, http::Body body);

// Lets a request body be sent more than once, as long as what was sent fits into `most_bytes`.
class ReplayBody {
 public:
  ReplayBody(http::Body body, std::size_t most_bytes);
  ~ReplayBody();
  bool is_replayable() const;
  // A body that starts from the beginning. Earlier ones must not be read any more.
  http::Body open();

 private:
  struct State;
  class Reader;
  std::shared_ptr<State> state_;
};

}  // namespace lateen::proxy
