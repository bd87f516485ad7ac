// Hot restart: a new process takes the listening sockets of the old one, serves, and tells the old
// one to drain. They meet at an abstract Unix socket named by user, base id and epoch; a message
// each way per request, descriptors beside it. Main thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "event/loop.h"
#include "net/address.h"

namespace lateen::proxy {

// The old process' side: answers the process of the next epoch.
class RestartServer {
 public:
  using Sockets = Function<void(std::vector<Fd>)>;
  struct Hooks {
    // Copies of the sockets that listen at an address; empty when there are none. May answer later.
    std::function<void(const net::Address&, Sockets)> take;
    std::function<void()> stop_admin;
    std::function<void()> drain;
    std::function<void()> terminate;
  };
  // The error: another process has this base id and epoch.
  static Result<std::unique_ptr<RestartServer>> listen(event::Loop& loop,
                                                       const std::string& base_id, unsigned epoch,
                                                       Hooks hooks);
  ~RestartServer();

 private:
  RestartServer(event::Loop& loop, Hooks hooks) : loop_(loop), hooks_(std::move(hooks)) {}
  void on_child();
  void on_request();
  void reply(const std::string& text, const std::vector<Fd>& sockets);

  event::Loop& loop_;
  Hooks hooks_;
  Fd listening_;
  Fd child_;
  std::unique_ptr<event::FdWatch> listening_watch_;
  std::unique_ptr<event::FdWatch> child_watch_;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

// The new process' side: blocking calls, each of at most five seconds, for the time of start-up.
class RestartParent {
 public:
  // `epoch`: the parent's. NotFound when there is no such process.
  static Result<std::unique_ptr<RestartParent>> connect(const std::string& base_id, unsigned epoch);
  // The parent's listening sockets at `address`; empty when it has none.
  Result<std::vector<Fd>> take(const net::Address& address);
  Result<> stop_admin() { return call("admin"); }
  Result<> drain() { return call("drain"); }
  Result<> terminate() { return call("terminate"); }

 private:
  explicit RestartParent(Fd socket) : socket_(std::move(socket)) {}
  Result<> call(const std::string& request);
  Result<std::vector<Fd>> exchange(const std::string& request);
  Fd socket_;
};

}  // namespace lateen::proxy
