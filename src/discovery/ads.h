// Ads: the aggregated discovery service. Holds the streams, answers their requests from the current
// snapshot and pushes what a new snapshot changes: at most one pending push per proxy, a
// millisecond of them a turn. A proxy that does not read is waited for, and then gets what is true
// by then. Lives on one loop.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "discovery/generate/catalog.h"
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
    std::size_t most_streams_of_connection = 100;  // a proxy needs one
    std::size_t most_pending_bytes = 1u << 20;     // per stream; what is more waits
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
  bool is_ready() const { return catalog_.snapshot() != nullptr; }
  const SnapshotPtr& snapshot() const { return catalog_.snapshot(); }

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
  Generator generator() const { return Generator(snapshot()); }
  // What workloads are to trust, one PEM certificate each: agents that watch Istio's ProxyConfig
  // are told.
  void set_trust_bundle(const std::vector<std::string>& roots);
  // This replica is going away: takes no stream any more, and ends those that there are one after
  // the other over `span`, so that clients do not all come to the next replica at once. Then
  // `done`.
  void drain(nanoseconds span, Function<void()> done);
  bool is_draining() const { return is_draining_; }
  // Pushes everything to everyone, as /debug/adsz?push=true asks.
  void push_all();
  // {"Component":"istiod","ID":…,"Info":{…}}
  const std::string& identifier() const { return identifier_; }
  const Options& options() const { return options_; }

 private:
  struct Connection;
  grpc::CallEvents open(grpc::ServerCall& call, xds::Variant variant, Door door);
  void authenticate(Connection& connection);
  void refuse(Connection& connection, Code code, std::string why);
  void on_message(Connection& connection, std::string bytes);
  void handle(Connection& connection, const xds::ClientRequest& request);
  bool accept_node(Connection& connection, const xds::ClientRequest& request);
  void answer(Connection& connection, std::string_view type_url,
              const std::vector<std::string>& names);
  bool send(Connection& connection, std::string_view type_url, xds::ResourcesPtr resources,
            xds::Session::Extent extent);
  xds::ResourcesPtr resources(Connection& connection, std::string_view type_url,
                              const xds::NamesPtr& names);
  bool must_wait(Connection& connection);
  void note_unread(int more);
  void answer_debug(Connection& connection, const xds::ClientRequest& request);
  void enqueue(Connection& connection);
  void drain_next(nanoseconds pause);
  void push_next();
  void push(Connection& connection);
  void push_type(Connection& connection, std::string_view type_url);
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
  Catalog catalog_;
  xds::Replies replies_;
  xds::ResourcesPtr trust_ = xds::no_resources();
  std::string identifier_;
  std::map<std::uint64_t, std::unique_ptr<Connection>> connections_;
  std::map<std::uint64_t, std::size_t> streams_of_;  // by HTTP connection
  std::deque<std::uint64_t> queue_;
  std::uint64_t next_id_ = 1;
  std::uint64_t next_push_ = 1;
  bool is_pushing_ = false;
  bool is_draining_ = false;
  int unread_ = 0;
  Function<void()> drained_;
  event::Scope scope_;
};

}  // namespace lateen::discovery
