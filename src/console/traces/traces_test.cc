// Spans in three dialects, the store, and the shapes of Jaeger's API.
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/strings.h"
#include "console/traces/jaeger_in.h"
#include "console/traces/jaeger_json.h"
#include "console/traces/otlp.h"
#include "console/traces/trace_store.h"
#include "console/traces/zipkin.h"

namespace lateen::console {
namespace {

constexpr std::int64_t kNow = 1'700'000'000'000'000;

// As Envoy's Zipkin tracer sends it.
constexpr std::string_view kEnvoySpans = R"([
 {"id":"aaaaaaaaaaaaaaaa","traceId":"0000000000000abc","name":"productpage.default.svc.cluster.local:9080/productpage",
  "kind":"CLIENT","timestamp":1700000000000000,"duration":30000,
  "localEndpoint":{"serviceName":"istio-ingressgateway","ipv4":"10.0.0.1","port":0},
  "tags":{"http.status_code":"200","component":"proxy"}},
 {"id":"bbbbbbbbbbbbbbbb","traceId":"abc","parentId":"aaaaaaaaaaaaaaaa","name":"productpage",
  "kind":"SERVER","timestamp":1700000000001000,"duration":28000,
  "localEndpoint":{"serviceName":"productpage.default","ipv4":"10.0.0.2"},
  "annotations":[{"timestamp":1700000000002000,"value":"retry"}],
  "tags":{"http.status_code":"503","guid:x-request-id":"r-1"}},
 {"id":"zz","traceId":"abc","name":"broken"}])";

std::string varint(std::uint64_t value) {
  std::string out;
  while (value > 127) {
    out += static_cast<char>(value | 0x80);
    value >>= 7;
  }
  return out + static_cast<char>(value);
}
std::string field(int number, std::string_view bytes) {
  return varint(static_cast<std::uint64_t>(number) << 3 | 2) + varint(bytes.size()) +
         std::string(bytes);
}
std::string field(int number, std::uint64_t value) {
  return varint(static_cast<std::uint64_t>(number) << 3) + varint(value);
}
std::string fixed64(int number, std::uint64_t value) {
  return varint(static_cast<std::uint64_t>(number) << 3 | 1) +
         std::string(reinterpret_cast<char*>(&value), 8);
}

TEST(ZipkinTest, ReadsEnvoysSpansAndKeepsTheGoodOnes) {
  const auto parsed = parse_zipkin_v2(kEnvoySpans);
  ASSERT_TRUE(parsed.ok());
  ASSERT_EQ(parsed.value().spans.size(), 2u);
  EXPECT_EQ(parsed.value().refused, 1u);
  EXPECT_NE(parsed.value().first_complaint.find("hexadecimal"), std::string::npos);
  const Span& client = parsed.value().spans[0];
  EXPECT_EQ(client.trace_id, "0000000000000abc");
  EXPECT_EQ(client.service, "istio-ingressgateway");
  EXPECT_EQ(client.kind, SpanKind::kClient);
  EXPECT_EQ(client.duration_us, 30000);
  EXPECT_FALSE(client.is_error());
  const Span& server = parsed.value().spans[1];
  EXPECT_EQ(server.trace_id, client.trace_id);
  EXPECT_EQ(server.parent_id, client.span_id);
  EXPECT_TRUE(server.is_error());
  EXPECT_EQ(server.events.at(0).fields.at(0).value, "retry");
  EXPECT_FALSE(parse_zipkin_v2(R"({"not":"a list"})").ok());
  EXPECT_FALSE(parse_zipkin_v2("[").ok());
}

TEST(ZipkinTest, ReadsV1CoreAnnotations) {
  const auto parsed = parse_zipkin_v1(R"([{"traceId":"1","id":"2","name":"get","annotations":[
    {"timestamp":100,"value":"sr","endpoint":{"serviceName":"ratings","ipv4":"1.2.3.4"}},
    {"timestamp":350,"value":"ss","endpoint":{"serviceName":"ratings"}}],
    "binaryAnnotations":[{"key":"http.url","value":"/x"}]}])");
  ASSERT_TRUE(parsed.ok());
  const Span& span = parsed.value().spans.at(0);
  EXPECT_EQ(span.kind, SpanKind::kServer);
  EXPECT_EQ(span.service, "ratings");
  EXPECT_EQ(span.start_us, 100);
  EXPECT_EQ(span.duration_us, 250);
  EXPECT_EQ(span.tag("http.url")->value, "/x");
}

TEST(ZipkinTest, ReadsProtobuf) {
  const std::string endpoint =
      field(1, "reviews.default") + field(2, std::string("\x0a\x01\x02\x03", 4));
  const std::string id8("\1\2\3\4\5\6\7\x08", 8);
  const std::string span = field(1, id8) + field(3, id8) + field(4, 2) + field(5, "get") +
                           fixed64(6, 1000) + field(7, 20) + field(8, endpoint) +
                           field(11, field(1, "k") + field(2, "v"));
  const auto parsed = parse_zipkin_proto(field(1, span) + field(1, "\xff\xff"));
  ASSERT_TRUE(parsed.ok());
  ASSERT_EQ(parsed.value().spans.size(), 1u);
  EXPECT_EQ(parsed.value().refused, 1u);
  const Span& read = parsed.value().spans[0];
  EXPECT_EQ(read.span_id, "0102030405060708");
  EXPECT_EQ(read.kind, SpanKind::kServer);
  EXPECT_EQ(read.service, "reviews.default");
  EXPECT_EQ(read.process_tags.at(0).value, "10.1.2.3");
  EXPECT_EQ(read.start_us, 1000);
  EXPECT_EQ(read.tag("k")->value, "v");
}

TEST(ZipkinTest, RoundTripsThroughV2) {
  const auto parsed = parse_zipkin_v2(kEnvoySpans);
  data::JsonArray list;
  for (const Span& span : parsed.value().spans) list.push_back(to_zipkin_v2(span));
  const auto again = parse_zipkin_v2(data::dump_json(list));
  ASSERT_TRUE(again.ok());
  ASSERT_EQ(again.value().spans.size(), 2u);
  EXPECT_EQ(again.value().spans[1].tags, parsed.value().spans[1].tags);
  EXPECT_EQ(again.value().spans[1].service, "productpage.default");
}

TEST(OtlpTest, ReadsJsonAndProtobufAlike) {
  const auto json = parse_otlp_json(R"({"resourceSpans":[{"resource":{"attributes":[
    {"key":"service.name","value":{"stringValue":"cart"}},{"key":"host","value":{"stringValue":"h"}}]},
    "scopeSpans":[{"spans":[{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708",
    "name":"add","kind":3,"startTimeUnixNano":"2000000","endTimeUnixNano":"5000000",
    "attributes":[{"key":"n","value":{"intValue":"7"}}],"status":{"code":2,"message":"no"}}]}]}]})");
  ASSERT_TRUE(json.ok());
  const std::string trace("\1\2\3\4\5\6\7\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10", 16);
  const std::string string_value = field(1, "cart");
  const std::string resource = field(1, field(1, "service.name") + field(2, string_value)) +
                               field(1, field(1, "host") + field(2, field(1, "h")));
  const std::string span = field(1, trace) + field(2, trace.substr(0, 8)) + field(5, "add") +
                           field(6, 3) + fixed64(7, 2'000'000) + fixed64(8, 5'000'000) +
                           field(9, field(1, "n") + field(2, field(3, 7))) +
                           field(15, field(2, "no") + field(3, 2));
  const auto proto = parse_otlp_proto(field(1, field(1, resource) + field(2, field(2, span))));
  ASSERT_TRUE(proto.ok());
  for (const auto& parsed : {json.value(), proto.value()}) {
    ASSERT_EQ(parsed.spans.size(), 1u);
    const Span& read = parsed.spans[0];
    EXPECT_EQ(read.service, "cart");
    EXPECT_EQ(read.kind, SpanKind::kClient);
    EXPECT_EQ(read.start_us, 2000);
    EXPECT_EQ(read.duration_us, 3000);
    EXPECT_EQ(*read.tag("n"), (Tag{"n", "7", TagType::kInt64}));
    EXPECT_TRUE(read.is_error());
    EXPECT_EQ(read.process_tags.at(0).value, "h");
  }
  EXPECT_FALSE(parse_otlp_proto("\xff").ok());
}

std::string be(std::uint64_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i));
  return out;
}
std::string thrift_text(int id, std::string_view text) {
  return "\x0b" + be(id, 2) + be(text.size(), 4) + std::string(text);
}
std::string thrift_i64(int id, std::uint64_t value) { return "\x0a" + be(id, 2) + be(value, 8); }
std::string thrift_list(int id, std::string_view element, int count) {
  return "\x0f" + be(id, 2) + "\x0c" + be(count, 4) + std::string(element);
}
const std::string kStop(1, '\0');

TEST(JaegerInTest, ReadsThriftBatches) {
  const std::string tag =
      thrift_text(1, "span.kind") + "\x08" + be(2, 2) + be(0, 4) + thrift_text(3, "server") + kStop;
  const std::string number = thrift_text(1, "size") + thrift_i64(6, 42) + kStop;
  const std::string span = thrift_i64(1, 0xabc) + thrift_i64(2, 0) + thrift_i64(3, 0xdef) +
                           thrift_i64(4, 0x1) + thrift_text(5, "get") + "\x08" + be(7, 2) +
                           be(1, 4) + thrift_i64(8, 1000) + thrift_i64(9, 50) +
                           thrift_list(10, tag + number, 2) + kStop;
  const std::string process = thrift_text(1, "cart") + kStop;
  const auto parsed =
      parse_jaeger_thrift("\x0c" + be(1, 2) + process + thrift_list(2, span, 1) + kStop);
  ASSERT_TRUE(parsed.ok());
  ASSERT_EQ(parsed.value().spans.size(), 1u);
  const Span& read = parsed.value().spans[0];
  EXPECT_EQ(read.trace_id, "0000000000000abc");
  EXPECT_EQ(read.parent_id, "0000000000000001");
  EXPECT_EQ(read.service, "cart");
  EXPECT_EQ(read.kind, SpanKind::kServer);
  EXPECT_EQ(read.tags, (std::vector<Tag>{{"size", "42", TagType::kInt64}}));
  EXPECT_FALSE(parse_jaeger_thrift("\x0c" + be(1, 2) + process + thrift_list(2, span, 2)).ok());
  EXPECT_FALSE(parse_jaeger_thrift("{\"json\":1}").ok());
}

TEST(JaegerInTest, ReadsPostedProtobuf) {
  const std::string id8("\1\2\3\4\5\6\7\x08", 8);
  const std::string kind = field(1, "span.kind") + field(3, "client");
  const std::string failed = field(1, "error") + field(2, 1) + field(4, 1);
  const std::string span = field(1, id8 + id8) + field(2, id8) + field(3, "put") +
                           field(4, field(2, std::string("\0\0\0\0\0\0\0\x09", 8))) +
                           field(6, field(1, 5) + field(2, 7000)) + field(7, field(2, 90000)) +
                           field(8, kind) + field(8, failed);
  const auto parsed = parse_jaeger_proto(field(1, field(1, span) + field(2, field(1, "shop"))));
  ASSERT_TRUE(parsed.ok());
  ASSERT_EQ(parsed.value().spans.size(), 1u);
  const Span& read = parsed.value().spans[0];
  EXPECT_EQ(read.service, "shop");
  EXPECT_EQ(read.start_us, 5'000'007);
  EXPECT_EQ(read.duration_us, 90);
  EXPECT_EQ(read.kind, SpanKind::kClient);
  EXPECT_EQ(read.parent_id, "0000000000000009");
  EXPECT_TRUE(read.is_error());
}

Span make(std::string trace, std::string id, std::string parent, std::string service, SpanKind kind,
          std::int64_t start) {
  Span span;
  span.trace_id = normal_trace_id(trace).value();
  span.span_id = normal_span_id(id).value();
  if (!parent.empty()) span.parent_id = normal_span_id(parent).value();
  span.name = "get /" + service;
  span.service = service;
  span.kind = kind;
  span.start_us = start;
  span.duration_us = 100;
  return span;
}

TEST(TraceStoreTest, FindsByServiceTimeAndTags) {
  auto store = TraceStore::open(":memory:");
  ASSERT_TRUE(store.ok());
  std::vector<Span> spans;
  for (int i = 1; i <= 10; ++i) {
    spans.push_back(make(std::to_string(i), "1", "", "a", SpanKind::kClient, kNow + i * 1000));
    spans.push_back(
        make(std::to_string(i), "2", "1", "b", SpanKind::kServer, kNow + i * 1000 + 10));
    spans.back().tags.push_back({"http.status_code", i == 4 ? "500" : "200"});
  }
  ASSERT_TRUE(store.value()->add(spans, kNow).ok());
  EXPECT_EQ(store.value()->services().value(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(store.value()->operations("b").value().at(0).name, "get /b");

  TraceQuery query;
  query.service = "b";
  query.limit = 3;
  const auto newest = store.value()->find(query);
  ASSERT_TRUE(newest.ok());
  ASSERT_EQ(newest.value().size(), 3u);
  EXPECT_EQ(newest.value()[0].size(), 2u);
  EXPECT_EQ(newest.value()[0][0].trace_id, normal_trace_id("10").value());

  query.limit = 20;
  query.tags = {{"error", "true"}};
  const auto failed = store.value()->find(query);
  ASSERT_EQ(failed.value().size(), 1u);
  EXPECT_EQ(failed.value()[0][0].trace_id, normal_trace_id("4").value());

  query.tags = {};
  query.start_us = kNow + 8000;
  EXPECT_EQ(store.value()->find(query).value().size(), 3u);
  query.min_duration_us = 101;
  EXPECT_TRUE(store.value()->find(query).value().empty());

  const auto links = store.value()->dependencies(kNow, kNow + 1'000'000).value();
  ASSERT_EQ(links.size(), 1u);
  EXPECT_EQ(links[0].parent, "a");
  EXPECT_EQ(links[0].child, "b");
  EXPECT_EQ(links[0].calls, 10);
}

TEST(TraceStoreTest, SurvivesARestartAndForgetsTheOldest) {
  const auto path =
      std::filesystem::temp_directory_path() / fmt::format("traces-test-{}.db", getpid());
  std::filesystem::remove(path);
  TraceStoreLimits limits;
  limits.max_spans = 100;
  {
    auto store = TraceStore::open(path, limits);
    ASSERT_TRUE(store.ok());
    for (int i = 1; i <= 150; ++i) {
      ASSERT_TRUE(
          store.value()
              ->add({make(std::to_string(i), "1", "", "a", SpanKind::kNone, kNow + i)}, kNow)
              .ok());
    }
    EXPECT_LE(store.value()->span_count(), 100);
    EXPECT_GE(store.value()->span_count(), 85);
  }
  auto store = TraceStore::open(path, limits);
  ASSERT_TRUE(store.ok());
  EXPECT_EQ(store.value()->trace(normal_trace_id("150").value()).value().size(), 1u);
  EXPECT_TRUE(store.value()->trace(normal_trace_id("1").value()).value().empty());
  // A day-old span leaves when its time is over.
  ASSERT_TRUE(store.value()
                  ->add({make("9999", "1", "", "a", SpanKind::kNone, kNow)},
                        kNow + limits.max_age_us + 1000)
                  .ok());
  EXPECT_TRUE(store.value()->trace(normal_trace_id("150").value()).value().empty());
  std::filesystem::remove(path);
  std::filesystem::remove(path.string() + "-wal");
  std::filesystem::remove(path.string() + "-shm");
}

TEST(TraceStoreTest, SplitsSharedSpans) {
  auto store = TraceStore::open(":memory:");
  std::vector<Span> spans = {make("1", "a", "", "front", SpanKind::kClient, kNow),
                             make("1", "a", "", "back", SpanKind::kServer, kNow + 1),
                             make("1", "b", "a", "back", SpanKind::kClient, kNow + 2)};
  ASSERT_TRUE(store.value()->add(spans, kNow).ok());
  const auto trace = store.value()->trace(normal_trace_id("1").value()).value();
  ASSERT_EQ(trace.size(), 3u);
  EXPECT_NE(trace[1].span_id, trace[0].span_id);
  EXPECT_EQ(trace[1].parent_id, trace[0].span_id);
  EXPECT_EQ(trace[2].parent_id, trace[1].span_id);
  EXPECT_EQ(store.value()->dependencies(0, kNow + 10).value().at(0).calls, 1);
}

TEST(JaegerJsonTest, HasJaegersShape) {
  auto parsed = parse_zipkin_v2(kEnvoySpans);
  const data::Json trace = to_jaeger_trace(parsed.value().spans);
  EXPECT_EQ(data::get_string(trace, {"traceID"}), "0000000000000abc");
  const auto& spans = data::get_array(trace, {"spans"});
  ASSERT_EQ(spans.size(), 2u);
  EXPECT_EQ(data::get_string(spans[1], {"processID"}), "p2");
  EXPECT_EQ(data::get_string(trace, {"processes", "p2", "serviceName"}), "productpage.default");
  const auto& references = data::get_array(spans[1], {"references"});
  ASSERT_EQ(references.size(), 1u);
  EXPECT_EQ(data::get_string(references[0], {"refType"}), "CHILD_OF");
  EXPECT_EQ(data::get_string(references[0], {"spanID"}), "aaaaaaaaaaaaaaaa");
  bool has_kind = false, has_error = false;
  for (const auto& tag : data::get_array(spans[1], {"tags"})) {
    has_kind |= data::get_string(tag, {"key"}) == "span.kind" &&
                data::get_string(tag, {"value"}) == "server";
    has_error |= data::get_string(tag, {"key"}) == "error" && data::get_bool(tag, {"value"});
  }
  EXPECT_TRUE(has_kind);
  EXPECT_TRUE(has_error);
  const data::Json answer = jaeger_answer({trace});
  EXPECT_EQ(data::get_int(answer, {"total"}), 1);
  const data::Json none = jaeger_error(404, "trace not found");
  EXPECT_EQ(data::get_int(data::get_array(none, {"errors"})[0], {"code"}), 404);
}

}  // namespace
}  // namespace lateen::console
