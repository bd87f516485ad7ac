// One Flight per call; it goes at the end of the turn in which it finished.
#include "client.h"

#include "base/strings.h"

namespace lateen::mesh_test {
namespace {
constexpr std::size_t kMostBytes = 4 << 20;
constexpr seconds kConnectLimit{10};
}  // namespace

const std::string* Answer::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (iequals(key, name)) return &value;
  return nullptr;
}

struct Client::Flight {
  Flight(Node& at, const Call& what)
      : node(at), call(what), exchange(at, info), limit(at, [] {}), started(at.now()) {}
  Node& node;
  Call call;
  http::ConnectionInfo info;
  std::shared_ptr<http::ClientPool> pool;  // outlives the exchange
  http::Exchange exchange;
  Function<void(Answer)> done;
  event::Timer limit;
  SteadyTime started;
  Answer answer;
  bool is_finished = false;
  std::unique_ptr<net::Stream> stream;  // of a TCP call
  Buffer out, in;
  event::Scope scope;
};

Client::Client(Mesh& mesh) : mesh_(mesh) {}
Client::~Client() {
  flights_.clear();
  pools_.clear();
}

void Client::drop_connections(const Pod& pod) {
  std::erase_if(pools_, [&](const auto& each) { return std::get<0>(each.first) == &pod; });
}

std::shared_ptr<const tls::Context> Client::tls_of(const Call& call) {
  tls::Options options;
  options.trusted_ca_pem = mesh_.authority().root_pem();
  options.alpn = call.scheme == "tls" ? std::vector<std::string>{}
                 : call.is_http2      ? std::vector<std::string>{"h2"}
                                      : std::vector<std::string>{"http/1.1"};
  if (!call.certificate_of.empty()) {
    const auto issued = mesh_.authority().issue_serving(
        {}, call.certificate_of, hours(24 * 365 * 8), mesh_.world().clock().wall());
    CHECK(issued.ok());
    options.certificates.push_back({issued->chain_pem, issued->key_pem});
  }
  auto made = tls::Context::make(tls::Context::Role::kClient, options);
  CHECK(made.ok());
  return *std::move(made);
}

std::shared_ptr<http::ClientPool> Client::pool_of(const Call& call, const net::Address& to) {
  const PoolKey key{call.from, to,
                    call.scheme + (call.is_http2 ? "2 " : "1 ") + call.host + call.certificate_of};
  if (call.is_reusing)
    if (const auto found = pools_.find(key); found != pools_.end()) return found->second;
  http::ClientOptions options;
  options.protocol =
      call.is_http2 ? http::ClientOptions::Protocol::kHttp2 : http::ClientOptions::Protocol::kHttp1;
  options.connect_timeout = kConnectLimit;
  Node& node = call.from->app_node();
  std::shared_ptr<http::ClientPool> made = http::make_client_pool(
      node,
      http::make_connector(node, to, call.scheme == "https" ? tls_of(call) : nullptr, call.host),
      options);
  if (call.is_reusing) pools_[key] = made;
  return made;
}

void Client::finish(Flight& flight, Answer answer) {
  if (flight.is_finished) return;
  flight.is_finished = true;
  flight.limit.cancel();
  answer.took = flight.node.now() - flight.started;
  auto done = std::move(flight.done);
  flight.node.defer([this, &flight] {
    flights_.remove_if([&](const auto& each) { return each.get() == &flight; });
  });
  done(std::move(answer));
}

void Client::start(const Call& call, Function<void(Answer)> done) {
  Node& node = call.from->app_node();
  flights_.push_back(std::make_unique<Flight>(node, call));
  Flight& flight = *flights_.back();
  flight.done = std::move(done);
  const auto fail = [this, &flight](std::string why) {
    event::after(flight.scope, flight.node, nanoseconds(0), [this, &flight, why = std::move(why)] {
      Answer answer = std::move(flight.answer);
      answer.error = why;
      finish(flight, std::move(answer));
    });
  };
  const auto ip =
      mesh_.resolve(call.connect_to.empty() ? call.host : call.connect_to, call.from->spec().ns);
  if (!ip.ok()) return fail(ip.error().message());
  const net::Address to(
      *ip, static_cast<std::uint16_t>(call.connect_port != 0 ? call.connect_port : call.port));
  event::after(flight.scope, node, call.limit, [this, &flight] {
    Answer answer = std::move(flight.answer);
    answer.error = "no answer within the caller's limit";
    finish(flight, std::move(answer));
  });
  if (call.scheme == "tcp" || call.scheme == "tls") {
    const auto talk = [this, &flight](std::unique_ptr<net::Stream> stream) {
      flight.stream = std::move(stream);
      flight.out.append(flight.call.body);
      flight.stream->on_ready([this, &flight](bool, bool) {
        if (flight.is_finished) return;
        flight.stream->write(flight.out);
        for (;;) {
          const net::Io io = flight.stream->read(flight.in, 65536);
          if (io.state == net::IoState::kOk) continue;
          if (io.state == net::IoState::kAgain &&
              !flight.in.to_string().ends_with(flight.call.body))
            return;
          flight.answer.body = flight.in.to_string();
          if (io.state == net::IoState::kAgain) flight.answer.status = 200;
          else
            flight.answer.error =
                io.state == net::IoState::kEof ? "connection closed" : flight.stream->last_error();
          return finish(flight, std::move(flight.answer));
        }
      });
    };
    net::dial(flight.scope, node, to, kConnectLimit,
              [this, &flight, talk, fail](Result<std::unique_ptr<net::Stream>> raw) {
                if (!raw.ok()) return fail(raw.error().message());
                if (flight.call.scheme == "tcp") return talk(*std::move(raw));
                tls::connect(flight.scope, flight.node, tls_of(flight.call), *std::move(raw),
                             flight.call.host, {}, kConnectLimit,
                             [talk, fail](Result<std::unique_ptr<net::Stream>> secured) {
                               if (!secured.ok()) return fail(secured.error().message());
                               talk(*std::move(secured));
                             });
              });
    return;
  }
  flight.pool = pool_of(call, to);
  http::Request request(flight.exchange.arena);
  const Call& kept = flight.call;  // owns what the request views
  const bool is_default = kept.port == (kept.scheme == "https" ? 443 : 80);
  if (flight.call.authority.empty())
    flight.call.authority = kept.host + (is_default ? "" : ":" + std::to_string(kept.port));
  request.method = kept.method;
  request.scheme = kept.scheme;
  request.authority = kept.authority;
  request.path = kept.path;
  for (const auto& [name, value] : kept.headers) request.headers.add(name, value);
  if (!kept.body.empty()) {
    request.headers.add("content-length", std::to_string(kept.body.size()));
    request.body = http::Body::of(kept.body);
  }
  flight.pool->call(flight.scope, flight.exchange, std::move(request),
                    [this, &flight](http::CallResult result) {
                      if (result.error) {
                        Answer answer;
                        answer.error = result.error->error.message();
                        return finish(flight, std::move(answer));
                      }
                      flight.answer.status = result.response->status;
                      for (const auto& field : result.response->headers)
                        flight.answer.headers.emplace_back(to_lower(field.name), field.value);
                      http::read_all(flight.scope, flight.node, std::move(result.response->body),
                                     kMostBytes, [this, &flight](Result<Buffer> body) {
                                       Answer answer = std::move(flight.answer);
                                       if (body.ok()) answer.body = body->to_string();
                                       else answer.error = "body: " + body.error().message();
                                       finish(flight, std::move(answer));
                                     });
                    });
}

Answer Client::run(const Call& call) {
  std::optional<Answer> got;
  start(call, [&](Answer answer) { got = std::move(answer); });
  mesh_.world().run_until([&] { return got.has_value(); }, call.limit + seconds(1));
  CHECK(got.has_value());
  return *std::move(got);
}

}  // namespace lateen::mesh_test
