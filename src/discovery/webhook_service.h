// Serves the admission webhooks over HTTP. A review is pure computation of well under a
// millisecond, so it runs on the loop.
#pragma once

#include <functional>
#include <memory>

#include "discovery/inject/webhook.h"
#include "http/message.h"

namespace lateen::discovery {

class WebhookService final : public http::Service {
 public:
  static constexpr std::size_t kMostBytes = 8u << 20;  // of a review
  using State = std::function<std::shared_ptr<const WebhookState>()>;
  WebhookService(State state, Metrics& metrics) : state_(std::move(state)), metrics_(metrics) {}
  void handle(http::Exchange& exchange, http::Request request, http::Done done) override;

 private:
  State state_;
  Metrics& metrics_;
};

}  // namespace lateen::discovery
