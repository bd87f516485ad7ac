// HTTP/1 heads (RFC 9112), sans-IO: where a head ends, and what it says. Parsing works in place:
// views in the results point into the text given, which its caller keeps as long as the exchange.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "http/message.h"

namespace lateen::http::h1 {

struct Limits {
  std::size_t max_header_bytes;  // request line or status line and all fields
  std::size_t max_header_count;
};

// A message we refuse: the status to answer with (server) and why, for the peer and the log.
struct Refusal {
  int status;
  std::string_view why;
};

// Finds the blank line that ends a head which arrives bit by bit; each byte is looked at once.
class HeadScanner {
 public:
  enum class State : unsigned char { kMore, kComplete, kBareLineFeed };
  // `bytes` starts at the head's first byte and has grown since the last call.
  State scan(std::string_view bytes);
  // Length of the head with its blank line, after kComplete.
  std::size_t head_bytes() const { return scanned_; }
  // Whether anything of a head was seen.
  bool has_begun() const { return scanned_ > 0 || line_start_ > 0; }
  void reset() { scanned_ = line_start_ = 0; }

 private:
  std::size_t scanned_ = 0;
  std::size_t line_start_ = 0;
};

enum class Framing : unsigned char { kNone, kLength, kChunked, kUntilClose, kTunnel };

// What a head says about its connection and body; hop-by-hop fields end up here and not in Headers.
struct HeadFacts {
  Framing framing = Framing::kNone;
  std::uint64_t length = 0;  // with kLength
  bool is_keep_alive = true;
  bool is_continue_expected = false;
};

// `head` is complete, with its blank line. Fills `out` and `facts`. A request that asks for an
// upgrade has `out.upgrade` set and framing kTunnel, CONNECT likewise.
std::optional<Refusal> parse_request(std::string_view head, const Limits& limits, Request& out,
                                     HeadFacts& facts);

// `request_method` and `is_upgrade_wanted` of the request decide about the body. 1xx heads have
// kNone.
std::optional<Refusal> parse_response(std::string_view head, const Limits& limits,
                                      std::string_view request_method, bool is_upgrade_wanted,
                                      Response& out, HeadFacts& facts);

// Trailer fields with their blank line; framing fields among them are dropped (RFC 9110 §6.5.1).
std::optional<Refusal> parse_trailers(std::string_view text, const Limits& limits, Headers& out);

bool is_token(std::string_view text);        // RFC 9110 §5.6.2
bool is_field_value(std::string_view text);  // no control characters but HTAB
// A host with an optional port (RFC 3986 §3.2), without user information.
bool is_authority(std::string_view text);
// Whether the comma-separated `list` has `token`, without case.
bool has_token(std::string_view list, std::string_view token);

}  // namespace lateen::http::h1
