// The control port (ControlZ, 9876): log scopes at /scopej as istioctl admin log reads and sets
// them; all else as on the debug ports.
#pragma once

#include "http/message.h"

namespace lateen::discovery {

class ControlService final : public http::Service {
 public:
  // `pages` outlives it.
  explicit ControlService(http::Service& pages) : pages_(pages) {}
  void handle(http::Exchange& exchange, http::Request request, http::Done done) override;

 private:
  http::Service& pages_;
};

}  // namespace lateen::discovery
