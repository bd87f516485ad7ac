// HTTP/1 heads and chunk framing, written straight into an output buffer.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "http/message.h"

namespace lateen::http::h1 {

// Writes one head in one contiguous run. Fields that belong to the connection (RFC 9110 §7.6.1) and
// host are left out of fields(): the codec writes its own. Values with CR, LF or NUL are dropped,
// so that no service can split a message.
class HeadWriter {
 public:
  // Room for `headers` and about 512 bytes more; longer text() goes through `extra_bytes`.
  HeadWriter(Buffer& out, const Headers& headers, std::size_t extra_bytes = 0);

  void text(std::string_view text);
  void number(std::uint64_t value);
  void field(std::string_view name, std::string_view value);
  // All fields but those the codec owns; content-length only when `is_length_kept`.
  void fields(const Headers& headers, bool is_case_kept, bool is_length_kept, bool is_upgrade_kept);
  // The blank line; commits.
  void end();

  bool has_date() const { return has_date_; }
  bool has_server() const { return has_server_; }

 private:
  Buffer& out_;
  char* begin_;
  char* at_;
  char* limit_;
  bool has_date_ = false;
  bool has_server_ = false;
};

// "Sun, 06 Nov 1994 08:49:37 GMT" into 29 bytes at `to`.
void write_http_date(WallTime time, char* to);

void write_chunk(Buffer& out, Buffer&& data);  // nothing when `data` is empty
void write_last_chunk(Buffer& out, const Headers* trailers);

// Whether the field is one that never crosses a hop.
bool is_connection_field(std::string_view name);

}  // namespace lateen::http::h1
