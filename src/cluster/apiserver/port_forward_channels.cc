// Port-forward in WebSocket messages without SPDY (v4.channel.k8s.io, as kubelet speaks it): port i
// of the request has channel 2i for its bytes and 2i+1 for its error; each opens with the port as
// two bytes, low byte first.
#include <fmt/format.h>
#include <sys/socket.h>

#include <cerrno>

#include "cluster/apiserver/port_forward.h"
#include "cluster/apiserver/web_socket.h"

namespace lateen::cluster::apiserver {
namespace {

constexpr std::size_t kReadBytes = 32 * 1024;
constexpr std::size_t kMostInputBytes =
    16u << 20;  // waiting for the pod to read; no window holds the client back

class ChannelForward final : public DuplexBody {
 public:
  ChannelForward(event::Loop& loop, http::Body from_client, ForwardPlan plan,
                 std::vector<int> ports)
      : DuplexBody(loop, std::move(from_client)), plan_(std::move(plan)) {
    for (const int port : ports) lines_.push_back(std::make_unique<Line>(port));
    for (std::size_t i = 0; i < lines_.size(); ++i) open(i);
  }
  ~ChannelForward() override { lines_.clear(); }

 private:
  // One forwarded port.
  struct Line {
    explicit Line(int p) : port(p) {}
    int port;
    bool is_ended = false;
    Fd socket;
    Buffer queue;                           // towards the pod
    std::unique_ptr<event::FdWatch> watch;  // after `socket`: goes first
  };

  void tell(std::size_t channel, std::string_view bytes) {
    std::string payload(1, static_cast<char>(channel));
    payload += bytes;
    send(WebSocketCodec::frame(WebSocketMessage::Type::kBinary, payload));
  }

  void open(std::size_t index) {
    const int port = lines_[index]->port;
    const char echo[2] = {static_cast<char>(port & 0xff), static_cast<char>(port >> 8)};
    tell(2 * index, {echo, 2});
    tell(2 * index + 1, {echo, 2});
    auto work = [gate = gate(), plan = plan_, port, index, this]() mutable {
      auto socket = std::make_shared<Result<Fd>>(plan.streams->port_forward(plan.pod, port));
      gate.post([this, index, socket] { dialed(index, std::move(*socket)); });
    };
    if (!plan_.pool->submit(std::move(work)))
      drop(index, "the server has too many requests under way");
  }

  void dialed(std::size_t index, Result<Fd> socket) {
    Line& line = *lines_[index];
    if (line.is_ended) return;
    if (!socket.ok()) {
      return drop(index, fmt::format("error forwarding port {} to pod {}: {}", line.port,
                                     plan_.pod.name, socket.error().message()));
    }
    line.socket = std::move(*socket);
    line.watch = loop().watch(line.socket.get(), [this, index](event::FdWatch::Ready) {
      write_pod(index);
      read_pod(index);
    });
    write_pod(index);
    read_pod(index);
  }

  void on_bytes(std::string_view bytes) override {
    auto messages = web_socket_.feed(bytes);
    if (!messages.ok()) return finish();
    for (const auto& message : *messages) {
      if (message.type == WebSocketMessage::Type::kPing) {
        send(WebSocketCodec::frame(WebSocketMessage::Type::kPong, message.data));
      } else if (message.type == WebSocketMessage::Type::kClose) {
        send(WebSocketCodec::frame(WebSocketMessage::Type::kClose, message.data.substr(0, 2)));
        return finish();
      } else if (message.type != WebSocketMessage::Type::kPong && message.data.size() > 1) {
        on_data(static_cast<unsigned char>(message.data[0]),
                std::string_view(message.data).substr(1));
      }
    }
  }

  void on_data(std::size_t channel, std::string_view bytes) {
    // Odd channels carry errors towards the client only.
    if (channel % 2 != 0 || channel / 2 >= lines_.size()) return;
    Line& line = *lines_[channel / 2];
    if (line.is_ended) return;
    line.queue.append(bytes);
    if (line.queue.size() > kMostInputBytes) return drop(channel / 2, "the pod does not read");
    write_pod(channel / 2);
  }
  void on_end() override { finish(); }
  void on_drained() override {
    for (std::size_t i = 0; i < lines_.size(); ++i) read_pod(i);
  }

  void write_pod(std::size_t index) {
    Line& line = *lines_[index];
    while (line.socket.is_open() && !line.is_ended && !line.queue.empty()) {
      const auto piece = line.queue.front();
      const ssize_t put = ::send(line.socket.get(), piece.data(), piece.size(), MSG_NOSIGNAL);
      if (put > 0) line.queue.drop(static_cast<std::size_t>(put));
      else if (put < 0 && errno == EAGAIN) return;
      else if (put >= 0 || errno != EINTR) return drop(index, "");
    }
  }

  void read_pod(std::size_t index) {
    Line& line = *lines_[index];
    while (line.socket.is_open() && !line.is_ended && !is_full()) {
      char bytes[kReadBytes];
      const ssize_t got = ::recv(line.socket.get(), bytes, sizeof bytes, 0);
      if (got > 0) tell(2 * index, {bytes, static_cast<std::size_t>(got)});
      else if (got < 0 && errno == EAGAIN) return;
      else if (got >= 0 || errno != EINTR) return drop(index, "");
    }
  }

  // Ends one port; the connection ends with the last.
  void drop(std::size_t index, const std::string& why) {
    Line& line = *lines_[index];
    if (std::exchange(line.is_ended, true)) return;
    if (!why.empty()) tell(2 * index + 1, why);
    // Its watch may be what called us: it goes at the end of this turn.
    auto gone = std::make_shared<std::unique_ptr<event::FdWatch>>(std::move(line.watch));
    loop().defer([gone] {});
    ::shutdown(line.socket.get(), SHUT_RDWR);
    for (const auto& other : lines_) {
      if (!other->is_ended) return;
    }
    send(WebSocketCodec::frame(WebSocketMessage::Type::kClose, ""));
    finish();
  }

  ForwardPlan plan_;
  WebSocketCodec web_socket_;
  std::vector<std::unique_ptr<Line>> lines_;
};

}  // namespace

std::unique_ptr<DuplexBody> make_channel_forward(event::Loop& loop, http::Body from_client,
                                                 ForwardPlan plan, std::vector<int> ports) {
  return std::make_unique<ChannelForward>(loop, std::move(from_client), std::move(plan),
                                          std::move(ports));
}

}  // namespace lateen::cluster::apiserver
