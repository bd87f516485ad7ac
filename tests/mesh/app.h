// What runs behind the proxies: an HTTP application that answers with what it was asked, and a TCP
// one that echoes. A request tells it how to behave: see handle().
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "http/server.h"
#include "tls/context.h"
#include "world.h"

namespace lateen::mesh_test {

struct AppOptions {
  std::string name;  // told as served_by
  bool is_tcp = false;
  std::shared_ptr<const tls::Context> tls;  // null: plain
};

class App final : public http::Service {
 public:
  // `node` outlives us.
  App(Node& node, AppOptions options);
  ~App() override;

  void accept(std::unique_ptr<net::Stream> stream);
  // Answers 200 with JSON: served_by, method, path, host, version, headers, body, and sni of a TLS
  // connection. The query changes that: status=N, times=N (only the first N with that `key`, or
  // path, get the status), delay=DURATION, size=BYTES of answer, cut=1 (ends the connection).
  void handle(http::Exchange& exchange, http::Request request, http::Done done) override;

  std::uint64_t request_count() const { return requests_; }
  std::size_t connection_count() const { return connections_.size() + echoes_.size(); }
  std::size_t open_requests() const { return open_; }

 private:
  struct Echo;
  struct Counted;
  void add(std::unique_ptr<net::Stream> stream);
  void answer(http::Exchange& exchange, const std::string& told,
              const std::map<std::string, std::string>& query, const std::string& path,
              http::Done done);

  Node& node_;
  AppOptions options_;
  std::map<std::string, int> seen_;  // requests by key
  std::uint64_t requests_ = 0;
  std::size_t open_ = 0;
  std::map<http::ServerConnection*, std::unique_ptr<http::ServerConnection>> connections_;
  std::map<Echo*, std::unique_ptr<Echo>> echoes_;
  event::Scope scope_;
};

}  // namespace lateen::mesh_test
