// Relays the proxy's aggregated discovery streams to the control plane, adding the workload's
// token. Messages pass unread, apart from name tables (NDS) that the agent itself subscribes to
// when it answers DNS. Lives on the loop.
#pragma once

#include <list>
#include <memory>

#include "agent/options.h"
#include "agent/upstream.h"
#include "grpc/server.h"

namespace lateen::agent {

class AdsRelay {
 public:
  // All references outlive us.
  AdsRelay(event::Loop& loop, const Options& options, Upstream& upstream)
      : loop_(loop), options_(options), upstream_(upstream) {}
  void register_on(grpc::Service& service);
  bool is_connected() const { return connected_ > 0; }

 private:
  class Stream;
  event::Loop& loop_;
  const Options& options_;
  Upstream& upstream_;
  int connected_ = 0;
};

}  // namespace lateen::agent
