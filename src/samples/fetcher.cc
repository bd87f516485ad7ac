// Resolves, connects, calls, reads the body: each call is one self-owning operation of its caller's
// scope.
#include "samples/fetcher.h"

#include <fmt/core.h>

#include <map>

#include "base/strings.h"
#include "http/client.h"
#include "net/resolver.h"

namespace lateen::samples {
namespace {

constexpr std::size_t kMaxBodyBytes = 1u << 20;
constexpr std::size_t kMaxPools = 64;

class HttpFetcher final : public Fetcher {
 public:
  HttpFetcher(event::Loop& loop, std::unique_ptr<net::Resolver> resolver)
      : loop_(loop), resolver_(std::move(resolver)) {}

  void get(event::Scope& scope, const Peer& peer, std::string path, HeaderList headers,
           milliseconds limit, event::Completion<Fetched> done) override;

  event::Loop& loop() { return loop_; }
  net::Resolver& resolver() { return *resolver_; }
  const http::ConnectionInfo& no_connection() const { return no_connection_; }
  http::ClientPool& pool_to(const net::Address& address);

 private:
  event::Loop& loop_;
  std::unique_ptr<net::Resolver> resolver_;
  http::ConnectionInfo no_connection_;
  std::map<net::Address, std::unique_ptr<http::ClientPool>> pools_;
};

// Answers through a zero timer of its own scope, so that nothing that called us is destroyed
// beneath itself.
class Call final : public event::Scope::Operation {
 public:
  Call(event::Scope& outer, HttpFetcher& fetcher, const Peer& peer, std::string path,
       HeaderList headers, event::Completion<Fetched> done)
      : Operation(outer),
        fetcher_(fetcher),
        authority_(fmt::format("{}:{}", peer.host, peer.port)),
        peer_(peer),
        path_(std::move(path)),
        headers_(std::move(headers)),
        done_(std::move(done)),
        exchange_(fetcher.loop(), fetcher.no_connection()) {}

  void start(milliseconds limit) {
    event::after(scope_, fetcher_.loop(), limit, [this, limit] {
      finish(Error(Code::kDeadlineExceeded,
                   fmt::format("{} did not answer within {} ms", authority_, limit.count()),
                   Blame::kUpstream));
    });
    fetcher_.resolver().resolve(
        scope_, peer_.host, net::Family::kV4Preferred,
        [this](Result<net::Resolved> found) { on_resolved(std::move(found)); });
  }

 private:
  void cancel() override { delete this; }

  void on_resolved(Result<net::Resolved> found) {
    if (!found.ok()) return answer(std::move(found).error());
    const auto& ips = found.value().ips;
    const net::Address to(ips[fetcher_.loop().random().below(ips.size())], peer_.port);
    http::Request request(exchange_.arena);
    request.method = "GET";
    request.scheme = "http";
    request.authority = authority_;
    request.path = path_;
    for (const auto& [name, value] : headers_) request.headers.add_view(name, value);
    fetcher_.pool_to(to).call(scope_, exchange_, std::move(request),
                              [this](http::CallResult result) { on_response(std::move(result)); });
  }

  void on_response(http::CallResult result) {
    if (result.error) return answer(std::move(result.error->error));
    status_ = result.response->status;
    http::read_all(scope_, fetcher_.loop(), std::move(result.response->body), kMaxBodyBytes,
                   [this](Result<Buffer> body) {
                     if (!body.ok()) return answer(std::move(body).error());
                     answer(Fetched{status_, body.value().to_string()});
                   });
  }

  void answer(Result<Fetched> result) {
    event::after(scope_, fetcher_.loop(), nanoseconds(0),
                 [this, result = std::move(result)]() mutable { finish(std::move(result)); });
  }

  void finish(Result<Fetched> result) {
    auto done = std::move(done_);
    Result<Fetched> kept = std::move(result);
    delete this;
    done(std::move(kept));
  }

  HttpFetcher& fetcher_;
  std::string authority_;
  Peer peer_;
  std::string path_;
  HeaderList headers_;
  event::Completion<Fetched> done_;
  int status_ = 0;
  http::Exchange exchange_;
  event::Scope scope_;
};

void HttpFetcher::get(event::Scope& scope, const Peer& peer, std::string path, HeaderList headers,
                      milliseconds limit, event::Completion<Fetched> done) {
  (new Call(scope, *this, peer, std::move(path), std::move(headers), std::move(done)))
      ->start(limit);
}

http::ClientPool& HttpFetcher::pool_to(const net::Address& address) {
  auto found = pools_.find(address);
  if (found != pools_.end()) return *found->second;
  // Addresses come and go with pods; idle pools make room.
  if (pools_.size() >= kMaxPools) {
    std::erase_if(pools_, [](const auto& entry) { return entry.second->active_count() == 0; });
  }
  http::ClientOptions options;
  options.max_requests_per_connection = 1;
  auto pool = http::make_client_pool(loop_, http::make_connector(loop_, address), options);
  return *pools_.emplace(address, std::move(pool)).first->second;
}

}  // namespace

Result<std::unique_ptr<Fetcher>> make_fetcher(event::Loop& loop) {
  auto resolver = TRY(net::make_resolver(loop));
  return std::unique_ptr<Fetcher>(std::make_unique<HttpFetcher>(loop, std::move(resolver)));
}

}  // namespace lateen::samples
