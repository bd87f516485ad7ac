// See exec_wires.h.
#include "cluster/apiserver/exec_wires.h"

#include <map>

#include "cluster/apiserver/spdy.h"
#include "cluster/apiserver/web_socket.h"

namespace lateen::cluster::apiserver {
namespace {

class SpdyExec final : public ExecBody {
 public:
  using ExecBody::ExecBody;

 private:
  void on_bytes(std::string_view bytes) override {
    auto frames = codec_.feed(bytes);
    if (!frames.ok()) {
      finish();
      return;
    }
    for (auto& frame : *frames) on_frame(frame);
  }

  void on_frame(const SpdyFrame& frame) {
    switch (frame.type) {
      case SpdyFrame::Type::kSynStream: return on_stream(frame);
      case SpdyFrame::Type::kData: {
        const auto found = channels_.find(frame.stream);
        if (found == channels_.end()) return;
        const Channel channel = found->second;
        if (!frame.data.empty()) on_channel(channel, frame.data);
        if (frame.is_fin) on_channel_end(channel);
        return;
      }
      case SpdyFrame::Type::kReset: {
        const auto found = channels_.find(frame.stream);
        if (found != channels_.end()) on_channel_end(found->second);
        return;
      }
      case SpdyFrame::Type::kPing: return send(SpdyCodec::ping(frame.stream));
      case SpdyFrame::Type::kGoAway: return finish();
      default: return;
    }
  }

  // The client opens one stream per channel; all are there before the process starts.
  void on_stream(const SpdyFrame& frame) {
    const auto type = frame.header("streamtype");
    Channel channel = Channel::kError;
    if (type == "stdin") channel = Channel::kStdin;
    else if (type == "stdout") channel = Channel::kStdout;
    else if (type == "stderr") channel = Channel::kStderr;
    else if (type == "resize") channel = Channel::kResize;
    else if (type != "error") return send(SpdyCodec::reset(frame.stream, 1));
    channels_[frame.stream] = channel;
    streams_[channel] = frame.stream;
    last_stream_ = frame.stream;
    send(codec_.syn_reply(frame.stream, {}));
    const auto& request = plan().request;
    const std::size_t expected = 1 + (request.has_stdin ? 1 : 0) + (request.has_stdout ? 1 : 0) +
                                 (request.has_stderr && !request.is_tty ? 1 : 0) +
                                 (request.is_tty ? 1 : 0);
    if (streams_.size() >= expected) begin();
  }

  void write_channel(Channel channel, std::string_view bytes) override {
    const auto found = streams_.find(channel);
    if (found != streams_.end()) send(SpdyCodec::data(found->second, bytes, false));
  }

  void write_goodbye() override {
    for (const auto& [channel, stream] : streams_) send(SpdyCodec::data(stream, {}, true));
    send(SpdyCodec::go_away(last_stream_));
  }

  SpdyCodec codec_;
  std::map<std::uint32_t, Channel> channels_;
  std::map<Channel, std::uint32_t> streams_;
  std::uint32_t last_stream_ = 0;
};

class WebSocketExec final : public ExecBody {
 public:
  WebSocketExec(event::Loop& loop, http::Body from_client, ExecPlan plan, std::string protocol)
      : ExecBody(loop, std::move(from_client), std::move(plan)), protocol_(std::move(protocol)) {
    gate().post([this] { open(); });
  }

 private:
  static constexpr unsigned char kCloseSignal = 255;  // v5: [255, channel]

  // Clients of the older protocols expect an empty message on each output channel first.
  void open() {
    if (protocol_ != "v5.channel.k8s.io") {
      for (const Channel channel : {Channel::kStdout, Channel::kStderr, Channel::kError})
        write_channel(channel, {});
    }
    begin();
  }

  void on_bytes(std::string_view bytes) override {
    auto messages = codec_.feed(bytes);
    if (!messages.ok()) {
      send(WebSocketCodec::close(1002, messages.error().message()));
      finish();
      return;
    }
    for (const auto& message : *messages) {
      switch (message.type) {
        case WebSocketMessage::Type::kPing:
          send(WebSocketCodec::frame(WebSocketMessage::Type::kPong, message.data));
          break;
        case WebSocketMessage::Type::kClose:
          send(WebSocketCodec::frame(WebSocketMessage::Type::kClose, message.data.substr(0, 2)));
          finish();
          break;
        case WebSocketMessage::Type::kPong: break;
        default: on_message(message.data);
      }
    }
  }

  void on_message(std::string_view data) {
    if (data.empty()) return;
    const auto number = static_cast<unsigned char>(data.front());
    if (number == kCloseSignal) {
      if (data.size() >= 2) on_channel_end(static_cast<Channel>(data[1]));
    } else if (number <= static_cast<unsigned char>(Channel::kResize)) {
      on_channel(static_cast<Channel>(number), data.substr(1));
    }
  }

  void write_channel(Channel channel, std::string_view bytes) override {
    std::string message(1, static_cast<char>(channel));
    message += bytes;
    send(WebSocketCodec::frame(WebSocketMessage::Type::kBinary, message));
  }

  void write_goodbye() override { send(WebSocketCodec::close(1000, {})); }

  std::string protocol_;
  WebSocketCodec codec_;
};

}  // namespace

std::unique_ptr<DuplexBody> make_spdy_exec(event::Loop& loop, http::Body from_client,
                                           ExecPlan plan) {
  return std::make_unique<SpdyExec>(loop, std::move(from_client), std::move(plan));
}
std::unique_ptr<DuplexBody> make_web_socket_exec(event::Loop& loop, http::Body from_client,
                                                 ExecPlan plan, std::string protocol) {
  return std::make_unique<WebSocketExec>(loop, std::move(from_client), std::move(plan),
                                         std::move(protocol));
}

}  // namespace lateen::cluster::apiserver
