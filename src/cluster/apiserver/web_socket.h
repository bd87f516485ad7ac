// WebSocket framing, server side (RFC 6455): bytes in, messages out, and back. Sans I/O; one
// connection.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lateen::cluster::apiserver {

struct WebSocketMessage {
  enum class Type : unsigned char { kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };
  Type type = Type::kBinary;
  std::string data;
};

class WebSocketCodec {
 public:
  static constexpr std::size_t kMostMessageBytes = 8u << 20;
  // Messages that are complete now. Frames of clients must be masked.
  Result<std::vector<WebSocketMessage>> feed(std::string_view bytes);
  static std::string frame(WebSocketMessage::Type type, std::string_view data);
  static std::string close(std::uint16_t code, std::string_view reason);
  // Sec-WebSocket-Accept for a client's Sec-WebSocket-Key.
  static std::string accept_key(std::string_view key);

 private:
  std::string pending_;
  std::string fragments_;
  WebSocketMessage::Type fragment_type_ = WebSocketMessage::Type::kBinary;
};

}  // namespace lateen::cluster::apiserver
