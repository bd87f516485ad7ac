// Bare HTTP/2 frames (RFC 9113, 4.1), for peers that do what no library would.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lateen::http::testing {

enum FrameType : char {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kReset = 3,
  kSettings = 4,
  kPing = 6,
  kGoaway = 7,
  kWindow = 8,
  kContinuation = 9
};
inline constexpr char kEndStream = 1, kEndHeaders = 4;

inline std::string number(std::uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
          static_cast<char>(value >> 8), static_cast<char>(value)};
}
inline std::string frame(char type, char flags, std::uint32_t stream,
                         std::string_view payload = {}) {
  std::string out = number(static_cast<std::uint32_t>(payload.size())).substr(1);
  out += type;
  out += flags;
  return out + number(stream) + std::string(payload);
}

// Header blocks: :scheme http, :path /, :authority x.
inline constexpr std::string_view kGet("\x82\x86\x84\x41\x01x", 6);
inline constexpr std::string_view kPost("\x83\x86\x84\x41\x01x", 6);

inline const std::string kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
inline const std::string kHello = kPreface + frame(kSettings, 0, 0);

}  // namespace lateen::http::testing
