// The debug pages: /debug/… on ports 8080 and 15014, and over xDS for istioctl. JSON, as upstream's
// tools read it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "discovery/ads.h"
#include "discovery/inject/webhook.h"
#include "http/message.h"

namespace lateen::discovery {

// Answers from the loop's state; one per process, on the loop.
class DebugPages {
 public:
  using State = std::function<std::shared_ptr<const WebhookState>()>;
  DebugPages(Ads& ads, Metrics& metrics, State webhooks)
      : ads_(ads), metrics_(metrics), webhooks_(std::move(webhooks)) {}

  struct Page {
    int status = 200;
    std::string content_type = "application/json";
    std::string body;
  };
  // `target`: "/debug/syncz", "/debug/config_dump?proxyID=…".
  Page get(std::string_view target);
  // The body only; `path` without "/debug/".
  std::string body(std::string_view path) { return get("/debug/" + std::string(path)).body; }

 private:
  Page list() const;
  Page adsz(std::string_view query);
  Page syncz() const;
  Page registryz() const;
  Page endpointz() const;
  Page configz() const;
  Page config_dump(std::string_view query);
  Page ndsz(std::string_view query);
  Page edsz(std::string_view query);
  Page authorizationz() const;
  Page push_status() const;
  Page injection() const;

  Ads& ads_;
  Metrics& metrics_;
  State webhooks_;
};

// /ready, /version, /metrics, /debug/…: the plain HTTP ports.
class DebugService final : public http::Service {
 public:
  // All outlive it.
  DebugService(DebugPages& pages, Ads& ads, Metrics& metrics)
      : pages_(pages), ads_(ads), metrics_(metrics) {}
  void handle(http::Exchange& exchange, http::Request request, http::Done done) override;

 private:
  DebugPages& pages_;
  Ads& ads_;
  Metrics& metrics_;
};

}  // namespace lateen::discovery
