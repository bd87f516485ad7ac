// Network filters: what happens with the bytes of a downstream connection. The last one of a chain
// is terminal.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "net/stream.h"
#include "proxy/stream/stream_info.h"

namespace lateen::proxy {

class DownstreamConnection;
struct FilterChain;

class NetworkNext {
 public:
  NetworkNext(const FilterChain& chain, std::size_t index) : chain_(&chain), index_(index) {}
  void operator()(DownstreamConnection& connection) const;

 private:
  const FilterChain* chain_;
  std::size_t index_;
};

// Immutable; shared by all workers.
class NetworkFilter {
 public:
  virtual ~NetworkFilter() = default;
  // Passes the connection on, takes its stream (terminal filters), or closes it.
  virtual void handle(DownstreamConnection& connection, NetworkNext next) const = 0;
  // After the connection ended; TCP only.
  virtual void on_complete(const StreamInfo&) const {}
};

// What a terminal filter leaves running on a connection.
class Terminal {
 public:
  virtual ~Terminal() = default;
  // Finish what is under way, then close: at once, or (is_gentle) not before the peer was told so
  // in a message of the protocol.
  virtual void drain(bool is_gentle) = 0;
  // The connection's chain was replaced by `chain`: what starts from now on goes by it, as far as
  // the protocol has anything that starts.
  virtual void replace(const FilterChain&) {}
};

}  // namespace lateen::proxy
