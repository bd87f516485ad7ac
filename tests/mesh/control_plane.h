// The control plane of a simulated mesh: the real store, snapshots, generators and discovery
// service on one node. Its objects come from the test directly, or (is_watching) through the real
// ingest from an API server in memory, whose threads are waited for.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/json.h"
#include "discovery/ads.h"
#include "discovery/store.h"
#include "grpc/server.h"
#include "http/server.h"
#include "world.h"

namespace lateen::mesh_test {

class ControlPlane {
 public:
  // `node` outlives us.
  ControlPlane(Node& node, bool is_watching);
  ~ControlPlane();

  // What the API server tells of. Published a moment later, all together.
  void put(const data::Json& object);
  void remove(const data::Json& object);
  // Starts to serve, with everything put until now. A watching one blocks until it has read it.
  void start();
  // A watching one blocks until what was put has come through; others publish by their timer.
  void sync();

  // Serves discovery on an accepted connection of the proxy with this identity.
  void accept(std::unique_ptr<net::Stream> stream, std::string spiffe);
  discovery::Ads& ads() { return ads_; }
  discovery::Metrics& metrics() { return metrics_; }
  std::size_t connection_count() const { return connections_.size(); }

 private:
  class ByUri;
  class Watched;
  struct Connection;
  void publish_soon(discovery::Impact impact);
  void publish();

  Node& node_;
  discovery::Metrics metrics_;
  std::unique_ptr<ByUri> authenticator_;
  discovery::Store store_;
  discovery::Impact pending_;
  bool is_started_ = false;
  std::uint64_t version_ = 0;
  discovery::Ads ads_;
  grpc::Service service_;
  event::Timer timer_;
  std::unique_ptr<Watched> watched_;
  std::map<http::ServerConnection*, std::unique_ptr<Connection>> connections_;
};

}  // namespace lateen::mesh_test
