// The pair of processes that keeps an embedded cluster alive from outside of its namespaces: the
// supervisor does the work, the guard holds copies of all that must not be lost. Each starts the
// other again when it dies; while one of them lives, the cluster notices nothing.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>

#include "bin/up.h"
#include "data/json.h"
#include "linux/fd.h"
#include "linux/pid_file.h"

namespace lateen::bin {

// A LoadBalancer port on the machine's side.
struct HostPort {
  int host_port = 0;
  Fd fd;
  bool is_listening = false;
};

// What outlives either of the pair. A fork copies it; later changes go to the guard as messages.
struct Holdings {
  const UpOptions& options;
  const std::string program;
  os::PidFile pid_file;
  Fd progress;                    // lines to `lateen up`, while it waits
  Fd api;                         // the API server's listening socket
  std::map<int, HostPort> ports;  // by the cluster's port
  Fd init;                        // pidfd of the cluster's first process
  pid_t init_pid = 0;
  Fd control;  // our end of the socket to the cluster process
  // Nothing is ever written: it hangs up when supervisor and guard are both gone.
  os::FdPair life;
  bool is_ready = false;
  bool is_ending = false;
};

// Brings `held` up to date with a message of the supervisor's. Nothing for unknown ones.
void apply_message(Holdings& held, const data::Json& message, std::vector<Fd> fds);

// Both return the exit status of their process. `link` is the socket to the other one; a guard
// without one starts a supervisor.
int run_guard(Holdings& held, Fd link);
int run_supervisor(Holdings& held, Fd link, pid_t guard);

// The first process of the cluster's PID namespace; `control` is the cluster's end.
Result<> prepare_init();
int run_init(Holdings& held, const Fd& control, bool is_single_user);

// Blocks what the three processes handle themselves and gives a descriptor that tells of them.
Fd watch_signals();
// The next signal that came in; 0: none.
int next_signal(const Fd& signals);
std::int64_t steady_ms();

inline constexpr int kEndLimitMs = 20'000;  // for a graceful end
inline constexpr int kLongestRestartPauseMs = 5'000;
inline constexpr int kQuickDeathMs = 2'000;
// Before a process that died `lived_ms` after its start is started again; grows while it dies at
// once.
int restart_pause(int last_pause_ms, std::int64_t lived_ms);

}  // namespace lateen::bin
