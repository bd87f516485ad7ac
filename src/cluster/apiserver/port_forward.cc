// See port_forward.h.
#include "cluster/apiserver/port_forward.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <map>

#include "base/strings.h"
#include "cluster/apiserver/spdy.h"
#include "cluster/apiserver/web_socket.h"

namespace lateen::cluster::apiserver {
namespace {

constexpr std::size_t kReadBytes = 32 * 1024;
constexpr std::size_t kMostPairs = 1024;
// Towards the pods; above it the client waits (SPDY's windows are not used by anyone).
constexpr std::size_t kMostQueuedInput = 512 * 1024;

class PortForward final : public DuplexBody {
 public:
  PortForward(event::Loop& loop, http::Body from_client, ForwardPlan plan)
      : DuplexBody(loop, std::move(from_client)), plan_(std::move(plan)) {}
  ~PortForward() override { pairs_.clear(); }

 private:
  // One forwarded connection.
  struct Pair {
    std::uint32_t data_stream = 0;
    std::uint32_t error_stream = 0;
    int port = 0;
    bool is_dialed = false;
    bool is_input_ended = false;   // the client sends no more
    bool is_output_ended = false;  // the pod sends no more
    Fd socket;
    Buffer queue;                           // towards the pod
    std::unique_ptr<event::FdWatch> watch;  // after `socket`: goes first
  };
  using Pairs = std::map<std::string, std::unique_ptr<Pair>>;

  void on_bytes(std::string_view bytes) override {
    if (!plan_.is_tunnelled) return on_spdy(bytes);
    auto messages = web_socket_.feed(bytes);
    if (!messages.ok()) return finish();
    for (const auto& message : *messages) {
      if (message.type == WebSocketMessage::Type::kPing) {
        send(WebSocketCodec::frame(WebSocketMessage::Type::kPong, message.data));
      } else if (message.type == WebSocketMessage::Type::kClose) {
        send(WebSocketCodec::frame(WebSocketMessage::Type::kClose, message.data.substr(0, 2)));
        finish();
      } else if (message.type != WebSocketMessage::Type::kPong) {
        on_spdy(message.data);
      }
    }
  }
  void on_end() override { finish(); }
  bool is_input_wanted() const override {
    std::size_t queued = 0;
    for (const auto& [id, pair] : pairs_) queued += pair->queue.size();
    return queued < kMostQueuedInput;
  }

  void on_spdy(std::string_view bytes) {
    auto frames = codec_.feed(bytes);
    if (!frames.ok()) return finish();
    for (const auto& frame : *frames) on_frame(frame);
  }

  void write(std::string frame) {
    send(plan_.is_tunnelled ? WebSocketCodec::frame(WebSocketMessage::Type::kBinary, frame)
                            : std::move(frame));
  }

  void on_frame(const SpdyFrame& frame) {
    switch (frame.type) {
      case SpdyFrame::Type::kSynStream: return on_stream(frame);
      case SpdyFrame::Type::kData: {
        Pair* pair = by_data_stream(frame.stream);
        if (pair == nullptr) return;
        pair->queue.append(frame.data);
        if (frame.is_fin) pair->is_input_ended = true;
        return write_pod(*pair);
      }
      case SpdyFrame::Type::kReset: {
        if (Pair* pair = by_data_stream(frame.stream)) erase(*pair);
        return;
      }
      case SpdyFrame::Type::kPing: return write(SpdyCodec::ping(frame.stream));
      case SpdyFrame::Type::kGoAway: return finish();
      default: return;
    }
  }

  void on_stream(const SpdyFrame& frame) {
    const auto port = parse_int(frame.header("port"));
    const auto type = frame.header("streamtype");
    if (!port || *port < 1 || *port > 65535 || (type != "data" && type != "error") ||
        pairs_.size() >= kMostPairs) {
      return write(SpdyCodec::reset(frame.stream, 1));
    }
    write(codec_.syn_reply(frame.stream, {}));
    // Old clients send no requestid: the error stream's id, or the one before the data stream's.
    std::string id(frame.header("requestid"));
    if (id.empty()) id = std::to_string(type == "error" ? frame.stream : frame.stream - 2);
    auto& pair = pairs_[id];
    if (pair == nullptr) pair = std::make_unique<Pair>();
    pair->port = static_cast<int>(*port);
    (type == "data" ? pair->data_stream : pair->error_stream) = frame.stream;
    if (pair->data_stream != 0 && pair->error_stream != 0 && !pair->is_dialed) dial(id, *pair);
  }

  void dial(const std::string& id, Pair& pair) {
    pair.is_dialed = true;
    auto work = [gate = gate(), plan = plan_, port = pair.port, id, this]() mutable {
      auto socket = std::make_shared<Result<Fd>>(plan.streams->port_forward(plan.pod, port));
      gate.post([this, id, socket] { dialed(id, std::move(*socket)); });
    };
    if (!plan_.pool->submit(std::move(work)))
      drop(pair, "the server has too many requests under way");
  }

  void dialed(const std::string& id, Result<Fd> socket) {
    const auto found = pairs_.find(id);
    if (found == pairs_.end()) return;
    Pair& pair = *found->second;
    if (!socket.ok()) {
      return drop(pair, fmt::format("error forwarding port {} to pod {}, uid : {}", pair.port,
                                    plan_.pod.name, socket.error().message()));
    }
    pair.socket = std::move(*socket);
    pair.watch = loop().watch(pair.socket.get(), [this, id](event::FdWatch::Ready) {
      if (const auto at = pairs_.find(id); at != pairs_.end()) write_pod(*at->second);
      if (const auto at = pairs_.find(id); at != pairs_.end()) read_pod(*at->second);
    });
    write_pod(pair);
    if (const auto at = pairs_.find(id); at != pairs_.end()) read_pod(*at->second);
  }

  void write_pod(Pair& pair) {
    if (!pair.socket.is_open()) return;
    while (!pair.queue.empty()) {
      const auto piece = pair.queue.front();
      const ssize_t put = ::send(pair.socket.get(), piece.data(), piece.size(), MSG_NOSIGNAL);
      if (put > 0) {
        pair.queue.drop(static_cast<std::size_t>(put));
        if (is_input_wanted()) resume_input();
      } else if (put < 0 && errno == EINTR) {
        continue;
      } else if (put < 0 && errno == EAGAIN) {
        return;
      } else {
        return drop(pair, fmt::format("writing to port {}: connection lost", pair.port));
      }
    }
    if (!pair.is_input_ended) return;
    ::shutdown(pair.socket.get(), SHUT_WR);
    if (pair.is_output_ended) erase(pair);
  }

  void read_pod(Pair& pair) {
    while (pair.socket.is_open() && !pair.is_output_ended && !is_full()) {
      char bytes[kReadBytes];
      const ssize_t got = ::recv(pair.socket.get(), bytes, sizeof bytes, 0);
      if (got > 0) {
        write(SpdyCodec::data(pair.data_stream, {bytes, static_cast<std::size_t>(got)}, false));
      } else if (got < 0 && errno == EINTR) {
        continue;
      } else if (got < 0 && errno == EAGAIN) {
        return;
      } else {
        pair.is_output_ended = true;
        write(SpdyCodec::data(pair.data_stream, {}, true));
        write(SpdyCodec::data(pair.error_stream, {}, true));
        if (pair.is_input_ended && pair.queue.empty()) erase(pair);
        return;
      }
    }
  }

  void on_drained() override {
    std::vector<std::string> ids;
    for (const auto& [id, pair] : pairs_) ids.push_back(id);
    for (const auto& id : ids) {
      if (const auto at = pairs_.find(id); at != pairs_.end()) read_pod(*at->second);
    }
  }

  void drop(Pair& pair, const std::string& why) {
    write(SpdyCodec::data(pair.error_stream, why, true));
    write(SpdyCodec::data(pair.data_stream, {}, true));
    erase(pair);
  }

  void erase(Pair& pair) {
    for (auto at = pairs_.begin(); at != pairs_.end(); ++at) {
      if (at->second.get() != &pair) continue;
      // Its watch may be what called us: it goes at the end of this turn.
      auto gone = std::make_shared<std::unique_ptr<Pair>>(std::move(at->second));
      pairs_.erase(at);
      resume_input();
      loop().defer([gone] {});
      return;
    }
  }

  Pair* by_data_stream(std::uint32_t stream) {
    for (const auto& [id, pair] : pairs_) {
      if (pair->data_stream == stream) return pair.get();
    }
    return nullptr;
  }

  ForwardPlan plan_;
  SpdyCodec codec_;
  WebSocketCodec web_socket_;
  Pairs pairs_;
};

}  // namespace

std::unique_ptr<DuplexBody> make_port_forward(event::Loop& loop, http::Body from_client,
                                              ForwardPlan plan) {
  return std::make_unique<PortForward>(loop, std::move(from_client), std::move(plan));
}

}  // namespace lateen::cluster::apiserver
