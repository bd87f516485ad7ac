// A gRPC stream to a management server that comes back by itself, with an xds::Client on it. Main
// thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "grpc/client.h"
#include "proxy/worker/worker.h"
#include "xds/client.h"

namespace lateen::proxy {

class XdsStream {
 public:
  struct Target {
    std::string cluster;
    std::string path;  // "/package.Service/Method"
    std::string authority;
    grpc::Metadata metadata;
  };
  // `worker` (the main thread's) and `node` outlive us.
  XdsStream(Worker& worker, Target target, xds::Client::Variant variant,
            const envoy::config::core::v3::Node& node, bool is_node_sent_once,
            xds::Client::OnUpdate on_update, std::function<void(bool is_connected)> on_state = {});
  ~XdsStream();
  void start();
  xds::Client& client() { return client_; }

 private:
  void open();
  void reopen_later(std::string_view why);

  Worker& worker_;
  Target target_;
  UpstreamRef upstream_;
  bool is_healthy_ = false;  // a message came on this stream
  milliseconds backoff_{0};
  std::function<void(bool)> on_state_;
  event::Timer retry_;
  std::unique_ptr<grpc::ClientCall> call_;
  xds::Client client_;
};

}  // namespace lateen::proxy
