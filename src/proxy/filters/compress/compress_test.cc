// Compressor and decompressor: codings that come back as they were, what is compressed and what
// not, who picks, and bombs.

#include <gtest/gtest.h>

#include "envoy/extensions/compression/gzip/compressor/v3/gzip.pb.h"
#include "envoy/extensions/compression/gzip/decompressor/v3/gzip.pb.h"
#include "proxy/filters/compress/codec.h"
#include "proxy/filters/filter_test_support.h"
#include "xds/any.h"

namespace lateen::proxy {
namespace {

using testing::answering;
using testing::App;
using testing::Fields;
using testing::filter;
using testing::FilterBench;
using testing::Reply;
using testing::Seen;

std::string library(const std::string& name, const std::string& kind, const std::string& type) {
  return "\"" + kind + R"(_library": {"name": ")" + name +
         R"(", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.compression.)" +
         type + "\"}}";
}
std::string compressor(const std::string& name, const std::string& type,
                       const std::string& more = "") {
  return filter(name, "envoy.extensions.filters.http.compressor.v3.Compressor",
                library(name, "compressor", type) + more);
}
std::string decompressor(const std::string& name, const std::string& type,
                         const std::string& more = "") {
  return filter(name, "envoy.extensions.filters.http.decompressor.v3.Decompressor",
                library(name, "decompressor", type) + more);
}
const std::string kGzip = "gzip.compressor.v3.Gzip", kBrotli = "brotli.compressor.v3.Brotli",
                  kZstd = "zstd.compressor.v3.Zstd";

std::string long_text() {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "line " + std::to_string(i * 7919) + "\n";
  return text;
}

class Compress : public ::testing::Test {
 protected:
  void app(Fields headers, const std::string& body) {
    app_ = std::make_unique<App>(answering(seen, std::move(headers), body));
    bench.serve("app", *app_);
  }
  Seen seen;
  std::unique_ptr<App> app_;
  FilterBench bench;
};

TEST_F(Compress, EachCodingComesBackAsItWas) {
  const std::string text = long_text();
  app({{"content-type", "text/plain"}, {"etag", "\"strong\""}}, text);
  const std::pair<std::string, std::string> kinds[] = {
      {"gzip", kGzip}, {"br", kBrotli}, {"zstd", kZstd}};
  for (const auto& [coding, type] : kinds) {
    ASSERT_EQ(bench.configure(compressor("c", type)), "");
    const Reply packed = bench.call("GET", "/", {{"accept-encoding", coding}});
    EXPECT_EQ(packed.get("content-encoding"), coding);
    EXPECT_EQ(packed.get("content-length"), "-");
    EXPECT_EQ(packed.get("vary"), "Accept-Encoding");
    EXPECT_EQ(packed.get("etag"), "-") << "a strong validator is of other bytes";
    EXPECT_LT(packed.body.size(), text.size() / 2);
    // And through both filters: the client sees what the application sent.
    const std::string undo = replace_all(type, "compressor", "decompressor");
    ASSERT_EQ(bench.configure(decompressor("d", undo) + compressor("c", type)), "");
    const Reply plain = bench.call("GET", "/");
    EXPECT_EQ(plain.get("content-encoding"), "-");
    EXPECT_TRUE(plain.body == text) << coding << " " << plain.body.size() << plain.error;
    EXPECT_EQ(seen.get("accept-encoding"), coding);
  }
}

TEST_F(Compress, LeavesAloneWhatShouldStay) {
  app({{"content-type", "image/png"}}, long_text());
  ASSERT_EQ(bench.configure(compressor("c", kGzip)), "");
  const Fields accept = {{"accept-encoding", "gzip"}};
  EXPECT_EQ(bench.call("GET", "/", accept).get("content-encoding"), "-");
  EXPECT_EQ(bench.call("GET", "/", accept).get("vary"), "-");
}

TEST_F(Compress, ShortBodiesStayAndClientsDecide) {
  app({{"content-type", "text/html; charset=utf-8"}, {"vary", "origin"}}, std::string(29, 'x'));
  ASSERT_EQ(bench.configure(compressor("c", kGzip)), "");
  EXPECT_EQ(bench.call("GET", "/", {{"accept-encoding", "gzip"}}).get("content-encoding"), "-");
  ASSERT_EQ(bench.configure(compressor("c", kGzip, R"(, "response_direction_config":
      {"common_config": {"min_content_length": 10}})")),
            "");
  const Reply packed = bench.call("GET", "/", {{"accept-encoding", "br, gzip;q=0.5"}});
  EXPECT_EQ(packed.get("content-encoding"), "gzip");
  EXPECT_EQ(packed.get("vary"), "origin, Accept-Encoding");
  for (const char* accept : {"gzip;q=0", "br", "identity, gzip;q=0.1", "deflate"})
    EXPECT_EQ(bench.call("GET", "/", {{"accept-encoding", accept}}).get("content-encoding"), "-")
        << accept;
  EXPECT_EQ(bench.call("GET", "/", {{"accept-encoding", "*"}}).get("content-encoding"), "gzip");
  EXPECT_EQ(bench.call("GET", "/").get("content-encoding"), "-");
}

TEST_F(Compress, TheClientPicksAmongSeveral) {
  app({{"content-type", "text/plain"}}, long_text());
  ASSERT_EQ(bench.configure(compressor("b", kBrotli) + compressor("g", kGzip)), "");
  const auto coding = [&](const std::string& accept) {
    return bench.call("GET", "/", {{"accept-encoding", accept}}).get("content-encoding");
  };
  EXPECT_EQ(coding("gzip, br"), "gzip");
  EXPECT_EQ(coding("gzip;q=0.2, br;q=0.9"), "br");
  EXPECT_EQ(coding("gzip;q=0.9, br;q=0.2"), "gzip");
}

TEST_F(Compress, RoutesTurnItOff) {
  app({{"content-type", "text/plain"}}, long_text());
  ASSERT_EQ(bench.configure(compressor("c", kGzip), R"("typed_per_filter_config": {"c": {"@type":
      "type.googleapis.com/envoy.extensions.filters.http.compressor.v3.CompressorPerRoute",
      "disabled": true}})"),
            "");
  EXPECT_EQ(bench.call("GET", "/", {{"accept-encoding", "gzip"}}).get("content-encoding"), "-");
}

TEST_F(Compress, RequestBodiesAreUnpacked) {
  app({{"content-type", "text/plain"}}, "ok");
  // Packed by one filter, unpacked by the next.
  ASSERT_EQ(bench.configure(compressor("c", kGzip, R"(, "request_direction_config":
      {"common_config": {"enabled": {"default_value": true, "runtime_key": "x"}}})") +
                            decompressor("d", "gzip.decompressor.v3.Gzip")),
            "");
  const std::string text = long_text();
  EXPECT_EQ(bench.call("POST", "/", {{"content-type", "text/plain"}}, text).status, 200);
  EXPECT_TRUE(seen.body == text) << seen.body.size();
  EXPECT_EQ(seen.get("content-encoding"), "-");
}

TEST_F(Compress, BombsAndBrokenDataFail) {
  // A megabyte of zeros packs to about a kilobyte, twice.
  const auto pack = [&](const std::string& text) {
    const auto made =
        compile_compressor(xds::pack(envoy::extensions::compression::gzip::compressor::v3::Gzip()));
    EXPECT_TRUE(made.ok());
    auto body = coded_body(*made, http::Body::of(text));
    std::string out;
    for (;;) {
      auto chunk = body.poll({});
      if (!chunk || !chunk->ok()) break;
      out += (*chunk)->data.to_string();
      if ((*chunk)->is_last) break;
    }
    return out;
  };
  const auto unpack = [&](const std::string& bytes) -> std::string {
    const auto made = compile_decompressor(
        xds::pack(envoy::extensions::compression::gzip::decompressor::v3::Gzip()));
    EXPECT_TRUE(made.ok());
    auto body = coded_body(*made, http::Body::of(bytes));
    for (std::size_t size = 0;;) {
      auto chunk = body.poll({});
      if (!chunk) return "stuck";
      if (!chunk->ok()) return chunk->error().message();
      EXPECT_LE((*chunk)->data.size(), 2 * BodyCodec::kStepBytes);
      size += (*chunk)->data.size();
      if ((*chunk)->is_last) return std::to_string(size);
    }
  };
  EXPECT_EQ(unpack(pack(std::string(200'000, 'z'))), "200000");
  EXPECT_NE(unpack(pack(std::string(20'000'000, 'z'))).find("beyond"), std::string::npos);
  EXPECT_NE(unpack("no gzip at all").find("malformed"), std::string::npos);
  const std::string whole = pack(long_text());
  EXPECT_NE(unpack(whole.substr(0, whole.size() / 2)).find("ends early"), std::string::npos);
}

TEST_F(Compress, UnknownLibrariesAreNamed) {
  const std::string error = bench.configure(compressor("c", "gzip.decompressor.v3.Gzip"));
  EXPECT_NE(error.find("gzip.decompressor.v3.Gzip' is not supported"), std::string::npos) << error;
}

}  // namespace
}  // namespace lateen::proxy
