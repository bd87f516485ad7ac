// Readiness is edge-triggered, so the put-back bytes need an edge of their own.

#include "proxy/listener/prefixed_stream.h"

#include "proxy/stream/forwarding_stream.h"

namespace lateen::proxy {
namespace {

class PrefixedStream final : public ForwardingStream {
 public:
  PrefixedStream(event::Loop& loop, std::unique_ptr<net::Stream> inner, Buffer bytes)
      : ForwardingStream(std::move(inner)), bytes_(std::move(bytes)), edge_(loop, [this] {
          if (callback_) callback_(true, true);
        }) {}

  net::Io read(Buffer& into, std::size_t most_bytes) override {
    if (bytes_.empty()) return inner_->read(into, most_bytes);
    const std::size_t count = std::min(most_bytes, bytes_.size());
    into.append(bytes_.take(count));
    return {net::IoState::kOk, count};
  }
  void on_ready(Function<void(bool, bool)> callback) override {
    // The owner may destroy us inside its callback: the inner stream calls a copy-free wrapper.
    callback_ = std::move(callback);
    inner_->on_ready([this](bool readable, bool writable) {
      if (callback_) callback_(readable, writable);
    });
    if (!bytes_.empty()) edge_.arm(nanoseconds(0));
  }

 private:
  Buffer bytes_;
  Function<void(bool, bool)> callback_;
  event::Timer edge_;
};

}  // namespace

std::unique_ptr<net::Stream> put_back(event::Loop& loop, std::unique_ptr<net::Stream> inner,
                                      Buffer bytes) {
  if (bytes.empty()) return inner;
  return std::make_unique<PrefixedStream>(loop, std::move(inner), std::move(bytes));
}

}  // namespace lateen::proxy
