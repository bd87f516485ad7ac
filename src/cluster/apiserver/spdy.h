// SPDY/3.1 framing as Kubernetes' streaming endpoints use it: bytes in, frames out, and back. Sans
// I/O; one connection. Flow control windows are not kept: no Kubernetes client or server does.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace lateen::cluster::apiserver {

using SpdyHeaders = std::vector<std::pair<std::string, std::string>>;  // names lower case

struct SpdyFrame {
  enum class Type : unsigned char {
    kSynStream,
    kSynReply,
    kReset,
    kPing,
    kGoAway,
    kData,
    kHeaders,
    kOther
  };
  Type type = Type::kOther;
  std::uint32_t stream = 0;  // ping: its id
  bool is_fin = false;
  SpdyHeaders headers;
  std::string data;
  std::string_view header(std::string_view name) const;
};

class SpdyCodec {
 public:
  static constexpr std::size_t kMostFrameBytes = 8u << 20;
  static constexpr std::size_t kMostHeaderBytes = 256u << 10;

  SpdyCodec();
  ~SpdyCodec();
  // Frames that are complete now. An error ends the connection.
  Result<std::vector<SpdyFrame>> feed(std::string_view bytes);

  std::string syn_reply(std::uint32_t stream, const SpdyHeaders& headers);
  // For tests and clients.
  std::string syn_stream(std::uint32_t stream, const SpdyHeaders& headers, bool is_fin = false);
  static std::string data(std::uint32_t stream, std::string_view bytes, bool is_fin);
  static std::string reset(std::uint32_t stream, std::uint32_t status);
  static std::string ping(std::uint32_t id);
  static std::string go_away(std::uint32_t last_stream);

 private:
  struct Zlib;
  Result<SpdyFrame> parse(std::string_view frame);
  Result<SpdyHeaders> inflate(std::string_view block);
  std::string deflate(const SpdyHeaders& headers);
  std::unique_ptr<Zlib> zlib_;
  std::string pending_;
};

}  // namespace lateen::cluster::apiserver
