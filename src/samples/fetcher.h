// Fetcher: how a sample calls another one. One GET on a fresh connection each, so that a plain
// cluster without sidecars spreads the calls too. Lives on one loop.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "event/scope.h"
#include "http/message.h"
#include "samples/settings.h"

namespace lateen::samples {

using HeaderList = std::vector<std::pair<std::string, std::string>>;

struct Fetched {
  int status = 0;
  std::string body;
};

class Fetcher {
 public:
  virtual ~Fetcher() = default;
  // GET http://peer/path within `limit`, name resolution included. Destroying `scope` abandons it.
  virtual void get(event::Scope& scope, const Peer& peer, std::string path, HeaderList headers,
                   milliseconds limit, event::Completion<Fetched> done) = 0;
};

// Over DNS and TCP.
Result<std::unique_ptr<Fetcher>> make_fetcher(event::Loop& loop);

// The headers that a well-behaved application hands on, so that traces join and users are known:
// request id, every tracing dialect's context, and the caller's own.
HeaderList propagated_headers(const http::Headers& from);

}  // namespace lateen::samples
