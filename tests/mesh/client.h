// Calls from a pod's application, or from outside: HTTP over plain or TLS connections, and TCP.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "mesh.h"

namespace lateen::mesh_test {

struct Call {
  Pod* from = nullptr;
  std::string method = "GET";
  std::string scheme = "http";  // "https": TLS; "tcp", "tls": bytes
  std::string host;             // also the SNI
  int port = 80;
  std::string path = "/";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::string connect_to;  // ip to dial instead of what `host` resolves to
  int connect_port = 0;    // 0: as `port`
  std::string authority;   // empty: host[:port]
  bool is_http2 = false;
  bool is_reusing = false;     // keeps the connection for later calls of the same kind
  std::string certificate_of;  // SPIFFE id of a client certificate; empty: none
  milliseconds limit{30'000};
};

struct Answer {
  int status = 0;  // 0: no response; see `error`
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::string error;
  nanoseconds took{0};
  const std::string* header(std::string_view name) const;
};

class Client {
 public:
  explicit Client(Mesh& mesh);  // outlives us
  ~Client();

  // `done` runs exactly once, on the caller's node.
  void start(const Call& call, Function<void(Answer)> done);
  // Starts it and runs the world until it is answered.
  Answer run(const Call& call);
  std::size_t open_calls() const { return flights_.size(); }
  // Forgets kept connections of a pod.
  void drop_connections(const Pod& pod);

 private:
  struct Flight;
  struct Tcp;
  using PoolKey = std::tuple<const Pod*, net::Address, std::string>;
  std::shared_ptr<http::ClientPool> pool_of(const Call& call, const net::Address& to);
  std::shared_ptr<const tls::Context> tls_of(const Call& call);
  void finish(Flight& flight, Answer answer);

  Mesh& mesh_;
  std::map<PoolKey, std::shared_ptr<http::ClientPool>> pools_;
  std::list<std::unique_ptr<Flight>> flights_;
};

}  // namespace lateen::mesh_test
