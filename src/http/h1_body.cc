// The chunk reader accepts exactly the grammar: CRLF line ends, hexadecimal sizes of at most 16
// digits, bounded extensions.
#include "http/h1_body.h"

#include <algorithm>
#include <limits>

namespace lateen::http::h1 {

static constexpr std::size_t kMostSizeLineBytes = 4096;
// Tiny chunks with long extensions cost us more than they carry; this much excess is tolerated per
// body.
static constexpr std::uint64_t kMostOverheadBytes = 16 * 1024;

void BodyDecoder::start(Framing framing, std::uint64_t length, const Limits& limits) {
  framing_ = framing;
  limits_ = limits;
  overhead_bytes_ = 0;
  trailers_.clear();
  trailer_scan_.reset();
  switch (framing) {
    case Framing::kNone: stage_ = Stage::kDone; break;
    case Framing::kLength:
      left_ = length;
      stage_ = length > 0 ? Stage::kRaw : Stage::kDone;
      break;
    case Framing::kChunked: stage_ = Stage::kSizeLine; break;
    case Framing::kUntilClose:
    case Framing::kTunnel:
      left_ = std::numeric_limits<std::uint64_t>::max();
      stage_ = Stage::kRaw;
      break;
  }
}

BodyDecoder::State BodyDecoder::decode(Buffer& in, Buffer& out, std::size_t most_bytes) {
  for (;;) {
    switch (stage_) {
      case Stage::kDone: return State::kDone;
      case Stage::kRaw:
      case Stage::kChunkData: {
        if (in.empty() || most_bytes == 0) return State::kMore;
        const std::size_t count =
            static_cast<std::size_t>(std::min<std::uint64_t>({in.size(), left_, most_bytes}));
        out.append(in.take(count));
        most_bytes -= count;
        if (framing_ == Framing::kUntilClose || framing_ == Framing::kTunnel) break;
        left_ -= count;
        if (left_ == 0) stage_ = stage_ == Stage::kRaw ? Stage::kDone : Stage::kChunkEnd;
        break;
      }
      case Stage::kSizeLine:
        if (!read_size_line(in)) return why_.empty() ? State::kMore : State::kMalformed;
        break;
      case Stage::kChunkEnd:
        if (in.size() < 2) return State::kMore;
        if (in.flatten(2) != "\r\n") {
          fail("a chunk is longer than it says");
          return State::kMalformed;
        }
        in.drop(2);
        stage_ = Stage::kSizeLine;
        break;
      case Stage::kTrailers:
        if (!read_trailers(in)) return why_.empty() ? State::kMore : State::kMalformed;
        break;
    }
  }
}

bool BodyDecoder::finish_at_eof() {
  if (stage_ == Stage::kDone) return true;
  if (framing_ != Framing::kUntilClose && framing_ != Framing::kTunnel) return false;
  stage_ = Stage::kDone;
  return true;
}

std::optional<std::uint64_t> BodyDecoder::known_left() const {
  if (stage_ == Stage::kDone) return 0;
  if (framing_ == Framing::kLength) return left_;
  return std::nullopt;
}

bool BodyDecoder::fail(std::string_view why) {
  why_ = why;
  return false;
}

bool BodyDecoder::read_size_line(Buffer& in) {
  if (in.empty()) return false;
  const std::size_t most = std::min(in.size(), kMostSizeLineBytes);
  // Usually the line lies in the first slice: avoid flattening a large buffer.
  std::string_view text = in.front().substr(0, most);
  std::size_t end = text.find('\n');
  if (end == std::string_view::npos && text.size() < most) {
    text = in.flatten(most);
    end = text.find('\n');
  }
  if (end == std::string_view::npos) {
    return fail(most == kMostSizeLineBytes ? "a chunk size line is too long" : "");
  }
  if (end == 0 || text[end - 1] != '\r') return fail("a chunk size line does not end with CRLF");
  const std::string_view line = text.substr(0, end - 1);

  std::uint64_t size = 0;
  std::size_t digits = 0;
  for (; digits < line.size(); ++digits) {
    const char c = line[digits];
    int value;
    if (c >= '0' && c <= '9') value = c - '0';
    else if (c >= 'a' && c <= 'f') value = c - 'a' + 10;
    else if (c >= 'A' && c <= 'F') value = c - 'A' + 10;
    else break;
    if (digits >= 15) return fail("a chunk size is too large");
    size = size * 16 + static_cast<std::uint64_t>(value);
  }
  if (digits == 0) return fail("a chunk size is not a hexadecimal number");
  std::string_view rest = line.substr(digits);
  const std::size_t blanks = rest.find_first_not_of(" \t");
  rest = blanks == std::string_view::npos ? std::string_view() : rest.substr(blanks);
  if ((!rest.empty() && rest.front() != ';') || (rest.empty() && digits != line.size()) ||
      !is_field_value(rest)) {
    return fail("a chunk size line is malformed");
  }

  overhead_bytes_ += end + 3;
  overhead_bytes_ -= std::min(overhead_bytes_, 16 + 2 * size);
  if (overhead_bytes_ > kMostOverheadBytes) return fail("too much chunk framing for little data");
  in.drop(end + 1);
  left_ = size;
  stage_ = size > 0 ? Stage::kChunkData : Stage::kTrailers;
  return true;
}

bool BodyDecoder::read_trailers(Buffer& in) {
  if (in.empty()) return false;
  const std::size_t most = std::min(in.size(), limits_.max_header_bytes + 1);
  switch (trailer_scan_.scan(in.flatten(most))) {
    case HeadScanner::State::kBareLineFeed: return fail("a trailer line does not end with CRLF");
    case HeadScanner::State::kMore:
      return fail(most > limits_.max_header_bytes ? "the trailers are too long" : "");
    case HeadScanner::State::kComplete: break;
  }
  const std::size_t bytes = trailer_scan_.head_bytes();
  if (bytes > 2) trailers_ = in.take(bytes);
  else in.drop(bytes);
  stage_ = Stage::kDone;
  return true;
}

}  // namespace lateen::http::h1
