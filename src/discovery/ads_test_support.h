// For tests of the discovery service: clients that reach it by gRPC over HTTP/2 on in-memory pipes,
// on a simulated loop.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "discovery/ads.h"
#include "discovery/test_mesh.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "event/sim_loop.h"
#include "grpc/client.h"
#include "http/server.h"
#include "net/pipe.h"
#include "xds/any.h"
#include "xds/json.h"

namespace lateen::discovery {

namespace xds_v3 = envoy::service::discovery::v3;

// A client that stops reading, and says so to nobody.
struct Stall {
  bool is_stalled = false;
  std::function<void()> resume;  // reads what came meanwhile
};
class StallingStream final : public net::Stream {
 public:
  StallingStream(std::unique_ptr<net::Stream> inner, Stall& stall)
      : inner_(std::move(inner)), stall_(stall) {
    stall_.resume = [this] { ready_(true, true); };
  }
  net::Io read(Buffer& into, std::size_t most_bytes) override {
    if (stall_.is_stalled) return {net::IoState::kAgain, 0};
    return inner_->read(into, most_bytes);
  }
  net::Io write(Buffer& from) override { return inner_->write(from); }
  void shutdown_write() override { inner_->shutdown_write(); }
  void reset() override { inner_->reset(); }
  void on_ready(Function<void(bool, bool)> callback) override {
    ready_ = std::move(callback);
    inner_->on_ready([this](bool readable, bool writable) { ready_(readable, writable); });
  }
  const net::Address& local_address() const override { return inner_->local_address(); }
  const net::Address& remote_address() const override { return inner_->remote_address(); }
  std::string last_error() const override { return inner_->last_error(); }

 private:
  std::unique_ptr<net::Stream> inner_;
  Stall& stall_;
  Function<void(bool, bool)> ready_;
};

// Each connection is a pipe whose other end the service serves.
class PipeConnector final : public http::Connector {
 public:
  PipeConnector(event::Loop& loop, http::Service& service,
                std::vector<std::unique_ptr<http::ServerConnection>>& served, Stall& stall,
                const net::TlsInfo* tls = nullptr)
      : loop_(loop), service_(service), served_(served), stall_(stall), tls_(tls) {}
  void connect(event::Scope& scope, milliseconds,
               event::Completion<std::unique_ptr<net::Stream>> done) override {
    event::after(scope, loop_, nanoseconds(0), [this, done = std::move(done)]() mutable {
      auto [client, server] = net::make_pipe(loop_);
      http::ServerOptions options;
      options.codec = http::Codec::kHttp2;
      options.max_concurrent_streams = 10'000;
      http::ConnectionInfo info;
      info.id = served_.size() + 1;
      info.remote = server->remote_address();
      info.tls = tls_;
      served_.push_back(http::serve(loop_, std::move(server), info, service_, options,
                                    [](http::ServerConnection&) {}));
      done(std::make_unique<StallingStream>(std::move(client), stall_));
    });
  }

 private:
  event::Loop& loop_;
  http::Service& service_;
  std::vector<std::unique_ptr<http::ServerConnection>>& served_;
  Stall& stall_;
  const net::TlsInfo* tls_;
};

// Takes certificates of any trust domain, and "namespace/account" as a token.
class FakeAuthenticator final : public Authenticator {
 public:
  void authenticate(event::Scope& scope, event::Loop& loop, Credentials credentials,
                    event::Completion<Identity> done) override {
    event::after(scope, loop, milliseconds(1),
                 [done = std::move(done), token = credentials.token,
                  uris = credentials.peer_uris]() mutable {
                   for (const std::string& uri : uris) {
                     const auto path = split(uri, '/');  // spiffe: "" DOMAIN ns NS sa ACCOUNT
                     if (path.size() == 7) {
                       return done(Identity{std::string(path[4]), std::string(path[6])});
                     }
                   }
                   const auto parts = split_once(token, "/");
                   if (!parts) return done(Error(Code::kUnauthenticated, "bad token"));
                   done(Identity{std::string(parts->first), std::string(parts->second)});
                 });
  }
};

class AdsTest : public ::testing::Test {
 protected:
  AdsTest() : ads_(loop_, loop_.clock(), {}, &authenticator_, metrics_) {
    ads_.attach(plain_, Door::kPlain);
    ads_.attach(secure_, Door::kTls);
    mesh_.service("reviews", "10.96.0.1", 9080, "http", {"v1"});
    publish(full());
  }

  static Impact full() {
    Impact impact;
    impact.is_full = true;
    impact.reason = "config";
    return impact;
  }
  void publish(Impact impact) {
    ads_.publish(
        std::make_shared<const MeshSnapshot>(mesh_.store().input("v" + std::to_string(++version_))),
        std::move(impact), loop_.now());
    loop_.run_for(milliseconds(5));
  }

  // One client stream.
  template <typename Response>
  struct Stream {
    Stall stall;
    std::unique_ptr<http::ClientPool> pool;
    std::unique_ptr<grpc::ClientCall> call;
    std::vector<Response> responses;
    std::optional<grpc::Status> ended;
  };
  using Client = Stream<xds_v3::DiscoveryResponse>;            // state of the world
  using DeltaClient = Stream<xds_v3::DeltaDiscoveryResponse>;  // incremental
  std::unique_ptr<Client> connect(grpc::Service& service, const std::string& token = "",
                                  const net::TlsInfo* tls = nullptr) {
    return open<Client>(service, "StreamAggregatedResources", token, tls);
  }
  std::unique_ptr<DeltaClient> connect_delta(grpc::Service& service) {
    return open<DeltaClient>(service, "DeltaAggregatedResources");
  }
  template <typename Made>
  std::unique_ptr<Made> open(grpc::Service& service, const std::string& method,
                             const std::string& token = "", const net::TlsInfo* tls = nullptr) {
    auto client = std::make_unique<Made>();
    http::ClientOptions options;
    options.protocol = http::ClientOptions::Protocol::kHttp2;
    options.max_concurrent_streams = 10'000;
    client->pool = http::make_client_pool(
        loop_, std::make_unique<PipeConnector>(loop_, service, served_, client->stall, tls),
        options);
    grpc::Metadata metadata;
    if (!token.empty()) metadata.emplace_back("authorization", "Bearer " + token);
    Made* raw = client.get();
    client->call = grpc::start_call(
        loop_, *client->pool, "istiod",
        "/envoy.service.discovery.v3.AggregatedDiscoveryService/" + method, metadata,
        {[raw](std::string message) {
           raw->responses.emplace_back();
           EXPECT_TRUE(raw->responses.back().ParseFromString(message));
         },
         [raw](grpc::Status status) { raw->ended = status; }});
    return client;
  }
  void send(Client& client, std::string_view type, std::vector<std::string> names = {},
            const std::string& nonce = "", const std::string& ns = "default") {
    xds_v3::DiscoveryRequest request;
    request.mutable_node()->set_id("sidecar~10.1.9.9~web-x." + ns + "~" + ns +
                                   ".svc.cluster.local");
    *request.mutable_node()->mutable_metadata() = xds::json_to_struct(
        {{"NAMESPACE", ns}, {"SERVICE_ACCOUNT", "web"}, {"PROXY_CONFIG", data::JsonObject{}}});
    request.set_type_url(std::string(type));
    request.set_response_nonce(nonce);
    for (const auto& name : names) request.add_resource_names(name);
    client.call->send(request.SerializeAsString());
    loop_.run_for(milliseconds(5));
  }
  using Held = std::map<std::string, std::string>;  // versions by name
  void ask(DeltaClient& client, std::string_view type, const std::vector<std::string>& names,
           const Held& held) {
    xds_v3::DeltaDiscoveryRequest request;
    request.mutable_node()->set_id("sidecar~10.1.9.9~web-x.default~default.svc.cluster.local");
    *request.mutable_node()->mutable_metadata() =
        xds::json_to_struct({{"NAMESPACE", "default"}, {"PROXY_CONFIG", data::JsonObject{}}});
    request.set_type_url(std::string(type));
    for (const auto& name : names) request.add_resource_names_subscribe(name);
    for (const auto& [name, version] : held) {
      (*request.mutable_initial_resource_versions())[name] = version;
    }
    client.call->send(request.SerializeAsString());
    loop_.run_for(milliseconds(5));
  }
  static constexpr const char* kReviews = "outbound|9080||reviews.default.svc.cluster.local";

  event::SimLoop loop_;
  Metrics metrics_;
  FakeAuthenticator authenticator_;
  grpc::Service plain_, secure_;
  Ads ads_;
  TestMesh mesh_;
  int version_ = 0;
  std::vector<std::unique_ptr<http::ServerConnection>> served_;
};

}  // namespace lateen::discovery
