// What the API server asks of the node agent for exec, attach, logs and port-forward (the kubelet's
// streaming API as an interface: node/ implements it, apiserver/ speaks SPDY and WebSocket towards
// clients). All members are thread-safe and may block briefly.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "kube/object.h"
#include "net/socket.h"

namespace lateen::cluster {

struct ExecRequest {
  kube::Key pod;
  std::string container;             // never empty: the API server has resolved the default
  std::vector<std::string> command;  // empty for attach
  bool has_stdin = false;
  bool has_stdout = true;
  bool has_stderr = true;
  bool is_tty = false;  // then stderr is merged into stdout
};

// A running exec or attach. Destroying it kills an exec'ed process (not an attached container).
class ExecSession {
 public:
  virtual ~ExecSession() = default;
  // Non-blocking descriptors; -1 when not asked for. The session keeps ownership, except that
  // take_stdin() hands the writing end over so that closing it is the end of input.
  virtual Fd take_stdin() = 0;
  virtual int stdout_fd() const = 0;
  virtual int stderr_fd() const = 0;
  virtual void resize(int columns, int rows) = 0;
  // Blocks until the process ended; its exit code (128+signal when killed). For attach: the
  // container's.
  virtual Result<int> wait() = 0;
};

struct LogRequest {
  kube::Key pod;
  std::string container;
  bool is_following = false;
  bool is_previous = false;
  bool has_timestamps = false;
  std::optional<std::int64_t> tail_lines;
  std::optional<std::int64_t> limit_bytes;
  std::optional<WallTime> since;
};

class PodStreams {
 public:
  virtual ~PodStreams() = default;
  // NotFound names what is missing: the pod, the container ("container x is not valid for pod y"),
  // the program.
  virtual Result<std::unique_ptr<ExecSession>> exec(const ExecRequest& request) = 0;
  virtual Result<std::unique_ptr<ExecSession>> attach(const ExecRequest& request) = 0;
  // Blocks while following. `sink` gets whole lines; false ends it. `should_stop` is polled about
  // each 100 ms.
  virtual Result<> logs(const LogRequest& request, const Function<bool(std::string_view)>& sink,
                        const Function<bool()>& should_stop) = 0;
  // A connected TCP socket to `port` on the pod's loopback, from inside its network namespace.
  virtual Result<Fd> port_forward(const kube::Key& pod, int port) = 0;
};

}  // namespace lateen::cluster
