// See spdy.h; draft-mbelshe-httpbis-spdy-00 §2.
#include "cluster/apiserver/spdy.h"

#include <zlib.h>

#include "base/strings.h"
#include "cluster/apiserver/spdy_dictionary.h"

namespace lateen::cluster::apiserver {
namespace {

enum ControlType : std::uint16_t {
  kSynStream = 1,
  kSynReply = 2,
  kRstStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kHeaders = 8
};
constexpr unsigned char kFlagFin = 1;
constexpr std::size_t kFrameHead = 8;
constexpr std::uint32_t kStreamMask = 0x7fffffff;

void put32(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
}
std::uint32_t get32(std::string_view bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

const std::string& dictionary() {
  static const std::string made = [] {
    std::string text;
    for (const auto word : split(kSpdyWords, '|')) {
      put32(text, static_cast<std::uint32_t>(word.size()));
      text += word;
    }
    text += kSpdyTail;
    return text;
  }();
  return made;
}

std::string control(std::uint16_t type, unsigned char flags, std::string_view body) {
  std::string frame;
  put32(frame, 0x80030000u | type);
  put32(frame, static_cast<std::uint32_t>(flags) << 24 | static_cast<std::uint32_t>(body.size()));
  frame += body;
  return frame;
}

}  // namespace

std::string_view SpdyFrame::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

// One compression context per direction for the life of the connection.
struct SpdyCodec::Zlib {
  z_stream in{};
  z_stream out{};
  Zlib() {
    inflateInit(&in);
    deflateInit(&out, Z_BEST_COMPRESSION);
    deflateSetDictionary(&out, reinterpret_cast<const Bytef*>(dictionary().data()),
                         static_cast<uInt>(dictionary().size()));
  }
  ~Zlib() {
    inflateEnd(&in);
    deflateEnd(&out);
  }
};

SpdyCodec::SpdyCodec() : zlib_(std::make_unique<Zlib>()) {}
SpdyCodec::~SpdyCodec() = default;

Result<std::vector<SpdyFrame>> SpdyCodec::feed(std::string_view bytes) {
  pending_ += bytes;
  std::vector<SpdyFrame> frames;
  std::size_t at = 0;
  while (pending_.size() - at >= kFrameHead) {
    const std::string_view left = std::string_view(pending_).substr(at);
    const std::size_t length = get32(left.substr(4)) & 0xffffff;
    if (length > kMostFrameBytes) return invalid("a SPDY frame is too large");
    if (left.size() < kFrameHead + length) break;
    frames.push_back(TRY(parse(left.substr(0, kFrameHead + length))));
    at += kFrameHead + length;
  }
  pending_.erase(0, at);
  return frames;
}

Result<SpdyFrame> SpdyCodec::parse(std::string_view bytes) {
  SpdyFrame frame;
  const std::uint32_t first = get32(bytes);
  const auto flags = static_cast<unsigned char>(bytes[4]);
  std::string_view body = bytes.substr(kFrameHead);
  frame.is_fin = (flags & kFlagFin) != 0;
  if ((first & 0x80000000u) == 0) {
    frame.type = SpdyFrame::Type::kData;
    frame.stream = first;
    frame.data = body;
    return frame;
  }
  const auto type = static_cast<std::uint16_t>(first & 0xffff);
  if (type == kSettings || body.size() < 4) return frame;
  frame.stream = get32(body) & kStreamMask;
  switch (type) {
    case kSynStream:
      if (body.size() < 10) return invalid("a SYN_STREAM is too short");
      frame.type = SpdyFrame::Type::kSynStream;
      frame.headers = TRY(inflate(body.substr(10)));
      break;
    case kSynReply:
    case kHeaders:
      frame.type = type == kSynReply ? SpdyFrame::Type::kSynReply : SpdyFrame::Type::kHeaders;
      frame.headers = TRY(inflate(body.substr(4)));
      break;
    case kRstStream: frame.type = SpdyFrame::Type::kReset; break;
    case kPing:
      frame.type = SpdyFrame::Type::kPing;
      frame.stream = get32(body);
      break;
    case kGoAway: frame.type = SpdyFrame::Type::kGoAway; break;
    default: break;
  }
  return frame;
}

Result<SpdyHeaders> SpdyCodec::inflate(std::string_view block) {
  z_stream& stream = zlib_->in;
  std::string text;
  char piece[4096];
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(block.data()));
  stream.avail_in = static_cast<uInt>(block.size());
  do {
    stream.next_out = reinterpret_cast<Bytef*>(piece);
    stream.avail_out = sizeof piece;
    int code = ::inflate(&stream, Z_SYNC_FLUSH);
    if (code == Z_NEED_DICT) {
      code = inflateSetDictionary(&stream, reinterpret_cast<const Bytef*>(dictionary().data()),
                                  static_cast<uInt>(dictionary().size()));
      if (code == Z_OK) continue;
    }
    if (code != Z_OK && code != Z_BUF_ERROR)
      return invalid("a SPDY header block does not decompress");
    text.append(piece, sizeof piece - stream.avail_out);
    if (text.size() > kMostHeaderBytes) return invalid("a SPDY header block is too large");
    if (code == Z_BUF_ERROR) break;
  } while (stream.avail_in > 0 || stream.avail_out == 0);

  std::string_view left = text;
  const auto take = [&]() -> Result<std::string> {
    if (left.size() < 4) return invalid("a SPDY header block is cut off");
    const std::size_t size = get32(left);
    if (left.size() - 4 < size) return invalid("a SPDY header block is cut off");
    std::string word(left.substr(4, size));
    left.remove_prefix(4 + size);
    return word;
  };
  if (left.size() < 4) return invalid("a SPDY header block is cut off");
  const std::uint32_t count = get32(left);
  left.remove_prefix(4);
  SpdyHeaders headers;
  for (std::uint32_t i = 0; i < count; ++i) {
    std::string name = to_lower(TRY(take()));
    headers.emplace_back(std::move(name), TRY(take()));
  }
  return headers;
}

std::string SpdyCodec::deflate(const SpdyHeaders& headers) {
  std::string text;
  put32(text, static_cast<std::uint32_t>(headers.size()));
  for (const auto& [name, value] : headers) {
    put32(text, static_cast<std::uint32_t>(name.size()));
    text += name;
    put32(text, static_cast<std::uint32_t>(value.size()));
    text += value;
  }
  z_stream& stream = zlib_->out;
  stream.next_in = reinterpret_cast<Bytef*>(text.data());
  stream.avail_in = static_cast<uInt>(text.size());
  std::string made;
  char piece[4096];
  do {
    stream.next_out = reinterpret_cast<Bytef*>(piece);
    stream.avail_out = sizeof piece;
    ::deflate(&stream, Z_SYNC_FLUSH);
    made.append(piece, sizeof piece - stream.avail_out);
  } while (stream.avail_out == 0);
  return made;
}

std::string SpdyCodec::syn_reply(std::uint32_t stream, const SpdyHeaders& headers) {
  std::string body;
  put32(body, stream);
  body += deflate(headers);
  return control(kSynReply, 0, body);
}

std::string SpdyCodec::syn_stream(std::uint32_t stream, const SpdyHeaders& headers, bool is_fin) {
  std::string body;
  put32(body, stream);
  put32(body, 0);
  body += '\0';
  body += '\0';
  body += deflate(headers);
  return control(kSynStream, is_fin ? kFlagFin : 0, body);
}

std::string SpdyCodec::data(std::uint32_t stream, std::string_view bytes, bool is_fin) {
  std::string frame;
  put32(frame, stream);
  put32(frame, (is_fin ? static_cast<std::uint32_t>(kFlagFin) << 24 : 0) |
                   static_cast<std::uint32_t>(bytes.size()));
  frame += bytes;
  return frame;
}

std::string SpdyCodec::reset(std::uint32_t stream, std::uint32_t status) {
  std::string body;
  put32(body, stream);
  put32(body, status);
  return control(kRstStream, 0, body);
}

std::string SpdyCodec::ping(std::uint32_t id) {
  std::string body;
  put32(body, id);
  return control(kPing, 0, body);
}

std::string SpdyCodec::go_away(std::uint32_t last_stream) {
  std::string body;
  put32(body, last_stream);
  put32(body, 0);
  return control(kGoAway, 0, body);
}

}  // namespace lateen::cluster::apiserver
