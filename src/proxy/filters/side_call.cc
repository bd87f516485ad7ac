// Side calls live in the scope of the exchange that makes them.

#include "proxy/filters/side_call.h"

#include "base/strings.h"
#include "envoy/config/core/v3/grpc_service.pb.h"
#include "xds/convert.h"

namespace lateen::proxy {
namespace {

class Collect final : public event::Scope::Operation {
 public:
  Collect(event::Scope& scope, event::Loop& loop, http::Body body, std::size_t most_bytes,
          event::Completion<WholeBody> done)
      : Operation(scope),
        body_(std::move(body)),
        most_bytes_(most_bytes),
        done_(std::move(done)),
        start_(loop, [this] { pull(); }) {
    start_.arm(nanoseconds(0));
  }

 private:
  void pull() {
    for (;;) {
      auto next = body_.poll({[](void* self) { static_cast<Collect*>(self)->pull(); }, this});
      if (!next) return;
      if (!next->ok()) return finish(std::move(*next).error());
      http::Chunk& chunk = next->value();
      if (chunk.data.size() > most_bytes_ - whole_.data.size())
        return finish(Error(Code::kResourceExhausted,
                            "the body is longer than " + std::to_string(most_bytes_) + " bytes",
                            Blame::kDownstream));
      whole_.data.append(std::move(chunk.data));
      if (!chunk.is_last) continue;
      whole_.trailers = std::move(chunk.trailers);
      return finish(std::move(whole_));
    }
  }
  void finish(Result<WholeBody> result) {
    auto done = std::move(done_);
    delete this;
    done(std::move(result));
  }
  void cancel() override { delete this; }

  http::Body body_;
  std::size_t most_bytes_;
  WholeBody whole_;
  event::Completion<WholeBody> done_;
  event::Timer start_;
};

class WholeSource final : public http::BodySource {
 public:
  explicit WholeSource(WholeBody whole) : whole_(std::move(whole)) {}
  std::optional<Result<http::Chunk>> poll(http::Waker) override {
    return http::Chunk{std::move(whole_.data), true, std::move(whole_.trailers)};
  }

 private:
  WholeBody whole_;
};

class SideCall final : public event::Scope::Operation {
 public:
  SideCall(event::Scope& scope, event::Loop& loop, SideTarget target, SideRequest request,
           event::Completion<SideResponse> done)
      : Operation(scope),
        target_(std::move(target)),
        request_(std::move(request)),
        done_(std::move(done)),
        exchange_(loop, connection_),
        timer_(loop, [this] {
          finish(Error(Code::kDeadlineExceeded, "no answer in time", Blame::kUpstream));
        }) {
    http::Request ask(exchange_.arena);
    ask.method = request_.method;
    ask.scheme = request_.scheme;
    ask.authority = request_.authority;
    ask.path = request_.path;
    for (const auto& [name, value] : request_.headers) ask.headers.add_view(name, value);
    if (!request_.body.empty()) ask.body = http::Body::of(std::move(request_.body));
    timer_.arm(request_.timeout);
    target_.pool->call(exchange_.scope, exchange_, std::move(ask),
                       [this](http::CallResult result) { on_result(std::move(result)); });
  }

 private:
  void on_result(http::CallResult result) {
    if (result.error) return finish(std::move(result.error->error));
    response_.status = result.response->status;
    for (const auto& field : result.response->headers)
      response_.headers.emplace_back(to_lower(field.name), field.value);
    http::read_all(exchange_.scope, exchange_.loop, std::move(result.response->body),
                   request_.most_bytes, [this](Result<Buffer> whole) {
                     if (!whole.ok()) return finish(std::move(whole).error());
                     response_.body = whole->to_string();
                     finish(std::move(response_));
                   });
  }
  // Runs inside callbacks of our own members: they go at the end of the turn.
  void finish(Result<SideResponse> result) {
    if (!done_) return;
    auto done = std::move(done_);
    done_ = nullptr;
    timer_.cancel();
    unlink();
    exchange_.loop.defer([this] { delete this; });
    done(std::move(result));
  }
  void cancel() override { delete this; }

  SideTarget target_;
  SideRequest request_;
  SideResponse response_;
  event::Completion<SideResponse> done_;
  http::ConnectionInfo connection_;
  http::Exchange exchange_;
  event::Timer timer_;
};

}  // namespace

Result<SideService> SideService::compile(const envoy::config::core::v3::GrpcService& config,
                                         std::string_view who) {
  if (!config.has_envoy_grpc())
    return invalid(std::string(who) + ": only envoy_grpc services are supported", Blame::kConfig);
  SideService made;
  made.cluster = config.envoy_grpc().cluster_name();
  made.authority =
      config.envoy_grpc().authority().empty() ? made.cluster : config.envoy_grpc().authority();
  if (config.has_timeout()) made.timeout = xds::to_millis(config.timeout());
  for (const auto& one : config.initial_metadata())
    made.metadata.emplace_back(to_lower(one.key()), one.value());
  return made;
}

std::optional<SideTarget> find_target(Worker& worker, std::string_view cluster, bool is_grpc) {
  SideTarget made;
  made.upstream = worker.find_cluster(cluster);
  if (made.upstream == nullptr) return std::nullopt;
  made.host = made.upstream->pick({});
  if (made.host == nullptr) return std::nullopt;
  PoolKey key;
  key.address = made.host->address;
  key.transport_socket = made.host->transport_socket;
  if (is_grpc || made.upstream->config().http == ClusterConfig::Http::kHttp2)
    key.protocol = http::ClientOptions::Protocol::kHttp2;
  made.pool = &made.upstream->pool(made.host, key);
  return made;
}

void call_service(event::Scope& scope, event::Loop& loop, SideTarget target, SideRequest request,
                  event::Completion<SideResponse> done) {
  new SideCall(scope, loop, std::move(target), std::move(request), std::move(done));
}

void collect_body(event::Scope& scope, event::Loop& loop, http::Body body, std::size_t most_bytes,
                  event::Completion<WholeBody> done) {
  new Collect(scope, loop, std::move(body), most_bytes, std::move(done));
}

http::Body body_of(WholeBody whole) {
  if (whole.data.empty() && !whole.trailers) return {};
  const std::size_t length = whole.data.size();
  const bool has_trailers = whole.trailers.has_value();
  auto source = std::make_unique<WholeSource>(std::move(whole));
  return has_trailers ? http::Body(std::move(source)) : http::Body(std::move(source), length);
}

}  // namespace lateen::proxy
