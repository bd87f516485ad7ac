// A stream over another stream that changes little: all members pass through; wrappers override
// those they are about.
#pragma once

#include <memory>

#include "net/stream.h"

namespace lateen::proxy {

class ForwardingStream : public net::Stream {
 public:
  net::Io read(Buffer& into, std::size_t most_bytes) override {
    return inner_->read(into, most_bytes);
  }
  net::Io write(Buffer& from) override { return inner_->write(from); }
  void shutdown_write() override { inner_->shutdown_write(); }
  void reset() override { inner_->reset(); }
  void on_ready(Function<void(bool, bool)> callback) override {
    inner_->on_ready(std::move(callback));
  }
  const net::Address& local_address() const override { return inner_->local_address(); }
  const net::Address& remote_address() const override { return inner_->remote_address(); }
  const net::TlsInfo* tls() const override { return inner_->tls(); }
  int fd() const override { return inner_->fd(); }
  std::string last_error() const override { return inner_->last_error(); }

 protected:
  explicit ForwardingStream(std::unique_ptr<net::Stream> inner) : inner_(std::move(inner)) {}
  std::unique_ptr<net::Stream> inner_;
};

}  // namespace lateen::proxy
