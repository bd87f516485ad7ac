// tcp-echo: sends each line back with a word before it. Lives on one loop.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <vector>

#include "net/socket.h"

namespace lateen::samples {

class TcpEcho {
 public:
  TcpEcho(event::Loop& loop, std::string prefix);
  ~TcpEcho();
  void listen(Fd listening);

 private:
  class Connection;
  void accept(std::unique_ptr<net::Stream> stream);
  event::Loop& loop_;
  std::string prefix_;
  std::vector<std::unique_ptr<net::Listener>> listeners_;
  std::list<std::unique_ptr<Connection>> connections_;
};

}  // namespace lateen::samples
