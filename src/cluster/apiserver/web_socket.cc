// See web_socket.h.
#include "cluster/apiserver/web_socket.h"

#include <openssl/sha.h>

#include "base/strings.h"

namespace lateen::cluster::apiserver {
namespace {
constexpr int kContinuation = 0;
}

Result<std::vector<WebSocketMessage>> WebSocketCodec::feed(std::string_view bytes) {
  pending_ += bytes;
  std::vector<WebSocketMessage> messages;
  std::size_t at = 0;
  while (pending_.size() - at >= 2) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(pending_[at + i]); };
    const bool is_final = (byte(0) & 0x80) != 0;
    const int opcode = byte(0) & 0x0f;
    const bool is_masked = (byte(1) & 0x80) != 0;
    std::uint64_t length = byte(1) & 0x7f;
    std::size_t head = 2;
    const std::size_t extra = length == 126 ? 2 : length == 127 ? 8 : 0;
    if (pending_.size() - at < head + extra + (is_masked ? 4 : 0)) break;
    if (extra != 0) {
      length = 0;
      for (std::size_t i = 0; i < extra; ++i) length = length << 8 | byte(head + i);
      head += extra;
    }
    if (length > kMostMessageBytes) return invalid("a WebSocket frame is too large");
    if (!is_masked) return invalid("a WebSocket client must mask its frames");
    const std::size_t mask_at = at + head;
    head += 4;
    if (pending_.size() - at < head + length) break;
    std::string data = pending_.substr(at + head, length);
    for (std::size_t i = 0; i < data.size(); ++i) {
      data[i] = static_cast<char>(data[i] ^ pending_[mask_at + i % 4]);
    }
    at += head + length;
    if (opcode >= 8) {
      messages.push_back({static_cast<WebSocketMessage::Type>(opcode), std::move(data)});
      continue;
    }
    if (opcode != kContinuation) {
      fragment_type_ = static_cast<WebSocketMessage::Type>(opcode);
      fragments_.clear();
    }
    if (fragments_.size() + data.size() > kMostMessageBytes)
      return invalid("a WebSocket message is too large");
    fragments_ += data;
    if (is_final) messages.push_back({fragment_type_, std::exchange(fragments_, {})});
  }
  pending_.erase(0, at);
  return messages;
}

std::string WebSocketCodec::frame(WebSocketMessage::Type type, std::string_view data) {
  std::string made;
  made += static_cast<char>(0x80 | static_cast<int>(type));
  if (data.size() < 126) {
    made += static_cast<char>(data.size());
  } else if (data.size() < 65536) {
    made += static_cast<char>(126);
    made += static_cast<char>(data.size() >> 8);
    made += static_cast<char>(data.size());
  } else {
    made += static_cast<char>(127);
    for (int shift = 56; shift >= 0; shift -= 8) made += static_cast<char>(data.size() >> shift);
  }
  made += data;
  return made;
}

std::string WebSocketCodec::close(std::uint16_t code, std::string_view reason) {
  std::string data;
  data += static_cast<char>(code >> 8);
  data += static_cast<char>(code);
  data += reason;
  return frame(WebSocketMessage::Type::kClose, data);
}

std::string WebSocketCodec::accept_key(std::string_view key) {
  const std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  unsigned char digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return base64_encode({reinterpret_cast<const char*>(digest), sizeof digest});
}

}  // namespace lateen::cluster::apiserver
