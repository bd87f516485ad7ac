// A proxy with its listeners in a simulated world, before upstreams that say given bytes: for the
// fuzzer of whole exchanges. One thread; nothing real is touched.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/server/server.h"
#include "world.h"

namespace lateen::fuzz {

class ProxyRoom {
 public:
  ProxyRoom();
  ~ProxyRoom();

  std::size_t listener_count() const { return listeners_.size(); }
  // Sends `client` to a listener in pieces of at most `most_bytes` (0: any) before upstreams that
  // answer `upstream` once something came, then close. What came back to the client.
  std::string exchange(std::size_t listener, std::string_view client, std::string_view upstream,
                       std::size_t most_bytes);
  // Nothing is left of the exchanges: no connection, at the proxy or beyond.
  bool is_empty() const;

 private:
  class Speaker;
  mesh_test::World world_;
  mesh_test::Node& proxy_node_;
  mesh_test::Node& outside_node_;
  std::unique_ptr<proxy::Server> server_;
  std::vector<std::string> listeners_;
  std::vector<std::unique_ptr<Speaker>> speakers_;
  std::string answer_;
  std::size_t most_bytes_ = 0;
};

}  // namespace lateen::fuzz
