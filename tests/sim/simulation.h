// A mesh under load while faults happen to it, all of it drawn from one seed; checkers outside of
// it say what must hold whatever happens. The same seed gives the same trace, byte for byte.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "client.h"
#include "mesh.h"

namespace lateen::mesh_test {

class Simulation {
 public:
  explicit Simulation(std::uint64_t seed);
  ~Simulation();

  // Load and faults for `span`, then quiet, then the last checks.
  void run(seconds span);
  const std::vector<std::string>& problems() const { return problems_; }
  const std::string& trace() const { return trace_; }
  struct Counts {
    int calls = 0, answers = 0, failures = 0, faults = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  struct Source {  // of load
    Pod* from;
    std::string host;
    int port;
    std::string connect_to;
  };
  struct Pending {
    std::string path, body;
    SteadyTime started;
  };
  void build();
  void tell(const std::string& what);
  void complain(const std::string& what);

  void schedule_call(std::size_t source);
  void start_call(std::size_t source, std::function<void(bool)> then = {});
  void check(std::uint64_t id, const Source& source, const Answer& answer);
  bool is_explained(SteadyTime from, SteadyTime to) const;

  // Faults. Each says for how long it may make requests fail.
  void schedule_fault();
  void inject();
  void disturb(const std::string& what, nanoseconds lasts);
  void cut_links();
  void kill_pod();
  void restart_proxy();
  void restart_control_plane();
  void push_config();
  void bad_network();
  void pause_node();
  void jump_clock();
  void meddle(Route& route);

  void check_rest();
  void check_gauges(Pod& pod);

  World world_;
  std::unique_ptr<Random> random_;  // of load and faults; the world has its own
  std::unique_ptr<Mesh> mesh_;
  std::unique_ptr<Client> client_;
  std::vector<Source> sources_;
  std::map<std::uint64_t, Pending> pending_;
  std::uint64_t next_id_ = 0;
  int config_ = 0;  // the number of the configuration pushed last
  bool is_loading_ = false, is_disturbing_ = false;
  std::vector<std::pair<SteadyTime, SteadyTime>> disturbed_;
  struct Weather {
    int refused_percent = 0, lost_percent = 0;
    nanoseconds latency{0};
    std::size_t most_bytes = 0;
  } weather_;
  std::string trace_;
  std::vector<std::string> problems_;
  Counts counts_;
};

// From now on OpenSSL's random bytes come from `seed`: handshakes repeat. For simulations only.
void make_tls_repeatable(std::uint64_t seed);

}  // namespace lateen::mesh_test
