// The codecs of streaming and of bodies: SPDY, WebSocket, protobuf, JSONPath.
#include <gtest/gtest.h>

#include "cluster/apiserver/builtin_schemas.h"
#include "cluster/apiserver/json_path.h"
#include "cluster/apiserver/protobuf.h"
#include "cluster/apiserver/spdy.h"
#include "cluster/apiserver/web_socket.h"

namespace lateen::cluster::apiserver {
namespace {

TEST(Spdy, CarriesHeadersAcrossTheSharedCompressionContext) {
  SpdyCodec client;
  SpdyCodec server;
  std::string bytes = client.syn_stream(1, {{"streamtype", "error"}});
  bytes += client.syn_stream(3, {{"streamtype", "data"}, {"port", "8080"}});
  bytes += SpdyCodec::data(3, "hello", true);
  bytes += SpdyCodec::ping(7);
  std::vector<SpdyFrame> frames;
  for (const char byte : bytes) {  // one byte at a time: frames may arrive in any pieces
    auto some = server.feed({&byte, 1});
    ASSERT_TRUE(some.ok());
    for (auto& frame : *some) frames.push_back(std::move(frame));
  }
  ASSERT_EQ(frames.size(), 4u);
  EXPECT_EQ(frames[0].header("streamtype"), "error");
  EXPECT_EQ(frames[1].stream, 3u);
  EXPECT_EQ(frames[1].header("port"), "8080");
  EXPECT_EQ(frames[2].data, "hello");
  EXPECT_TRUE(frames[2].is_fin);
  EXPECT_EQ(frames[3].type, SpdyFrame::Type::kPing);
  EXPECT_EQ(frames[3].stream, 7u);
}

TEST(Spdy, RefusesGarbageAndHugeFrames) {
  SpdyCodec codec;
  EXPECT_FALSE(
      codec.feed(std::string("\x80\x03\x00\x01\x00\x00\x00\x10", 8) + std::string(16, 'x')).ok());
  SpdyCodec other;
  EXPECT_FALSE(other.feed(std::string("\x00\x00\x00\x01\x00\xff\xff\xff", 8)).ok());
}

std::string masked(unsigned char first, std::string_view data) {
  const char mask[4] = {1, 2, 3, 4};
  std::string frame;
  frame += static_cast<char>(first);
  frame += static_cast<char>(0x80 | data.size());
  frame.append(mask, 4);
  for (std::size_t i = 0; i < data.size(); ++i) frame += static_cast<char>(data[i] ^ mask[i % 4]);
  return frame;
}

TEST(WebSocket, JoinsFragmentsAroundControlFrames) {
  WebSocketCodec codec;
  auto messages = codec.feed(masked(0x02, "ab") + masked(0x89, "p") + masked(0x80, "cd"));
  ASSERT_TRUE(messages.ok());
  ASSERT_EQ(messages->size(), 2u);
  EXPECT_EQ((*messages)[0].type, WebSocketMessage::Type::kPing);
  EXPECT_EQ((*messages)[1].data, "abcd");
}

TEST(WebSocket, RefusesUnmaskedFramesAndAnswersTheKey) {
  WebSocketCodec codec;
  EXPECT_FALSE(codec.feed(std::string("\x82\x01x", 3)).ok());
  EXPECT_EQ(WebSocketCodec::accept_key("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");  // RFC 6455 §1.3
}

std::string message(std::initializer_list<std::pair<int, std::string>> fields) {
  ProtoWriter writer;
  for (const auto& [number, bytes] : fields) writer.bytes(number, bytes);
  return writer.take();
}

TEST(Protobuf, DecodesABuiltInKind) {
  const std::string metadata =
      message({{1, "cm"}, {3, "default"}, {11, message({{1, "app"}, {2, "web"}})}});
  const std::string raw = message({{1, metadata}, {2, message({{1, "key"}, {2, "value"}})}});
  const std::string body =
      std::string("k8s\0", 4) + message({{1, message({{1, "v1"}, {2, "ConfigMap"}})}, {2, raw}});
  auto object = decode_kubernetes_protobuf(body);
  ASSERT_TRUE(object.ok()) << object.error().message();
  EXPECT_EQ(
      data::dump_json(*object),
      R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"cm","namespace":"default",)"
      R"("labels":{"app":"web"}},"data":{"key":"value"}})");
  EXPECT_FALSE(decode_kubernetes_protobuf(body.substr(0, body.size() - 3)).ok());
}

TEST(Schemas, FindUnknownFieldsAtAnyDepth) {
  Json pod = *data::parse_json(
      R"({"spec":{"containers":[{"name":"a","imag":"x","env":[{"name":"A","valu":"b"}]}],"volumes":[{"name":"v","emptyDir":{}}]},"spek":1})");
  EXPECT_EQ(unknown_builtin_fields("Pod", "", "v1", pod),
            (std::vector<std::string>{"spec.containers[0].imag", "spec.containers[0].env[0].valu",
                                      "spek"}));
  EXPECT_TRUE(unknown_builtin_fields("Pod", "", "v1", pod).empty());
}

TEST(JsonPath, WalksKeysIndicesAndFilters) {
  const Json object = *data::parse_json(
      R"({"status":{"conditions":[{"type":"A","status":"1"},{"type":"Ready","status":"True"}]},"a":{"b.c":[1,2,3]}})");
  const auto one = [&](std::string_view path) {
    const auto found = evaluate_json_path(path, object);
    return found.empty() ? std::string("-") : data::dump_json(*found.front());
  };
  EXPECT_EQ(one(".status.conditions[?(@.type==\"Ready\")].status"), "\"True\"");
  EXPECT_EQ(one(".a['b.c'][-1]"), "3");
  EXPECT_EQ(one(".a.b\\.c[0]"), "1");
  EXPECT_EQ(evaluate_json_path(".status.conditions[*].type", object).size(), 2u);
  EXPECT_EQ(one(".nothing.here"), "-");
}

}  // namespace
}  // namespace lateen::cluster::apiserver
