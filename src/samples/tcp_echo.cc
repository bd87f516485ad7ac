// Line echo with back-pressure: while answers cannot be written, nothing more is read.
#include "samples/tcp_echo.h"

#include "base/log.h"

namespace lateen::samples {
namespace {
constexpr std::size_t kReadBytes = 16 * 1024;
constexpr std::size_t kMaxLineBytes = 1u << 20;
constexpr std::size_t kMaxConnections = 10'000;
}  // namespace

class TcpEcho::Connection {
 public:
  Connection(TcpEcho& owner, std::unique_ptr<net::Stream> stream)
      : owner_(owner), stream_(std::move(stream)) {
    stream_->on_ready([this](bool, bool) {
      if (!pump()) close();
    });
  }
  std::list<std::unique_ptr<Connection>>::iterator self;

 private:
  // False when the connection is over.
  bool pump() {
    while (true) {
      if (!out_.empty()) {
        const net::Io io = stream_->write(out_);
        if (io.state == net::IoState::kError) return false;
        if (!out_.empty()) return true;
      }
      if (is_at_end_) return false;
      const net::Io io = stream_->read(in_, kReadBytes);
      if (io.state == net::IoState::kAgain) return true;
      if (io.state == net::IoState::kError) return false;
      if (io.state == net::IoState::kEof) is_at_end_ = true;
      answer_lines();
      if (in_.size() > kMaxLineBytes) {
        LOG(kWarn, "tcp-echo", "closing {}: a line over {} bytes",
            stream_->remote_address().to_string(), kMaxLineBytes);
        return false;
      }
    }
  }

  void answer_lines() {
    const std::string_view text = in_.flatten();
    std::size_t begin = 0;
    for (std::size_t end; (end = text.find('\n', begin)) != std::string_view::npos;
         begin = end + 1) {
      out_.append(owner_.prefix_);
      out_.append(" ");
      out_.append(text.substr(begin, end + 1 - begin));
    }
    in_.drop(begin);
  }

  void close() { owner_.connections_.erase(self); }

  TcpEcho& owner_;
  std::unique_ptr<net::Stream> stream_;
  Buffer in_;
  Buffer out_;
  bool is_at_end_ = false;
};

TcpEcho::TcpEcho(event::Loop& loop, std::string prefix) : loop_(loop), prefix_(std::move(prefix)) {}
TcpEcho::~TcpEcho() = default;

void TcpEcho::listen(Fd listening) {
  listeners_.push_back(std::make_unique<net::Listener>(
      loop_, std::move(listening),
      [this](std::unique_ptr<net::Stream> stream) { accept(std::move(stream)); }));
}

void TcpEcho::accept(std::unique_ptr<net::Stream> stream) {
  if (connections_.size() >= kMaxConnections) return;
  connections_.push_back(std::make_unique<Connection>(*this, std::move(stream)));
  connections_.back()->self = std::prev(connections_.end());
}

}  // namespace lateen::samples
