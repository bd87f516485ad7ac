// CEL as conditions use it, over the attributes of a request; and matcher trees.

#include "proxy/match/cel.h"

#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>

#include "event/sim_loop.h"
#include "proxy/match/tree.h"
#include "proxy/worker/worker.h"
#include "xds/any.h"
#include "xds/json.h"
#include "xds/type/matcher/v3/matcher.pb.h"

namespace lateen::proxy {
namespace {

class Cel : public ::testing::Test {
 protected:
  Cel() {
    connection_.local = *net::Address::parse("10.0.0.9:9080");
    connection_.remote = connection_.direct_remote = *net::Address::parse("10.0.0.1:5000");
    request_.method = "GET";
    request_.path = "/ratings/0?x=1&y=2#top";
    request_.authority = "ratings:9080";
    request_.headers.add("x-user", "jason");
    request_.headers.add("x-many", "a");
    request_.headers.add("x-many", "b");
    info_.status = 503;
    info_.metadata["ns"] =
        data::JsonObject{{"claims", data::JsonObject{{"aud", data::JsonArray{"a", "b"}}}}};
  }
  // The value as JSON; "error" when it has none; "refused: …" when it does not parse.
  std::string eval(std::string_view text) {
    const auto made = CelExpression::parse(text);
    if (!made.ok()) return "refused: " + made.error().message();
    const auto value = made->evaluate(info_, &request_);
    return value ? data::dump_json(*value) : "error";
  }
  event::SimLoop loop_;
  Shared shared_;
  Worker worker_{loop_, shared_, 0};
  Connection connection_;
  Arena arena_;
  http::Request request_{arena_};
  StreamInfo info_{worker_, connection_};
};

TEST_F(Cel, Attributes) {
  EXPECT_EQ(eval("request.path"), "\"/ratings/0?x=1&y=2#top\"");
  EXPECT_EQ(eval("request.url_path"), "\"/ratings/0\"");
  EXPECT_EQ(eval("request.query"), "\"x=1&y=2\"");
  EXPECT_EQ(eval("request.headers['x-user']"), "\"jason\"");
  EXPECT_EQ(eval("request.headers['x-many']"), "\"a,b\"");
  EXPECT_EQ(eval("request.headers[':method']"), "\"GET\"");
  EXPECT_EQ(eval("request.headers['x-none']"), "error");
  EXPECT_EQ(eval("has(request.headers.host) && !has(request.headers.nope)"), "true");
  EXPECT_EQ(eval("'x-user' in request.headers"), "true");
  EXPECT_EQ(eval("response.code >= 500"), "true");
  EXPECT_EQ(eval("source.address"), "\"10.0.0.1:5000\"");
  EXPECT_EQ(eval("destination.port == 9080"), "true");
  EXPECT_EQ(eval("connection.mtls"), "false");
  EXPECT_EQ(eval("metadata.filter_metadata.ns.claims.aud[1]"), "\"b\"");
}

TEST_F(Cel, Operators) {
  EXPECT_EQ(eval("1 + 2 * 3 - 4 / 2"), "5");
  EXPECT_EQ(eval("(1 + 2) * 3 % 5"), "4");
  EXPECT_EQ(eval("7 / 0"), "error");
  EXPECT_EQ(eval("1.5 + 1.5 == 3.0"), "true");
  EXPECT_EQ(eval("'a' + 'b' == 'ab' ? 'yes' : 'no'"), "\"yes\"");
  EXPECT_EQ(eval("!(1 > 2) && -1 < 0"), "true");
  EXPECT_EQ(eval("2 in [1, 2, 3]"), "true");
  EXPECT_EQ(eval("{'k': 1}['k']"), "1");
  EXPECT_EQ(eval("size('h\xC3\xA4') + size([1, 2])"), "4");
  EXPECT_EQ(eval("int('42') == 42 && string(42) == '42'"), "true");
  EXPECT_EQ(eval("9223372036854775807 + 1"), "error");
}

TEST_F(Cel, Texts) {
  EXPECT_EQ(eval("request.path.startsWith('/ratings')"), "true");
  EXPECT_EQ(eval("request.host.endsWith(':9080') && request.host.contains('ting')"), "true");
  EXPECT_EQ(eval("request.url_path.matches('^/ratings/[0-9]+$')"), "true");
  EXPECT_EQ(eval("'Ab'.lowerAscii() == 'ab'"), "true");
  EXPECT_EQ(eval(R"('a\n' == "a
")"),
            "true");
  EXPECT_EQ(eval(R"(r'\d' == '\\d')"), "true");
}

TEST_F(Cel, ErrorsAreAbsorbedWhereTheOtherSideDecides) {
  EXPECT_EQ(eval("request.headers['nope'] == 'x' || true"), "true");
  EXPECT_EQ(eval("request.headers['nope'] == 'x' && false"), "false");
  EXPECT_EQ(eval("request.headers['nope'] == 'x' || false"), "error");
  EXPECT_EQ(eval("response.code_details == 'x'"), "error");
}

TEST_F(Cel, Macros) {
  EXPECT_EQ(eval("[1, 2, 3].exists(x, x > 2)"), "true");
  EXPECT_EQ(eval("[1, 2, 3].all(x, x > 2)"), "false");
  EXPECT_EQ(eval("[1, 2, 3].filter(x, x != 2).map(x, x * 10)"), "[10,30]");
  EXPECT_EQ(eval("metadata.filter_metadata.ns.claims.aud.exists_one(a, a == 'b')"), "true");
}

TEST_F(Cel, WhatIsWrongIsSaid) {
  for (const char* text : {"", "1 +", "(1", "request.path ==", "'open", "nosuch.thing == 1", "1 2",
                           "[1, 2", "a.b(", "foo(1)", "size(1, 2)", "has(1)"})
    EXPECT_EQ(eval(text).rfind("refused: CEL: ", 0), 0u) << text << ": " << eval(text);
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep += "(";
  EXPECT_NE(eval(deep + "1").find("too big"), std::string::npos);
  EXPECT_NE(eval("1" + std::string(20000, ' ') +
                 [] {
                   std::string more;
                   for (int i = 0; i < 3000; ++i) more += "+1";
                   return more;
                 }())
                .find("too big"),
            std::string::npos);
}

// Evaluation is bounded, whatever the expression.
TEST_F(Cel, NestedMacrosEnd) {
  std::string list = "[0";
  for (int i = 1; i < 50; ++i) list += "," + std::to_string(i);
  list += "]";
  EXPECT_EQ(
      eval(list + ".all(a, " + list + ".all(b, " + list + ".all(c, " + list + ".all(d, true))))"),
      "error");
}

TEST_F(Cel, TreesLeadToActions) {
  ::xds::type::matcher::v3::Matcher config;
  const auto parsed = data::parse_json(R"({"matcher_list": {"matchers": [
    {"predicate": {"and_matcher": {"predicate": [
       {"single_predicate": {"input": {"name": "h", "typed_config": {"@type":
          "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
          "header_name": "x-user"}}, "value_match": {"prefix": "ja"}}},
       {"not_matcher": {"single_predicate": {"input": {"name": "p", "typed_config": {"@type":
          "type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.DestinationPortInput"}},
          "value_match": {"exact": "1"}}}}]}},
     "on_match": {"matcher": {"matcher_tree": {"input": {"name": "h", "typed_config": {"@type":
          "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
          "header_name": ":path"}}, "prefix_match_map": {"map": {
            "/": {"action": {"name": "a", "typed_config": {"@type":
               "type.googleapis.com/google.protobuf.StringValue", "value": "root"}}},
            "/ratings": {"action": {"name": "a", "typed_config": {"@type":
               "type.googleapis.com/google.protobuf.StringValue", "value": "ratings"}}}}}}}}}]},
    "on_no_match": {"action": {"name": "a", "typed_config": {"@type":
               "type.googleapis.com/google.protobuf.StringValue", "value": "none"}}}})");
  ASSERT_TRUE(parsed.ok());
  const auto read = xds::from_json(*parsed, config);
  ASSERT_TRUE(read.ok()) << read.error().message();
  std::vector<std::string> actions;
  const auto tree =
      MatchTree::compile(config, [&](const google::protobuf::Any& any) -> Result<std::size_t> {
        const auto from = TRY(xds::unpack<google::protobuf::StringValue>(any));
        actions.push_back(from.value());
        return actions.size() - 1;
      });
  ASSERT_TRUE(tree.ok()) << tree.error().message();
  const auto find = [&] {
    const auto found = tree->find({connection_, info_, &request_});
    return found ? actions[*found] : "nothing";
  };
  EXPECT_EQ(find(), "ratings");
  request_.path = "/other";
  EXPECT_EQ(find(), "root");
  request_.headers.set("x-user", "bob");
  EXPECT_EQ(find(), "none");
}

}  // namespace
}  // namespace lateen::proxy
