// gRPC's wire details: message framing, status fields, time-outs.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/result.h"
#include "http/message.h"

namespace lateen::grpc {

// Five bytes of prefix, then the message; appended to `out`.
void append_frame(Buffer& out, std::string message);
void append_frame(Buffer& out, Buffer message);

// Cuts messages out of body bytes that arrive bit by bit.
class MessageReader {
 public:
  explicit MessageReader(std::size_t most_message_bytes)
      : most_message_bytes_(most_message_bytes) {}
  void add(Buffer&& bytes) { bytes_.append(std::move(bytes)); }
  // The next whole message; nullopt: more bytes are needed. Fails with Unimplemented for a
  // compressed message, ResourceExhausted for one that is too long.
  Result<std::optional<std::string>> next();
  bool is_at_boundary() const { return bytes_.empty(); }

 private:
  const std::size_t most_message_bytes_;
  Buffer bytes_;
};

// grpc-message: bytes outside printable ASCII and '%' are percent-encoded.
std::string encode_message(std::string_view text);
std::string decode_message(std::string_view text);  // bad escapes stay as they are

// grpc-timeout, "250m": at most eight digits and a unit of H M S m u n.
std::optional<nanoseconds> parse_timeout(std::string_view text);
std::string format_timeout(nanoseconds timeout);

// Adds grpc-status and, when there is one, grpc-message.
void add_status(http::Headers& fields, Code code, std::string_view message);
// The status in headers or trailers; nullopt when there is none.
std::optional<std::pair<Code, std::string>> read_status(const http::Headers& fields);
// For a response that is no gRPC.
Code code_of_http_status(int status);

}  // namespace lateen::grpc
