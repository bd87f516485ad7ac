// Worker: one event loop with its clusters, routes, listeners and connections. The main thread
// posts immutable values to it; nothing on the request path is shared but atomics.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/strings.h"
#include "proxy/cluster/upstream.h"
#include "proxy/route/route.h"
#include "proxy/worker/shared.h"

namespace lateen::proxy {

struct ListenerConfig;
class WorkerListener;

// A route table that may be replaced; the slot's address is stable.
struct RouteSlot {
  std::shared_ptr<const RouteTable> table;  // null: not delivered yet
};

class Worker final : public Surroundings {
 public:
  // `loop` and `shared` outlive us.
  Worker(event::Loop& loop, Shared& shared, unsigned index);
  ~Worker();

  event::Loop& loop() { return loop_; }
  Shared& shared() { return shared_; }
  unsigned index() const { return index_; }

  // Null when there is no such cluster.
  UpstreamRef find_cluster(std::string_view name) const;
  RouteSlot& route_slot(const std::string& name);

  void put_cluster(ClusterRef config, EndpointsRef endpoints);
  void put_endpoints(const std::string& name, EndpointsRef endpoints);
  void remove_cluster(const std::string& name);
  void put_route(std::shared_ptr<const RouteTable> table);
  // `sockets`: what it is to accept on from now on; empty: as before, or it does not bind.
  void put_listener(std::shared_ptr<const ListenerConfig> config, std::vector<Fd> sockets);
  // Copies of the sockets that accept at `address`.
  std::vector<Fd> copy_sockets(const net::Address& address) const;
  void remove_listener(const std::string& name);
  // The listener that takes a redirected connection to `destination`: exact address first, then its
  // port on any address.
  WorkerListener* listener_for(const net::Address& destination);
  WorkerListener* find_listener(std::string_view name) const;
  // Stops accepting on listeners; all, or inbound ones only.
  void stop_listeners(bool is_inbound_only);
  // Lets connections finish what is under way. Idle ones end at once, or (is_gentle) after their
  // next request.
  void drain_connections(bool is_inbound_only, bool is_gentle);
  std::size_t connection_count() const;
  Result<net::Resolver*> resolver() override;
  std::unique_ptr<net::Stream> connect_internal(const HostConfig& host,
                                                const PassageRef& passage) override;
  std::uint64_t next_id() { return ++last_id_ * 256 + index_; }

 private:
  void sweep();
  UpstreamRef find_member(const ClusterConfig& aggregate, int depth) const;

  event::Loop& loop_;
  Shared& shared_;
  unsigned index_;
  std::uint64_t last_id_ = 0;
  std::unique_ptr<net::Resolver> resolver_;  // made when first needed
  std::unordered_map<std::string, UpstreamRef, StringHash, std::equal_to<>> clusters_;
  std::vector<UpstreamRef> retired_clusters_;
  std::unordered_map<std::string, std::unique_ptr<RouteSlot>, StringHash, std::equal_to<>> routes_;
  std::map<std::string, std::unique_ptr<WorkerListener>, std::less<>> listeners_;
  std::vector<std::unique_ptr<WorkerListener>> retired_listeners_;
  event::Timer sweep_timer_;
};

}  // namespace lateen::proxy
