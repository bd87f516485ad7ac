// LogPump reads the output of all containers on one thread, writes it to their log files and copies
// it to who is attached. A slow attached client loses output, the container never waits for it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "cluster/node/log_files.h"
#include "event/loop.h"
#include "linux/fd.h"

namespace lateen::cluster::node {

class LogPump {
 public:
  explicit LogPump(const Clock& clock);
  ~LogPump();  // joins; containers' output after that is lost
  Result<> start();

  // All below: any thread. `id` names a container instance. `err` may be closed (a terminal has one
  // stream).
  void add(const std::string& id, const std::string& path, Fd out, Fd err);
  // Copies output from now on to these non-blocking descriptors (-1: not wanted) until the
  // container ends; then closes them.
  void attach(const std::string& id, Fd out, Fd err);

 private:
  struct Source;
  struct Stream;
  void read_ready(const std::string& id, bool is_stdout);
  const Clock& clock_;
  std::unique_ptr<event::Loop> loop_;
  std::map<std::string, std::unique_ptr<Source>> sources_;  // loop thread
  std::thread thread_;
};

}  // namespace lateen::cluster::node
