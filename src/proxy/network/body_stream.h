// A byte stream over the two bodies of an HTTP exchange that became a tunnel (CONNECT, an upgrade):
// what is read comes from one, what is written goes out as the other.
#pragma once

#include <memory>

#include "http/message.h"

namespace lateen::proxy {

class BodyStream final : public net::Stream {
 public:
  // `loop` outlives us. Addresses are only told.
  BodyStream(event::Loop& loop, net::Address local, net::Address remote);
  ~BodyStream() override;

  // What is written to us, as a body; called once.
  http::Body outgoing();
  // What is to be read; until then there is nothing.
  void set_incoming(http::Body body);

  net::Io read(Buffer& into, std::size_t most_bytes) override;
  net::Io write(Buffer& from) override;
  void shutdown_write() override;
  void reset() override;
  void on_ready(Function<void(bool readable, bool writable)> callback) override;
  const net::Address& local_address() const override { return local_; }
  const net::Address& remote_address() const override { return remote_; }
  std::string last_error() const override { return error_; }

 private:
  struct Outbox;
  class Source;
  void notify(bool readable, bool writable);
  void wake_reader();

  event::Loop& loop_;
  net::Address local_, remote_;
  std::shared_ptr<Outbox> out_;
  http::Body in_;
  Buffer received_;
  bool has_incoming_ = false;
  bool is_read_ended_ = false;
  bool is_notify_due_ = false, is_wake_due_ = false;
  bool is_readable_ = false, is_writable_ = false;
  std::string error_;
  Function<void(bool, bool)> callback_;
  event::Scope scope_;  // last
};

}  // namespace lateen::proxy
