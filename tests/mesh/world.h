// A simulated machine room: nodes (one event loop each) on one virtual clock, with a network of
// in-memory connections between them. Nothing happens in it but by its own clock and its seed, so
// the same seed gives the same run. One thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "event/loop.h"
#include "net/network.h"

namespace lateen::mesh_test {

class World;

// A process's loop. Its dials go through the world's network.
class Node final : public event::Loop, public net::Network {
 public:
  Node(World& world, std::string name, std::uint64_t seed);

  SteadyTime now() const override;
  const Clock& clock() const override;
  Random& random() override { return *random_; }
  void post(Function<void()> task) override { posted_.push_back(std::move(task)); }
  void defer(Function<void()> task) override { deferred_.push_back(std::move(task)); }
  // There are no descriptors here: calling this is a bug.
  std::unique_ptr<event::FdWatch> watch(int fd,
                                        Function<void(event::FdWatch::Ready)> on_ready) override;
  void run() override { CHECK(!"the world runs its nodes"); }
  void stop() override {}
  bool is_loop_thread() const override { return true; }
  void dial(event::Scope& scope, const net::Address& to, milliseconds limit,
            event::Completion<std::unique_ptr<net::Stream>> done,
            const net::DialOptions& options) override;

  const std::string& name() const { return name_; }
  World& world() { return world_; }
  // A stopped process: it does nothing until it goes on.
  void pause(bool is_paused) { is_paused_ = is_paused; }
  bool is_paused() const { return is_paused_; }
  bool is_ready() const;
  // Posted work, due timers, then deferred work until there is none.
  void turn();
  // Drops all work: the process died. Its objects are destroyed between two calls of this.
  void drop_work();

 private:
  World& world_;
  std::string name_;
  std::unique_ptr<Random> random_;
  std::vector<Function<void()>> posted_;
  std::vector<Function<void()>> deferred_;
  bool is_paused_ = false;
};

// Who takes a connection, on which loop, and what the connection then says of itself.
struct Door {
  Node* node = nullptr;
  net::Address local;  // of the accepted end: where the connection arrived
  std::function<void(std::unique_ptr<net::Stream>)> accept;
};
// What the network makes of a dial.
struct Route {
  Door door;                   // door.node null: refused
  bool is_lost = false;        // no answer at all, until the dialer's limit
  nanoseconds delay{0};        // until connected
  nanoseconds latency{0};      // of each byte, each way
  std::size_t most_bytes = 0;  // that one read or write moves; 0: any
  net::Address from;           // what the accepted end sees
};

// Both ends of a connection, for whoever wants to cut it.
class Link {
 public:
  virtual ~Link() = default;
  // Both ends see a reset; bytes on the way are lost.
  virtual void cut() = 0;
  virtual bool is_open() const = 0;
  virtual const std::string& name() const = 0;  // "productpage-v1 > 10.1.2.1:9080"
};

class World {
 public:
  explicit World(std::uint64_t seed);
  ~World();

  // Decides on each dial, at the time when it arrives.
  using Router =
      std::function<Route(Node& from, const net::Address& to, const net::DialOptions& options)>;
  void set_router(Router router) { router_ = std::move(router); }

  // Lives as long as the world.
  Node& add_node(const std::string& name);
  SteadyTime now() const { return clock_.steady(); }
  ManualClock& clock() { return clock_; }
  Random& random() { return *random_; }

  // Runs `fire` after `delay`, outside of all nodes.
  void at(nanoseconds delay, Function<void()> fire);
  // Everything that is ready now; time stands still. Bounded against livelock.
  void run_ready();
  void run_for(nanoseconds span);
  // Until `holds`; false when `limit` of virtual time passed before.
  bool run_until(const std::function<bool()>& holds, nanoseconds limit);

  // Connections that are open at both ends.
  std::vector<std::shared_ptr<Link>> links() const;
  std::uint64_t dial_count() const { return dials_; }

 private:
  friend class Node;
  struct Dial;
  void arrive(const std::shared_ptr<Dial*>& handle, Node& from, const net::Address& to,
              const net::DialOptions& options);
  // The next time at which something is due; false when nothing is.
  bool next_due(SteadyTime& due) const;
  void fire_due();

  ManualClock clock_;
  std::unique_ptr<Random> random_;
  Router router_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::map<std::pair<SteadyTime, std::uint64_t>, Function<void()>> events_;
  std::uint64_t next_event_ = 0;
  std::uint64_t dials_ = 0;
  mutable std::vector<std::weak_ptr<Link>> links_;
};

// A connected pair; `to_door` is the accepted end. Used by the world's dials.
struct LinkEnds {
  std::unique_ptr<net::Stream> near, far;
  std::shared_ptr<Link> link;
};
LinkEnds make_link(World& world, Node& from, const net::Address& near_local, const net::Address& to,
                   const Route& route, std::uint64_t seed);

}  // namespace lateen::mesh_test
