// See the gRPC over HTTP/2 protocol description (PROTOCOL-HTTP2).
#include "grpc/framing.h"

#include "base/strings.h"

namespace lateen::grpc {

static constexpr std::size_t kPrefixBytes = 5;
static constexpr std::int64_t kMostTimeoutDigits = 99'999'999;

void append_frame(Buffer& out, std::string message) {
  Buffer body;
  body.adopt(std::move(message));
  append_frame(out, std::move(body));
}

void append_frame(Buffer& out, Buffer message) {
  const auto size = static_cast<std::uint32_t>(message.size());
  const char prefix[kPrefixBytes] = {0, static_cast<char>(size >> 24),
                                     static_cast<char>(size >> 16), static_cast<char>(size >> 8),
                                     static_cast<char>(size)};
  out.append(std::string_view(prefix, kPrefixBytes));
  out.append(std::move(message));
}

Result<std::optional<std::string>> MessageReader::next() {
  if (bytes_.size() < kPrefixBytes) return std::optional<std::string>();
  const std::string_view prefix = bytes_.flatten(kPrefixBytes);
  std::size_t size = 0;
  for (std::size_t i = 1; i < kPrefixBytes; ++i) {
    size = size << 8 | static_cast<unsigned char>(prefix[i]);
  }
  if (prefix[0] != 0) {
    return Error(Code::kUnimplemented, "compressed gRPC messages are not supported");
  }
  if (size > most_message_bytes_) {
    return Error(Code::kResourceExhausted, "a gRPC message of " + std::to_string(size) +
                                               " bytes is larger than the limit of " +
                                               std::to_string(most_message_bytes_));
  }
  if (bytes_.size() < kPrefixBytes + size) return std::optional<std::string>();
  bytes_.drop(kPrefixBytes);
  return std::optional(bytes_.take(size).to_string());
}

std::string encode_message(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte <= 0x7e && byte != '%') {
      out += c;
      continue;
    }
    out += '%';
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

std::string decode_message(std::string_view text) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 &&
        digit(text[i + 2]) >= 0) {
      out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::optional<nanoseconds> parse_timeout(std::string_view text) {
  if (text.size() < 2 || text.size() > 9) return std::nullopt;
  const auto count = parse_uint(text.substr(0, text.size() - 1));
  if (!count) return std::nullopt;
  const auto value = static_cast<std::int64_t>(*count);
  switch (text.back()) {
    case 'H': return hours(std::min<std::int64_t>(value, 24 * 365 * 100));
    case 'M': return minutes(value);
    case 'S': return seconds(value);
    case 'm': return milliseconds(value);
    case 'u': return microseconds(value);
    case 'n': return nanoseconds(value);
    default: return std::nullopt;
  }
}

std::string format_timeout(nanoseconds timeout) {
  const std::int64_t count = std::max<std::int64_t>(timeout.count(), 0);
  if (count / 1000 <= kMostTimeoutDigits) return std::to_string(count / 1000) + "u";
  if (count / 1'000'000 <= kMostTimeoutDigits) return std::to_string(count / 1'000'000) + "m";
  return std::to_string(std::min(count / 1'000'000'000, kMostTimeoutDigits)) + "S";
}

void add_status(http::Headers& fields, Code code, std::string_view message) {
  fields.add("grpc-status", std::to_string(static_cast<int>(code)));
  if (!message.empty()) fields.add("grpc-message", encode_message(message));
}

std::optional<std::pair<Code, std::string>> read_status(const http::Headers& fields) {
  const auto text = fields.get("grpc-status");
  if (!text) return std::nullopt;
  const auto number = parse_uint(*text);
  const Code code = number && *number <= 16 ? static_cast<Code>(*number) : Code::kUnknown;
  return std::pair(code, decode_message(fields.get("grpc-message").value_or("")));
}

Code code_of_http_status(int status) {
  switch (status) {
    case 400: return Code::kInternal;
    case 401: return Code::kUnauthenticated;
    case 403: return Code::kPermissionDenied;
    case 404: return Code::kUnimplemented;
    case 429:
    case 502:
    case 503:
    case 504: return Code::kUnavailable;
    default: return Code::kUnknown;
  }
}

}  // namespace lateen::grpc
