// The three libraries behind one interface. Output is made in bounded pieces: a few bytes that
// expand to gigabytes cost no more memory than the reader asks for.

#include "proxy/filters/compress/codec.h"

#include <brotli/decode.h>
#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

#include "envoy/extensions/compression/brotli/compressor/v3/brotli.pb.h"
#include "envoy/extensions/compression/brotli/decompressor/v3/brotli.pb.h"
#include "envoy/extensions/compression/gzip/compressor/v3/gzip.pb.h"
#include "envoy/extensions/compression/gzip/decompressor/v3/gzip.pb.h"
#include "envoy/extensions/compression/zstd/compressor/v3/zstd.pb.h"
#include "envoy/extensions/compression/zstd/decompressor/v3/zstd.pb.h"
#include "xds/any.h"

namespace lateen::proxy {
namespace {

namespace compression = envoy::extensions::compression;

Error broken(std::string_view coding, std::string_view why) {
  return invalid(std::string(coding) + ": " + std::string(why), Blame::kUpstream);
}

// zlib takes non-const input.
Bytef* bytes_of(std::string_view text) {
  return reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
}

class Deflate final : public BodyCodec {
 public:
  Deflate(int level, int strategy, int window_bits, int memory_level) {
    is_ready_ =
        deflateInit2(&stream_, level, Z_DEFLATED, window_bits + 16, memory_level, strategy) == Z_OK;
  }
  ~Deflate() override {
    if (is_ready_) deflateEnd(&stream_);
  }
  Result<Step> step(std::string_view& in, bool is_last, Buffer& out) override {
    if (!is_ready_) return broken("gzip", "no memory for the compressor");
    const auto room = out.reserve(kStepBytes);
    const std::size_t most = std::min(room.size(), kStepBytes);
    stream_.next_in = bytes_of(in);
    stream_.avail_in = static_cast<uInt>(in.size());
    stream_.next_out = reinterpret_cast<Bytef*>(room.data());
    stream_.avail_out = static_cast<uInt>(most);
    const int code = deflate(&stream_, is_last ? Z_FINISH : Z_SYNC_FLUSH);
    in.remove_prefix(in.size() - stream_.avail_in);
    out.commit(most - stream_.avail_out);
    if (code == Z_STREAM_END) return Step::kEnd;
    if (code != Z_OK && code != Z_BUF_ERROR) return broken("gzip", "the compressor failed");
    return stream_.avail_out == 0 || is_last ? Step::kNeedsRoom : Step::kNeedsInput;
  }

 private:
  z_stream stream_{};
  bool is_ready_;
};

class Inflate final : public BodyCodec {
 public:
  explicit Inflate(int window_bits) {
    is_ready_ = inflateInit2(&stream_, window_bits + 32) == Z_OK;  // gzip and zlib wrappers
  }
  ~Inflate() override {
    if (is_ready_) inflateEnd(&stream_);
  }
  Result<Step> step(std::string_view& in, bool is_last, Buffer& out) override {
    if (!is_ready_) return broken("gzip", "no memory for the decompressor");
    const auto room = out.reserve(kStepBytes);
    const std::size_t most = std::min(room.size(), kStepBytes);
    stream_.next_in = bytes_of(in);
    stream_.avail_in = static_cast<uInt>(in.size());
    stream_.next_out = reinterpret_cast<Bytef*>(room.data());
    stream_.avail_out = static_cast<uInt>(most);
    const int code = inflate(&stream_, Z_SYNC_FLUSH);
    in.remove_prefix(in.size() - stream_.avail_in);
    out.commit(most - stream_.avail_out);
    if (code == Z_STREAM_END) return Step::kEnd;
    if (code != Z_OK && code != Z_BUF_ERROR) return broken("gzip", "malformed data");
    if (stream_.avail_out == 0) return Step::kNeedsRoom;
    if (is_last && in.empty()) return broken("gzip", "the data ends early");
    return Step::kNeedsInput;
  }

 private:
  z_stream stream_{};
  bool is_ready_;
};

class BrotliEncoder final : public BodyCodec {
 public:
  BrotliEncoder(const compression::brotli::compressor::v3::Brotli& config)
      : state_(BrotliEncoderCreateInstance(nullptr, nullptr, nullptr)) {
    if (state_ == nullptr) return;
    const auto set = [&](BrotliEncoderParameter name, std::uint32_t value) {
      BrotliEncoderSetParameter(state_, name, value);
    };
    set(BROTLI_PARAM_QUALITY, config.has_quality() ? config.quality().value() : 3);
    set(BROTLI_PARAM_LGWIN, config.has_window_bits() ? config.window_bits().value() : 18);
    set(BROTLI_PARAM_LGBLOCK,
        config.has_input_block_bits() ? config.input_block_bits().value() : 24);
    set(BROTLI_PARAM_DISABLE_LITERAL_CONTEXT_MODELING,
        config.disable_literal_context_modeling() ? 1 : 0);
    using Mode = compression::brotli::compressor::v3::Brotli;
    set(BROTLI_PARAM_MODE, config.encoder_mode() == Mode::TEXT   ? BROTLI_MODE_TEXT
                           : config.encoder_mode() == Mode::FONT ? BROTLI_MODE_FONT
                                                                 : BROTLI_MODE_GENERIC);
  }
  ~BrotliEncoder() override {
    if (state_ != nullptr) BrotliEncoderDestroyInstance(state_);
  }
  Result<Step> step(std::string_view& in, bool is_last, Buffer& out) override {
    if (state_ == nullptr) return broken("br", "no memory for the compressor");
    const auto room = out.reserve(kStepBytes);
    const std::size_t most = std::min(room.size(), kStepBytes);
    std::size_t in_left = in.size(), out_left = most;
    const auto* next_in = reinterpret_cast<const std::uint8_t*>(in.data());
    auto* next_out = reinterpret_cast<std::uint8_t*>(room.data());
    const auto done = BrotliEncoderCompressStream(
        state_, is_last ? BROTLI_OPERATION_FINISH : BROTLI_OPERATION_FLUSH, &in_left, &next_in,
        &out_left, &next_out, nullptr);
    in.remove_prefix(in.size() - in_left);
    out.commit(most - out_left);
    if (done == BROTLI_FALSE) return broken("br", "the compressor failed");
    if (BrotliEncoderIsFinished(state_) != BROTLI_FALSE) return Step::kEnd;
    const bool has_more = BrotliEncoderHasMoreOutput(state_) != BROTLI_FALSE || !in.empty();
    return has_more || is_last ? Step::kNeedsRoom : Step::kNeedsInput;
  }

 private:
  BrotliEncoderState* state_;
};

class BrotliDecoder final : public BodyCodec {
 public:
  explicit BrotliDecoder(bool is_ring_buffer_fixed)
      : state_(BrotliDecoderCreateInstance(nullptr, nullptr, nullptr)) {
    if (state_ != nullptr && is_ring_buffer_fixed)
      BrotliDecoderSetParameter(state_, BROTLI_DECODER_PARAM_DISABLE_RING_BUFFER_REALLOCATION, 1);
  }
  ~BrotliDecoder() override {
    if (state_ != nullptr) BrotliDecoderDestroyInstance(state_);
  }
  Result<Step> step(std::string_view& in, bool is_last, Buffer& out) override {
    if (state_ == nullptr) return broken("br", "no memory for the decompressor");
    const auto room = out.reserve(kStepBytes);
    const std::size_t most = std::min(room.size(), kStepBytes);
    std::size_t in_left = in.size(), out_left = most;
    const auto* next_in = reinterpret_cast<const std::uint8_t*>(in.data());
    auto* next_out = reinterpret_cast<std::uint8_t*>(room.data());
    const auto done =
        BrotliDecoderDecompressStream(state_, &in_left, &next_in, &out_left, &next_out, nullptr);
    in.remove_prefix(in.size() - in_left);
    out.commit(most - out_left);
    switch (done) {
      case BROTLI_DECODER_RESULT_SUCCESS: return Step::kEnd;
      case BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT: return Step::kNeedsRoom;
      case BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT:
        if (is_last && in.empty()) return broken("br", "the data ends early");
        return Step::kNeedsInput;
      default: return broken("br", "malformed data");
    }
  }

 private:
  BrotliDecoderState* state_;
};

class ZstdEncoder final : public BodyCodec {
 public:
  explicit ZstdEncoder(const compression::zstd::compressor::v3::Zstd& config)
      : state_(ZSTD_createCCtx()) {
    if (state_ == nullptr) return;
    ZSTD_CCtx_setParameter(state_, ZSTD_c_compressionLevel,
                           config.has_compression_level()
                               ? static_cast<int>(config.compression_level().value())
                               : ZSTD_CLEVEL_DEFAULT);
    ZSTD_CCtx_setParameter(state_, ZSTD_c_checksumFlag, config.enable_checksum() ? 1 : 0);
    ZSTD_CCtx_setParameter(state_, ZSTD_c_strategy, static_cast<int>(config.strategy()));
  }
  ~ZstdEncoder() override { ZSTD_freeCCtx(state_); }
  Result<Step> step(std::string_view& in, bool is_last, Buffer& out) override {
    if (state_ == nullptr) return broken("zstd", "no memory for the compressor");
    const auto room = out.reserve(kStepBytes);
    ZSTD_inBuffer from{in.data(), in.size(), 0};
    ZSTD_outBuffer to{room.data(), std::min(room.size(), kStepBytes), 0};
    const std::size_t left =
        ZSTD_compressStream2(state_, &to, &from, is_last ? ZSTD_e_end : ZSTD_e_flush);
    in.remove_prefix(from.pos);
    out.commit(to.pos);
    if (ZSTD_isError(left) != 0) return broken("zstd", ZSTD_getErrorName(left));
    if (left != 0) return Step::kNeedsRoom;
    return is_last ? Step::kEnd : Step::kNeedsInput;
  }

 private:
  ZSTD_CCtx* state_;
};

class ZstdDecoder final : public BodyCodec {
 public:
  ZstdDecoder() : state_(ZSTD_createDCtx()) {}
  ~ZstdDecoder() override { ZSTD_freeDCtx(state_); }
  Result<Step> step(std::string_view& in, bool is_last, Buffer& out) override {
    if (state_ == nullptr) return broken("zstd", "no memory for the decompressor");
    const auto room = out.reserve(kStepBytes);
    ZSTD_inBuffer from{in.data(), in.size(), 0};
    ZSTD_outBuffer to{room.data(), std::min(room.size(), kStepBytes), 0};
    const std::size_t left = ZSTD_decompressStream(state_, &to, &from);
    in.remove_prefix(from.pos);
    out.commit(to.pos);
    if (ZSTD_isError(left) != 0) return broken("zstd", ZSTD_getErrorName(left));
    if (left == 0) return Step::kEnd;
    if (to.pos == to.size) return Step::kNeedsRoom;
    if (is_last && in.empty()) return broken("zstd", "the data ends early");
    return Step::kNeedsInput;
  }

 private:
  ZSTD_DCtx* state_;
};

class CodedBody final : public http::BodySource {
 public:
  CodedBody(std::unique_ptr<BodyCodec> codec, std::uint32_t most_ratio, http::Body inner)
      : codec_(std::move(codec)), most_ratio_(most_ratio), inner_(std::move(inner)) {}

  std::optional<Result<http::Chunk>> poll(http::Waker waker) override {
    http::Chunk made;
    while (made.data.size() < BodyCodec::kStepBytes) {
      if (waiting_.empty() && !is_last_ && !has_more_) {
        auto chunk = inner_.poll(waker);
        if (!chunk) break;
        if (!chunk->ok()) return chunk;
        bytes_in_ += (*chunk)->data.size();
        waiting_ = std::move((*chunk)->data);
        is_last_ = (*chunk)->is_last;
        trailers_ = std::move((*chunk)->trailers);
        if (waiting_.empty() && !is_last_) continue;
      }
      if (auto failed = work(made.data)) return Result<http::Chunk>(*std::move(failed));
      if (!is_ended_) continue;
      made.is_last = true;
      made.trailers = std::move(trailers_);
      return made;
    }
    if (made.data.empty()) return std::nullopt;
    return made;
  }

 private:
  std::optional<Error> work(Buffer& out) {
    // Bytes behind the end of a coded stream are dropped, as browsers do.
    if (is_stream_over_) {
      waiting_.clear();
      has_more_ = false;
      is_ended_ = is_last_;
      return std::nullopt;
    }
    std::string_view run = waiting_.front();
    const std::size_t before = out.size(), had = run.size();
    auto step = codec_->step(run, is_last_ && had == waiting_.size(), out);
    if (!step.ok()) return std::move(step).error();
    bytes_out_ += out.size() - before;
    waiting_.drop(had - run.size());
    // Small answers may expand freely: the ratio is about bombs.
    constexpr std::uint64_t kFree = 256 * 1024;
    if (most_ratio_ != 0 && bytes_out_ > kFree && bytes_out_ / most_ratio_ > bytes_in_)
      return broken("decompressor", "the data expands beyond the configured ratio");
    is_stream_over_ = *step == BodyCodec::Step::kEnd;
    has_more_ = *step == BodyCodec::Step::kNeedsRoom;
    is_ended_ = is_stream_over_ && is_last_;
    return std::nullopt;
  }

  std::unique_ptr<BodyCodec> codec_;
  std::uint32_t most_ratio_;
  http::Body inner_;
  Buffer waiting_;
  std::optional<http::Headers> trailers_;
  std::uint64_t bytes_in_ = 0, bytes_out_ = 0;
  bool is_last_ = false, has_more_ = false, is_stream_over_ = false, is_ended_ = false;
};

template <typename Config, typename Make>
Result<CodecLibrary> library(const google::protobuf::Any& any, std::string_view encoding,
                             std::string_view stat_name, Make make) {
  CodecLibrary made;
  made.encoding = encoding;
  made.stat_name = stat_name;
  const auto config = TRY(xds::unpack<Config>(any));
  made.make = [config, make]() -> std::unique_ptr<BodyCodec> { return make(config); };
  return made;
}

int gzip_level(const compression::gzip::compressor::v3::Gzip& config) {
  using Gzip = compression::gzip::compressor::v3::Gzip;
  if (config.compression_level() == Gzip::BEST_SPEED) return 1;
  if (config.compression_level() == Gzip::DEFAULT_COMPRESSION) return Z_DEFAULT_COMPRESSION;
  return static_cast<int>(config.compression_level());
}

int gzip_strategy(const compression::gzip::compressor::v3::Gzip& config) {
  using Gzip = compression::gzip::compressor::v3::Gzip;
  switch (config.compression_strategy()) {
    case Gzip::FILTERED: return Z_FILTERED;
    case Gzip::HUFFMAN_ONLY: return Z_HUFFMAN_ONLY;
    case Gzip::RLE: return Z_RLE;
    case Gzip::FIXED: return Z_FIXED;
    default: return Z_DEFAULT_STRATEGY;
  }
}

}  // namespace

Result<CodecLibrary> compile_compressor(const google::protobuf::Any& config) {
  const std::string type = xds::carried_type(config);
  if (type.ends_with("gzip.compressor.v3.Gzip")) {
    using Gzip = compression::gzip::compressor::v3::Gzip;
    return library<Gzip>(config, "gzip", "gzip", [](const Gzip& from) {
      return std::make_unique<Deflate>(
          gzip_level(from), gzip_strategy(from),
          from.has_window_bits() ? static_cast<int>(from.window_bits().value()) : 12,
          from.has_memory_level() ? static_cast<int>(from.memory_level().value()) : 5);
    });
  }
  if (type.ends_with("brotli.compressor.v3.Brotli")) {
    using Brotli = compression::brotli::compressor::v3::Brotli;
    return library<Brotli>(config, "br", "brotli", [](const Brotli& from) {
      return std::make_unique<BrotliEncoder>(from);
    });
  }
  if (type.ends_with("zstd.compressor.v3.Zstd")) {
    using Zstd = compression::zstd::compressor::v3::Zstd;
    const auto from = TRY(xds::unpack<Zstd>(config));
    if (from.has_dictionary())
      return invalid("zstd compressor: dictionaries are not supported", Blame::kConfig);
    return library<Zstd>(config, "zstd", "zstd", [](const Zstd& settings) {
      return std::make_unique<ZstdEncoder>(settings);
    });
  }
  return invalid("compressor library '" + type + "' is not supported: gzip, brotli and zstd are",
                 Blame::kConfig);
}

Result<CodecLibrary> compile_decompressor(const google::protobuf::Any& config) {
  const std::string type = xds::carried_type(config);
  if (type.ends_with("gzip.decompressor.v3.Gzip")) {
    using Gzip = compression::gzip::decompressor::v3::Gzip;
    const auto from = TRY(xds::unpack<Gzip>(config));
    auto made = TRY(library<Gzip>(config, "gzip", "gzip", [](const Gzip& settings) {
      return std::make_unique<Inflate>(
          settings.has_window_bits() ? static_cast<int>(settings.window_bits().value()) : 15);
    }));
    made.most_ratio = from.has_max_inflate_ratio() ? from.max_inflate_ratio().value() : 100;
    return made;
  }
  if (type.ends_with("brotli.decompressor.v3.Brotli")) {
    using Brotli = compression::brotli::decompressor::v3::Brotli;
    auto made = TRY(library<Brotli>(config, "br", "brotli", [](const Brotli& settings) {
      return std::make_unique<BrotliDecoder>(settings.disable_ring_buffer_reallocation());
    }));
    made.most_ratio = 100;
    return made;
  }
  if (type.ends_with("zstd.decompressor.v3.Zstd")) {
    using Zstd = compression::zstd::decompressor::v3::Zstd;
    const auto from = TRY(xds::unpack<Zstd>(config));
    if (from.dictionaries_size() > 0)
      return invalid("zstd decompressor: dictionaries are not supported", Blame::kConfig);
    auto made = TRY(library<Zstd>(config, "zstd", "zstd",
                                  [](const Zstd&) { return std::make_unique<ZstdDecoder>(); }));
    made.most_ratio = 100;
    return made;
  }
  return invalid("decompressor library '" + type + "' is not supported: gzip, brotli and zstd are",
                 Blame::kConfig);
}

http::Body coded_body(const CodecLibrary& library, http::Body body) {
  return http::Body(
      std::make_unique<CodedBody>(library.make(), library.most_ratio, std::move(body)));
}

}  // namespace lateen::proxy
