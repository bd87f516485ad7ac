// Frames by RFC 6455 §5.2: clients mask, messages may come in fragments; pings are answered.
#include "kube/port_forward.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/random.h"
#include "base/strings.h"

namespace lateen::kube {
namespace {

constexpr std::size_t kMaxFrameBytes = 16u << 20;
constexpr std::size_t kMostRelays = 256;
constexpr unsigned char kBinary = 2, kClose = 8, kPing = 9, kPong = 10;

std::string make_frame(unsigned char opcode, std::string_view payload) {
  std::string frame;
  frame += static_cast<char>(0x80 | opcode);
  if (payload.size() < 126) {
    frame += static_cast<char>(0x80 | payload.size());
  } else if (payload.size() < 65536) {
    frame += static_cast<char>(0x80 | 126);
    for (int shift = 8; shift >= 0; shift -= 8)
      frame += static_cast<char>(payload.size() >> shift & 0xff);
  } else {
    frame += static_cast<char>(0x80 | 127);
    for (int shift = 56; shift >= 0; shift -= 8)
      frame += static_cast<char>(payload.size() >> shift & 0xff);
  }
  // The mask hides nothing here (TLS does); zero is a valid mask and saves the work.
  frame.append(4, '\0');
  frame += payload;
  return frame;
}

}  // namespace

Result<std::unique_ptr<PodStream>> PodStream::open(Client& client, const Key& pod, int port) {
  http::PlainRequest request;
  request.method = "GET";
  request.url =
      resources::pods().path(pod.ns, pod.name, "portforward") + "?ports=" + std::to_string(port);
  std::string key(16, '\0');
  system_random()->fill({reinterpret_cast<unsigned char*>(key.data()), key.size()});
  request.headers = {{"Sec-WebSocket-Version", "13"},
                     {"Sec-WebSocket-Key", base64_encode(key)},
                     {"Sec-WebSocket-Protocol", "v4.channel.k8s.io"}};
  auto tunnel = TRY(client.transport()
                        .upgrade(request, "websocket")
                        .at("port-forward to pod " + pod.to_string()));
  return std::unique_ptr<PodStream>(new PodStream(std::move(tunnel)));
}

Result<bool> PodStream::fill(std::size_t bytes) {
  while (buffer_.size() < bytes) {
    const std::string more = TRY(tunnel_->read());
    if (more.empty()) return false;
    buffer_ += more;
  }
  return true;
}

Result<std::optional<std::pair<int, std::string>>> PodStream::next_frame() {
  if (!TRY(fill(2))) return std::optional<std::pair<int, std::string>>();
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(buffer_[i]); };
  const unsigned char opcode = byte(0) & 0x0f;
  const bool is_masked = (byte(1) & 0x80) != 0;
  std::uint64_t length = byte(1) & 0x7f;
  std::size_t head = 2;
  const int extra = length == 126 ? 2 : length == 127 ? 8 : 0;
  if (extra > 0) {
    if (!TRY(fill(head + static_cast<std::size_t>(extra))))
      return std::optional<std::pair<int, std::string>>();
    length = 0;
    for (int i = 0; i < extra; ++i) length = length << 8 | byte(head + static_cast<std::size_t>(i));
    head += static_cast<std::size_t>(extra);
  }
  if (length > kMaxFrameBytes) return unavailable("port-forward: a frame is too large");
  std::string mask;
  if (is_masked) {
    if (!TRY(fill(head + 4))) return std::optional<std::pair<int, std::string>>();
    mask = buffer_.substr(head, 4);
    head += 4;
  }
  if (!TRY(fill(head + length))) return std::optional<std::pair<int, std::string>>();
  std::string payload = buffer_.substr(head, length);
  buffer_.erase(0, head + length);
  for (std::size_t i = 0; i < payload.size() && is_masked; ++i)
    payload[i] = static_cast<char>(payload[i] ^ mask[i % 4]);
  return std::optional(std::pair<int, std::string>(opcode, std::move(payload)));
}

Result<std::string> PodStream::read() {
  for (;;) {
    auto frame = TRY(next_frame());
    if (!frame || frame->first == kClose) return std::string();
    if (frame->first == kPing) {
      TRY(tunnel_->write(make_frame(kPong, frame->second)));
      continue;
    }
    if (frame->second.empty() || frame->first == kPong) continue;
    const int channel = static_cast<unsigned char>(frame->second[0]);
    std::string bytes = frame->second.substr(1);
    if (channel > 1) continue;
    // Both channels open with the port as two bytes.
    const std::size_t skip =
        std::min<std::size_t>(bytes.size(), static_cast<std::size_t>(2 - skipped_[channel]));
    skipped_[channel] += static_cast<int>(skip);
    bytes.erase(0, skip);
    if (bytes.empty()) continue;
    if (channel == 1) return unavailable("port-forward: " + bytes);
    return bytes;
  }
}

Result<> PodStream::write(std::string_view bytes) {
  std::string payload(1, '\0');
  payload += bytes;
  return tunnel_->write(make_frame(kBinary, payload));
}

void PodStream::close() { (void)tunnel_->write(make_frame(kClose, "")); }

// One accepted connection: a thread each way.
struct PortForwarder::Relay {
  Fd local;
  std::unique_ptr<PodStream> remote;
  std::thread up, down;
  std::atomic<int> running{0};

  void start() {
    running = 2;
    up = std::thread([this] {
      char bytes[16384];
      for (;;) {
        const ssize_t count = ::recv(local.get(), bytes, sizeof bytes, 0);
        if (count <= 0 || !remote->write({bytes, static_cast<std::size_t>(count)})) break;
      }
      remote->close();
      --running;
    });
    down = std::thread([this] {
      for (;;) {
        auto bytes = remote->read();
        if (!bytes) LOG(kWarn, "portforward", "{}", bytes.error().message());
        if (!bytes || bytes->empty()) break;
        std::string_view left = *bytes;
        while (!left.empty()) {
          const ssize_t count = ::send(local.get(), left.data(), left.size(), MSG_NOSIGNAL);
          if (count <= 0) break;
          left.remove_prefix(static_cast<std::size_t>(count));
        }
        if (!left.empty()) break;
      }
      ::shutdown(local.get(), SHUT_RDWR);  // Ends `up` too.
      --running;
    });
  }
  ~Relay() {
    ::shutdown(local.get(), SHUT_RDWR);
    if (up.joinable()) up.join();
    if (down.joinable()) down.join();
  }
};

Result<std::unique_ptr<PortForwarder>> PortForwarder::start(Client& client, const Key& pod,
                                                            int remote_port, int local_port) {
  Fd fd = TRY(net::listen_on(
      net::Address(net::Ip::v4(0x7f000001), static_cast<std::uint16_t>(local_port))));
  const int port = TRY(net::local_address_of(fd.get())).port();
  return std::unique_ptr<PortForwarder>(
      new PortForwarder(client, pod, remote_port, std::move(fd), port));
}

PortForwarder::PortForwarder(Client& client, Key pod, int remote_port, Fd listening, int local_port)
    : client_(client),
      pod_(std::move(pod)),
      remote_port_(remote_port),
      listening_(std::move(listening)),
      local_port_(local_port),
      thread_([this] { accept_all(); }) {}

PortForwarder::~PortForwarder() {
  is_stopping_ = true;
  thread_.join();
}

void PortForwarder::accept_all() {
  while (!is_stopping_) {
    pollfd watched{listening_.get(), POLLIN, 0};
    if (::poll(&watched, 1, 100) <= 0) continue;
    Fd fd(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd.is_open()) continue;
    std::erase_if(relays_, [](const auto& relay) { return relay->running == 0; });
    if (relays_.size() >= kMostRelays) continue;
    auto remote = PodStream::open(client_, pod_, remote_port_);
    if (!remote) {
      LOG(kWarn, "portforward", "{}", remote.error().message());
      continue;
    }
    auto relay = std::make_unique<Relay>();
    relay->local = std::move(fd);
    relay->remote = *std::move(remote);
    relay->start();
    relays_.push_back(std::move(relay));
  }
}

Result<http::PlainResponse> pod_get(Client& client, const Key& pod, int port,
                                    const std::string& path) {
  const auto forward = TRY(PortForwarder::start(client, pod, port, 0));
  http::BlockingClient http;
  http::PlainRequest request;
  request.url = "http://127.0.0.1:" + std::to_string(forward->local_port()) + path;
  request.headers = {{"Connection", "close"}};
  return http.call(request).at("GET " + path + " on pod " + pod.to_string() + " port " +
                               std::to_string(port));
}

}  // namespace lateen::kube
