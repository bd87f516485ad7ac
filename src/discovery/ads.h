// Ads: the aggregated discovery service. Holds the streams, answers their requests from the current
// snapshot and pushes what a new snapshot changes: at most one pending push per proxy, one proxy a
// turn. Lives on one loop.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "discovery/generate/generator.h"
#include "discovery/metrics.h"
#include "discovery/peer.h"
#include "discovery/store.h"
#include "grpc/server.h"

namespace lateen::discovery {

enum class Door : unsigned char { kPlain, kTls };  // 15010, 15012

class Ads {
 public:
  struct Options {
    std::string pod_name = "istiod";
    std::string version = "lateen";
    std::string revision = "default";
    std::string system_namespace = "istio-system";
    bool checks_identity = true;  // TLS door: credentials are needed and must fit the node
    std::size_t most_streams = 10'000;
    std::size_t most_pending_bytes = 64u << 20;  // per stream; pushes wait above it
  };
  // What debug resources (type istio.io/debug) answer: the body of /debug/<path>.
  using Debug = Function<std::string(std::string_view path)>;

  // All outlive the service. `authenticator` may be null (tests; the TLS door admits everyone
  // then).
  Ads(event::Loop& loop, const Clock& clock, Options options, Authenticator* authenticator,
      Metrics& metrics);
  ~Ads();

  void attach(grpc::Service& service, Door door);
  void on_debug(Debug debug) { debug_ = std::move(debug); }
  // A proxy came or went; and what it says of its workload's health ("" is healthy).
  using Presence = Function<void(const Proxy& proxy, bool is_connected)>;
  using Health = Function<void(const Proxy& proxy, const std::string& problem)>;
  void on_presence(Presence presence) { presence_ = std::move(presence); }
  void on_health(Health health) { health_ = std::move(health); }
  // Proxies connected, and those of them that have taken all config that this snapshot means for
  // them (endpoints aside).
  struct Distribution {
    std::size_t total = 0, current = 0;
  };
  Distribution distribution() const;
  // `since`: when the first change in this snapshot was written.
  void publish(SnapshotPtr snapshot, Impact impact, SteadyTime since);
  bool is_ready() const { return generator_ != nullptr; }
  const SnapshotPtr& snapshot() const { return generator_->snapshot_ptr(); }

  // A stream, as the debug pages show it.
  struct Stream {
    std::string id;
    std::optional<Proxy> proxy;  // once its first request came
    std::string peer;
    WallTime connected{};
    const xds::Session* session = nullptr;
  };
  std::vector<Stream> streams() const;
  // By node id, "pod.namespace" or "pod"; null when no such proxy is connected.
  const Proxy* find_proxy(std::string_view id) const;
  Generator& generator() { return *generator_; }
  // Pushes everything to everyone, as /debug/adsz?push=true asks.
  void push_all();
  // {"Component":"istiod","ID":…,"Info":{…}}
  std::string identifier() const;
  const Options& options() const { return options_; }

 private:
  struct Connection;
  grpc::CallEvents open(grpc::ServerCall& call, xds::Variant variant, Door door);
  void authenticate(Connection& connection);
  void on_message(Connection& connection, std::string bytes);
  void handle(Connection& connection, const xds::ClientRequest& request);
  bool accept_node(Connection& connection, const xds::ClientRequest& request);
  void answer(Connection& connection, std::string_view type_url, const std::set<std::string>& names,
              xds::Session::Extent extent);
  void answer_debug(Connection& connection, const xds::ClientRequest& request);
  void enqueue(Connection& connection, const Impact& impact);
  void push_next();
  void push(Connection& connection);
  void push_type(Connection& connection, std::string_view type_url);
  void push_endpoints(Connection& connection, const std::set<std::string>& hosts);
  void push_secrets(Connection& connection, const std::set<std::string>& secrets);
  std::string next_nonce();
  void close(std::uint64_t id);

  event::Loop& loop_;
  const Clock& clock_;
  Options options_;
  Authenticator* authenticator_;
  Metrics& metrics_;
  Debug debug_;
  Presence presence_;
  Health health_;
  std::unique_ptr<Generator> generator_;
  std::map<std::uint64_t, std::unique_ptr<Connection>> connections_;
  std::deque<std::uint64_t> queue_;
  std::uint64_t next_id_ = 1;
  std::uint64_t next_push_ = 1;
  bool is_pushing_ = false;
  event::Scope scope_;
};

}  // namespace lateen::discovery
