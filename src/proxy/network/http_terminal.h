// The end of a network filter chain that speaks HTTP.
#pragma once

#include "proxy/http/config.h"
#include "proxy/network/filter.h"

namespace lateen::proxy {

class HttpTerminal final : public NetworkFilter {
 public:
  explicit HttpTerminal(std::shared_ptr<const HttpConfig> config) : config_(std::move(config)) {}
  void handle(DownstreamConnection& connection, NetworkNext next) const override;
  const std::shared_ptr<const HttpConfig>& config_ref() const { return config_; }

 private:
  std::shared_ptr<const HttpConfig> config_;
};

}  // namespace lateen::proxy
