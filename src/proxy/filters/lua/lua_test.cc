// Scripts as operators write them: headers, bodies, calls to services, answers of their own, and
// what happens when they go wrong.

#include <gtest/gtest.h>

#include "proxy/filters/filter_test_support.h"

namespace lateen::proxy {
namespace {

using testing::answering;
using testing::App;
using testing::Fields;
using testing::filter;
using testing::FilterBench;
using testing::Reply;
using testing::Seen;

std::string lua(const std::string& code, const std::string& more = "") {
  return filter("lua", "envoy.extensions.filters.http.lua.v3.Lua",
                "\"inline_code\": " + data::dump_json(data::Json(code)) + more);
}

class LuaFilter : public ::testing::Test {
 protected:
  LuaFilter() { bench.serve("app", app); }
  Seen seen;
  App app{answering(seen, {{"x-app", "yes"}}, "from the app", 200, {{"x-sum", "42"}})};
  FilterBench bench;
};

TEST_F(LuaFilter, ChangesHeadersBothWays) {
  ASSERT_EQ(bench.configure(lua(R"(
      function envoy_on_request(h)
        local n = 0
        for k, v in pairs(h:headers()) do n = n + 1 end
        h:headers():add("x-count", tostring(n > 4))
        h:headers():replace(":path", "/other?x=" .. h:headers():get("X-Name"))
        h:headers():remove("x-secret")
        h:streamInfo():dynamicMetadata():set("scratch", "who", {name = "me", list = {1, 2}})
      end
      function envoy_on_response(h)
        h:headers():add("x-status", h:headers():get(":status"))
        local who = h:streamInfo():dynamicMetadata():get("scratch")["who"]
        h:headers():add("x-who", who.name .. #who.list)
        h:headers():add("x-protocol", h:streamInfo():protocol())
        h:headers():add("x-route", h:streamInfo():routeName())
        h:headers():add("x-ssl", tostring(h:connection():ssl()))
        h:headers():add("x-b64", h:base64Escape("lateen"))
        h:headers():replace(":status", "203")
      end)")),
            "");
  const Reply reply = bench.call("GET", "/here", {{"x-name", "n"}, {"x-secret", "s"}});
  EXPECT_EQ(reply.status, 203);
  EXPECT_EQ(seen.path, "/other?x=n");
  EXPECT_EQ(seen.get("x-secret"), "-");
  EXPECT_EQ(seen.get("x-count"), "true");
  EXPECT_EQ(reply.get("x-status"), "200");
  EXPECT_EQ(reply.get("x-who"), "me2");
  EXPECT_EQ(reply.get("x-protocol"), "HTTP/1.1");
  EXPECT_EQ(reply.get("x-route"), "all");
  EXPECT_EQ(reply.get("x-ssl"), "nil");
  EXPECT_EQ(reply.get("x-b64"), "bGF0ZWVu");
  EXPECT_EQ(reply.body, "from the app");
}

TEST_F(LuaFilter, ReadsAndReplacesWholeBodies) {
  ASSERT_EQ(bench.configure(lua(R"(
      function envoy_on_request(h)
        local body = h:body()
        h:headers():add("x-length", tostring(body:length()))
        h:headers():add("x-start", body:getBytes(0, 4))
        body:setBytes("changed body")
      end
      function envoy_on_response(h)
        local body = h:body(true)
        local text = body:getBytes(0, body:length())
        body:setBytes(text:upper())
        local trailers = h:trailers()
        if trailers ~= nil then h:headers():add("x-trailer", trailers:get("x-sum")) end
      end)")),
            "");
  const Reply reply = bench.call("POST", "/", {}, "some request");
  EXPECT_EQ(seen.body, "changed body");
  EXPECT_EQ(seen.get("x-length"), "12");
  EXPECT_EQ(seen.get("x-start"), "some");
  EXPECT_EQ(seen.get("content-length"), "12");
  EXPECT_EQ(reply.body, "FROM THE APP");
}

TEST_F(LuaFilter, LooksAtChunksAsTheyPass) {
  ASSERT_EQ(bench.configure(lua(R"(
      function envoy_on_request(h)
        local size = 0
        h:headers():remove("content-length")
        for chunk in h:bodyChunks() do
          size = size + chunk:length()
          if chunk:length() > 0 then chunk:setBytes("<" .. chunk:getBytes(0, chunk:length()) .. ">") end
        end
        h:streamInfo():dynamicMetadata():set("scratch", "size", size)
      end
      function envoy_on_response(h)
        h:headers():add("x-size", tostring(h:streamInfo():dynamicMetadata():get("scratch").size))
      end)")),
            "");
  const Reply reply = bench.call("POST", "/", {}, "streamed");
  EXPECT_EQ(reply.status, 200) << reply.error;
  EXPECT_EQ(reply.get("x-size"), "8");
  EXPECT_EQ(seen.body, "<streamed>");
  // Without a body the loop ends at once.
  EXPECT_EQ(bench.call("GET", "/").get("x-size"), "0");
}

TEST_F(LuaFilter, CallsServicesAndAnswersItself) {
  Seen asked;
  App helper(answering(asked, {{"x-verdict", "deny"}}, "because"));
  bench.serve("helper", helper);
  ASSERT_EQ(bench.configure(lua(R"(
      function envoy_on_request(h)
        local headers, body = h:httpCall("helper",
          {[":method"] = "POST", [":path"] = "/check", [":authority"] = "helper",
           ["x-many"] = {"a", "b"}}, "question", 5000)
        if headers["x-verdict"] == "deny" then
          h:respond({[":status"] = "403", ["x-why"] = body}, "no " .. headers[":status"])
        end
        error("not reached")
      end
      function envoy_on_response(h) h:headers():add("x-on-reply", "yes") end)")),
            "");
  const Reply reply = bench.call("GET", "/");
  EXPECT_EQ(reply.status, 403);
  EXPECT_EQ(reply.body, "no 200");
  EXPECT_EQ(reply.get("x-why"), "because");
  EXPECT_EQ(reply.get("x-on-reply"), "yes") << "the response's script sees the answer";
  EXPECT_EQ(reply.details, "lua_response");
  EXPECT_EQ(asked.method, "POST");
  EXPECT_EQ(asked.path, "/check");
  EXPECT_EQ(asked.body, "question");
  EXPECT_EQ(seen.count, 0);
}

TEST_F(LuaFilter, FailuresOfCallsAreAnswers) {
  bench.add_cluster("empty", {}, false);
  ASSERT_EQ(bench.configure(lua(R"(
      function envoy_on_request(h)
        local headers = h:httpCall("empty", {[":method"] = "GET", [":path"] = "/",
                                             [":authority"] = "e"}, nil, 100)
        h:headers():add("x-call", headers[":status"])
        local ok, why = pcall(h.httpCall, h, "nowhere", {[":method"] = "GET", [":path"] = "/",
                                                         [":authority"] = "e"}, nil, 100)
        h:headers():add("x-why", tostring(ok) .. why)
      end)")),
            "");
  EXPECT_EQ(bench.call("GET", "/").status, 200);
  EXPECT_EQ(seen.get("x-call"), "503");
  EXPECT_NE(seen.get("x-why").find("false"), std::string::npos);
  EXPECT_NE(seen.get("x-why").find("cluster invalid"), std::string::npos) << seen.get("x-why");
}

TEST_F(LuaFilter, ErrorsLetTheRequestPass) {
  ASSERT_EQ(bench.configure(lua(R"(
      function envoy_on_request(h)
        h:headers():add("x-before", "1")
        error("boom")
      end)")),
            "");
  EXPECT_EQ(bench.call("GET", "/").status, 200);
  EXPECT_EQ(seen.get("x-before"), "1");
}

TEST_F(LuaFilter, LoopsAndHogsAreEnded) {
  for (const char* code :
       {"while true do end", "while true do pcall(function() while true do end end) end",
        "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end"}) {
    ASSERT_EQ(bench.configure(lua(std::string("function envoy_on_request(h) ") + code + " end")),
              "");
    EXPECT_EQ(bench.call("GET", "/").status, 200) << code;
  }
  // A loop at load time is the configuration's error.
  EXPECT_NE(bench.configure(lua("while true do end")).find("instruction limit"), std::string::npos);
}

TEST_F(LuaFilter, ScriptsThatDoNotLoadAreRefused) {
  const std::string error = bench.configure(lua("function envoy_on_request(h"));
  EXPECT_NE(error.find("script load error"), std::string::npos) << error;
}

TEST_F(LuaFilter, ObjectsDieWithTheirExchange) {
  ASSERT_EQ(bench.configure(lua(R"(
      function envoy_on_request(h)
        if kept == nil then kept = h:headers() else
          local ok, why = pcall(function() return kept:get("x") end)
          h:headers():add("x-why", tostring(ok) .. why)
        end
      end)")),
            "");
  bench.call("GET", "/");
  bench.call("GET", "/");
  EXPECT_NE(seen.get("x-why").find("outside of proper scope"), std::string::npos)
      << seen.get("x-why");
}

TEST_F(LuaFilter, RoutesChooseTheScript) {
  const std::string sources = R"(, "source_codes": {"other.lua": {"inline_string":
      "function envoy_on_request(h) h:headers():add('x-script', 'other') end"}})";
  const std::string own = "function envoy_on_request(h) h:headers():add('x-script', 'own') end";
  const auto per_route = [](const std::string& fields) {
    return R"("typed_per_filter_config": {"lua": {"@type":
        "type.googleapis.com/envoy.extensions.filters.http.lua.v3.LuaPerRoute", )" +
           fields + "}}";
  };
  ASSERT_EQ(bench.configure(lua(own, sources), per_route(R"("name": "other.lua")")), "");
  bench.call("GET", "/");
  EXPECT_EQ(seen.get("x-script"), "other");
  ASSERT_EQ(bench.configure(lua(own, sources), per_route(R"("disabled": true)")), "");
  bench.call("GET", "/");
  EXPECT_EQ(seen.get("x-script"), "-");
  ASSERT_EQ(bench.configure(lua(own), per_route(R"("source_code": {"inline_string":
      "function envoy_on_request(h) h:headers():add('x-script', h:filterContext():get('k')) end"},
      "filter_context": {"k": "context"})")),
            "");
  bench.call("GET", "/");
  EXPECT_EQ(seen.get("x-script"), "context");
}

}  // namespace
}  // namespace lateen::proxy
