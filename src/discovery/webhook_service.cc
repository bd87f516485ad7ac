#include "discovery/webhook_service.h"

namespace lateen::discovery {

void WebhookService::handle(http::Exchange& exchange, http::Request request, http::Done done) {
  const std::string path(request.path.substr(0, request.path.find('?')));
  const bool is_injection = path == "/inject" || path.starts_with("/inject/");
  const bool is_validation = path == "/validate" || path.starts_with("/validate/");
  if (path == "/ready") {
    return done(http::Response::text(exchange.arena, state_() == nullptr ? 503 : 200, ""));
  }
  if (!is_injection && !is_validation) {
    return done(http::Response::text(exchange.arena, 404, "404 page not found\n"));
  }
  if (request.method != "POST") {
    return done(http::Response::text(exchange.arena, 405, "send an AdmissionReview with POST\n"));
  }
  http::read_all(
      exchange.scope, exchange.loop, std::move(request.body), kMostBytes,
      [this, &exchange, path, is_injection, done = std::move(done)](Result<Buffer> body) {
        if (!body.ok()) return done(std::move(body).error());
        const auto state = state_();
        if (state == nullptr) {
          return done(http::Response::text(exchange.arena, 503, "not ready yet\n"));
        }
        const std::string bytes = body->to_string();
        auto answer = is_injection ? review_injection(*state, path, bytes, metrics_)
                                   : review_config(bytes, metrics_);
        if (!answer.ok()) {
          return done(http::Response::text(exchange.arena, 400, answer.error().message() + "\n"));
        }
        done(http::Response::text(exchange.arena, 200, *std::move(answer), "application/json"));
      });
}

}  // namespace lateen::discovery
