// Content codings (gzip, brotli, zstd) as step machines, and a body that runs one over another
// body. One codec per message, on its worker's loop.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/message.h"

namespace google::protobuf {
class Any;
}

namespace lateen::proxy {

class BodyCodec {
 public:
  enum class Step : unsigned char {
    kNeedsInput,  // all of `in` is consumed
    kNeedsRoom,   // there is more to put out: call again
    kEnd          // the stream is complete
  };
  virtual ~BodyCodec() = default;
  // Consumes a prefix of `in` and appends at most kStepBytes to `out`. `is_last`: `in` is the rest
  // of the message. Fails when the bytes are no such coding.
  virtual Result<Step> step(std::string_view& in, bool is_last, Buffer& out) = 0;
  static constexpr std::size_t kStepBytes = 32 * 1024;
};

// A kind of codec with its settings. Immutable, thread-safe.
struct CodecLibrary {
  std::string encoding;         // "gzip", "br", "zstd": the content coding's name
  std::string stat_name;        // "gzip", "brotli", "zstd"
  std::uint32_t most_ratio{0};  // of decompressors: output per input bytes; 0: unbounded
  std::function<std::unique_ptr<BodyCodec>()> make;
};

// From the typed config of a compressor or a decompressor library; the error names an unknown type.
Result<CodecLibrary> compile_compressor(const google::protobuf::Any& config);
Result<CodecLibrary> compile_decompressor(const google::protobuf::Any& config);

// `body`, coded. Each chunk is flushed, so that streams flow. Trailers pass. A decompressed body
// that grows beyond the library's ratio fails.
http::Body coded_body(const CodecLibrary& library, http::Body body);

}  // namespace lateen::proxy
