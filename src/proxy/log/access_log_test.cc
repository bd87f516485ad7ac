// Lines of JSON access logs: what they hold parses back to what the stream was.

#include "proxy/log/access_log.h"

#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "envoy/config/accesslog/v3/accesslog.pb.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "event/sim_loop.h"
#include "proxy/http/connection_manager.h"

namespace lateen::proxy {
namespace {

struct Stream {
  event::SimLoop loop;
  Shared shared;
  Worker worker{loop, shared, 0};
  Connection connection;
  Arena arena;
  StreamInfo info{worker, connection};
};

std::string line_of(const StreamInfo& info, const std::string& format) {
  const std::string path =
      ::testing::TempDir() + "access_log_test." + std::to_string(::getpid()) + ".log";
  envoy::extensions::access_loggers::file::v3::FileAccessLog file;
  file.set_path(path);
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(format, file.mutable_log_format()).ok());
  envoy::config::accesslog::v3::AccessLog config;
  config.mutable_typed_config()->PackFrom(file);
  LogFiles files;
  const auto log = AccessLog::compile(config, files);
  if (!log.ok()) return "error: " + log.error().message();
  log->log(info);
  files.flush_all();
  std::ifstream in(path);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  ::unlink(path.c_str());
  return text;
}

TEST(AccessLog, EscapesWhatJsonMust) {
  Stream s;
  const std::string hostile = "a\"b\\c\n\t\x01\x1f/\x7f\xc3\xa9";
  s.info.request.emplace(s.arena);
  s.info.request->method = "GET";
  s.info.request->headers.add("x-hostile", hostile);
  s.info.status = 200;
  const std::string line = line_of(s.info, R"({"json_format": {"q\"k": "%REQ(X-HOSTILE)%",
      "code": "%RESPONSE_CODE%", "none": "%REQ(X-NONE)%", "fixed": true, "number": 1.5,
      "deep": {"list": ["%REQ(:METHOD)%", "x%RESPONSE_CODE%"]}, "empty": {}}})");
  ASSERT_EQ(line.find('\n'), line.size() - 1);
  const auto json = data::parse_json(line);
  ASSERT_TRUE(json.ok()) << line;
  EXPECT_EQ(data::as_string(json->at("q\"k")), hostile);
  EXPECT_EQ(json->at("code"), 200);
  EXPECT_TRUE(json->at("none").is_null());
  EXPECT_EQ(json->at("fixed"), true);
  EXPECT_EQ(json->at("number"), 1.5);
  EXPECT_EQ(data::dump_json(json->at("deep")), R"({"list":["GET","x200"]})");
  EXPECT_EQ(data::dump_json(json->at("empty")), "{}");
}

TEST(AccessLog, OmitsWhatIsMissingWhenAsked) {
  Stream s;
  s.info.status = 204;
  EXPECT_EQ(line_of(s.info, R"({"omit_empty_values": true, "json_format": {
      "a": "%REQ(X-A)%", "b": "%RESPONSE_CODE%", "c": "%REQ(X-C)%"}})"),
            "{\"b\":204}\n");
}

}  // namespace
}  // namespace lateen::proxy
