// HTTP/1 body decoding (RFC 9112 §6, §7), sans-IO: from the bytes of a connection to the bytes of a
// body.
#pragma once

#include <optional>
#include <string_view>

#include "http/h1_parser.h"

namespace lateen::http::h1 {

class BodyDecoder {
 public:
  enum class State : unsigned char {
    kMore,      // all of `in` that belongs to the body so far was moved
    kDone,      // the body is complete; what is left of `in` belongs to the next message
    kMalformed  // see why(); the connection cannot go on
  };

  void start(Framing framing, std::uint64_t length, const Limits& limits);
  // Moves body bytes from `in` to the end of `out`, at most about `most_bytes`.
  State decode(Buffer& in, Buffer& out, std::size_t most_bytes);
  // The peer closed: whether that ends the body properly.
  bool finish_at_eof();
  bool is_done() const { return stage_ == Stage::kDone; }
  bool is_tunnel() const { return framing_ == Framing::kTunnel; }
  // Trailer text with its blank line, after kDone; empty when there were none.
  const Buffer& trailer_text() const { return trailers_; }
  std::string_view why() const { return why_; }
  // Body bytes known to be outstanding; nullopt for chunked and until-close.
  std::optional<std::uint64_t> known_left() const;

 private:
  enum class Stage : unsigned char { kDone, kRaw, kSizeLine, kChunkData, kChunkEnd, kTrailers };

  bool read_size_line(Buffer& in);
  bool read_trailers(Buffer& in);
  bool fail(std::string_view why);

  Framing framing_ = Framing::kNone;
  Stage stage_ = Stage::kDone;
  std::uint64_t left_ = 0;            // of a length-framed body or of the current chunk
  std::uint64_t overhead_bytes_ = 0;  // chunk framing beyond what the data pays for
  Limits limits_{};
  HeadScanner trailer_scan_;
  Buffer trailers_;
  std::string_view why_;
};

}  // namespace lateen::http::h1
