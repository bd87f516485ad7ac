// A processor of every mood: it changes headers, bodies and trailers, answers itself, is late,
// dies.

#include <gtest/gtest.h>

#include "envoy/service/ext_proc/v3/external_processor.pb.h"
#include "proxy/filters/filter_test_support.h"

namespace lateen::proxy {
namespace {

namespace proc = envoy::service::ext_proc::v3;

using testing::answering;
using testing::App;
using testing::Fields;
using testing::filter;
using testing::FilterBench;
using testing::Reply;
using testing::Seen;

class ExtProcFilter : public ::testing::Test {
 protected:
  ExtProcFilter() {
    service.add("/envoy.service.ext_proc.v3.ExternalProcessor/Process",
                [this](grpc::ServerCall& call) {
                  ++streams;
                  grpc::CallEvents events;
                  events.on_message = [this, &call](std::string bytes) {
                    proc::ProcessingRequest request;
                    ASSERT_TRUE(request.ParseFromString(bytes));
                    seen_requests.push_back(request);
                    on_request(call, request);
                  };
                  events.on_half_close = [&call] { call.finish(Code::kOk, ""); };
                  return events;
                });
    bench.serve("proc", service, true);
    bench.serve("app", app);
  }
  std::string configure(const std::string& mode, const std::string& more = "",
                        const std::string& route = "") {
    return bench.configure(
        filter("ext_proc", "envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
               R"("grpc_service": {"envoy_grpc": {"cluster_name": "proc"}},
                  "message_timeout": "5s", "processing_mode": {)" +
                   mode + "}" + more),
        route);
  }
  static void send(grpc::ServerCall& call, const proc::ProcessingResponse& response) {
    call.send(response.SerializeAsString());
  }
  static void set_header(proc::CommonResponse& response, const std::string& name,
                         const std::string& value) {
    auto& header = *response.mutable_header_mutation()->add_set_headers()->mutable_header();
    header.set_key(name);
    header.set_raw_value(value);
  }
  // Says "go on" to whatever it is asked.
  static proc::ProcessingResponse agree(const proc::ProcessingRequest& request) {
    proc::ProcessingResponse response;
    switch (request.request_case()) {
      case proc::ProcessingRequest::kRequestHeaders: response.mutable_request_headers(); break;
      case proc::ProcessingRequest::kResponseHeaders: response.mutable_response_headers(); break;
      case proc::ProcessingRequest::kRequestBody: response.mutable_request_body(); break;
      case proc::ProcessingRequest::kResponseBody: response.mutable_response_body(); break;
      case proc::ProcessingRequest::kRequestTrailers: response.mutable_request_trailers(); break;
      default: response.mutable_response_trailers();
    }
    return response;
  }
  static std::string header_in(const envoy::config::core::v3::HeaderMap& map,
                               const std::string& name) {
    for (const auto& header : map.headers())
      if (header.key() == name) return header.raw_value();
    return "-";
  }

  Seen seen;
  App app{answering(seen, {{"x-app", "yes"}}, "from the app", 200, {{"x-sum", "42"}})};
  grpc::Service service;
  std::function<void(grpc::ServerCall&, const proc::ProcessingRequest&)> on_request =
      [](grpc::ServerCall& call, const proc::ProcessingRequest& request) {
        send(call, agree(request));
      };
  std::vector<proc::ProcessingRequest> seen_requests;
  int streams = 0;
  FilterBench bench;
};

TEST_F(ExtProcFilter, ChangesHeadersBothWays) {
  on_request = [](grpc::ServerCall& call, const proc::ProcessingRequest& request) {
    auto response = agree(request);
    if (request.has_request_headers()) {
      auto& common = *response.mutable_request_headers()->mutable_response();
      set_header(common, "x-new", "1");
      set_header(common, ":path", "/changed");
      set_header(common, "host", "elsewhere");       // routing: not allowed by default
      set_header(common, "x-envoy-decorated", "1");  // nor this
      common.mutable_header_mutation()->add_remove_headers("x-secret");
    } else {
      auto& common = *response.mutable_response_headers()->mutable_response();
      set_header(common, ":status", "201");
      set_header(common, "x-app", "changed");
    }
    send(call, response);
  };
  ASSERT_EQ(configure(""), "");
  const Reply reply = bench.call("GET", "/here", {{"x-secret", "s"}, {"x-kept", "k"}});
  EXPECT_EQ(reply.status, 201);
  EXPECT_EQ(reply.get("x-app"), "changed");
  EXPECT_EQ(reply.body, "from the app");
  EXPECT_EQ(seen.path, "/changed");
  EXPECT_EQ(seen.get("x-new"), "1");
  EXPECT_EQ(seen.get("x-secret"), "-");
  EXPECT_EQ(seen.get("x-kept"), "k");
  EXPECT_EQ(seen.get("host"), "-");
  EXPECT_EQ(seen.get("x-envoy-decorated"), "-");
  ASSERT_EQ(seen_requests.size(), 2u);
  EXPECT_TRUE(seen_requests[0].request_headers().end_of_stream());
  EXPECT_EQ(header_in(seen_requests[0].request_headers().headers(), ":path"), "/here");
  EXPECT_EQ(header_in(seen_requests[1].response_headers().headers(), ":status"), "200");
  EXPECT_EQ(streams, 1);
}

TEST_F(ExtProcFilter, ReplacesBufferedBodies) {
  on_request = [](grpc::ServerCall& call, const proc::ProcessingRequest& request) {
    auto response = agree(request);
    if (request.has_request_body())
      response.mutable_request_body()->mutable_response()->mutable_body_mutation()->set_body(
          "<" + request.request_body().body() + ">");
    if (request.has_response_body())
      response.mutable_response_body()->mutable_response()->mutable_body_mutation()->set_body(
          "[" + request.response_body().body() + "]");
    send(call, response);
  };
  ASSERT_EQ(configure(R"("request_body_mode": "BUFFERED", "response_body_mode": "BUFFERED",
                         "response_trailer_mode": "SEND")"),
            "");
  const Reply reply = bench.call("POST", "/", {}, "question");
  EXPECT_EQ(seen.body, "<question>");
  EXPECT_EQ(seen.get("content-length"), "10");
  EXPECT_EQ(reply.body, "[from the app]");
  ASSERT_EQ(seen_requests.size(), 5u);
  EXPECT_TRUE(seen_requests[1].request_body().end_of_stream());
  EXPECT_TRUE(seen_requests[4].has_response_trailers());
}

TEST_F(ExtProcFilter, StreamsBodiesAndTrailers) {
  on_request = [](grpc::ServerCall& call, const proc::ProcessingRequest& request) {
    auto response = agree(request);
    if (request.has_request_body() && !request.request_body().body().empty())
      response.mutable_request_body()->mutable_response()->mutable_body_mutation()->set_body(
          "<" + request.request_body().body() + ">");
    if (request.has_response_trailers()) {
      auto& header = *response.mutable_response_trailers()
                          ->mutable_header_mutation()
                          ->add_set_headers()
                          ->mutable_header();
      header.set_key("x-sum");
      header.set_raw_value("43");
    }
    send(call, response);
  };
  ASSERT_EQ(configure(R"("request_body_mode": "STREAMED", "response_body_mode": "STREAMED",
                         "response_trailer_mode": "SEND")"),
            "");
  const Reply reply = bench.call("POST", "/", {}, "question");
  EXPECT_EQ(seen.body, "<question>");
  EXPECT_EQ(reply.body, "from the app") << reply.error;
  if (!reply.trailers.empty()) {
    EXPECT_EQ(reply.trailer("x-sum"), "43");
  }
}

TEST_F(ExtProcFilter, FullDuplexBodiesAreWhatTheProcessorSends) {
  on_request = [held = std::make_shared<std::string>()](grpc::ServerCall& call,
                                                        const proc::ProcessingRequest& request) {
    if (!request.has_request_body()) return send(call, agree(request));
    *held += request.request_body().body();
    if (!request.request_body().end_of_stream()) return;
    for (std::size_t i = 0; i < held->size(); ++i) {
      proc::ProcessingResponse response;
      auto& piece = *response.mutable_request_body()
                         ->mutable_response()
                         ->mutable_body_mutation()
                         ->mutable_streamed_response();
      piece.set_body(std::string(2, (*held)[i]));
      piece.set_end_of_stream(i + 1 == held->size());
      send(call, response);
    }
  };
  ASSERT_EQ(configure(R"("request_body_mode": "FULL_DUPLEX_STREAMED",
                         "request_trailer_mode": "SEND")"),
            "");
  const Reply reply = bench.call("POST", "/", {}, "abc");
  EXPECT_EQ(reply.status, 200) << reply.error;
  EXPECT_EQ(seen.body, "aabbcc");
}

TEST_F(ExtProcFilter, AnswersItself) {
  on_request = [](grpc::ServerCall& call, const proc::ProcessingRequest&) {
    proc::ProcessingResponse response;
    auto& immediate = *response.mutable_immediate_response();
    immediate.mutable_status()->set_code(envoy::type::v3::StatusCode::Forbidden);
    immediate.set_body("not you");
    immediate.set_details("policy");
    auto& header = *immediate.mutable_headers()->add_set_headers()->mutable_header();
    header.set_key("x-why");
    header.set_raw_value("mood");
    send(call, response);
  };
  ASSERT_EQ(configure(""), "");
  const Reply reply = bench.call("GET", "/");
  EXPECT_EQ(reply.status, 403);
  EXPECT_EQ(reply.body, "not you");
  EXPECT_EQ(reply.get("x-why"), "mood");
  EXPECT_EQ(reply.details, "ext_proc_immediate_response{policy}");
  EXPECT_EQ(seen.count, 0);
  const auto told = bench.shared.failures.last(1);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_TRUE(told[0].object.starts_with("filter 'ext_proc' of listener")) << told[0].object;
  EXPECT_EQ(told[0].reason,
            "ext proc immediate response{policy}; the service it asks is cluster 'proc'");
}

// Two processors behind each other: the explanation names the one that answered.
TEST_F(ExtProcFilter, OfSeveralTheOneThatAnsweredIsNamed) {
  on_request = [this](grpc::ServerCall& call, const proc::ProcessingRequest& request) {
    if (streams < 2 || !request.has_request_headers()) return send(call, agree(request));
    proc::ProcessingResponse response;
    response.mutable_immediate_response()->mutable_status()->set_code(
        envoy::type::v3::StatusCode::Forbidden);
    send(call, response);
  };
  const auto processor = [](const std::string& name) {
    return filter(name, "envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
                  R"("grpc_service": {"envoy_grpc": {"cluster_name": "proc"}},
                     "message_timeout": "5s")");
  };
  ASSERT_EQ(bench.configure(processor("first") + processor("second")), "");
  EXPECT_EQ(bench.call("GET", "/").status, 403);
  const auto told = bench.shared.failures.last(1);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_TRUE(told[0].object.starts_with("filter 'second' of listener")) << told[0].object;
}

TEST_F(ExtProcFilter, FailuresDenyUnlessAllowed) {
  on_request = [](grpc::ServerCall& call, const proc::ProcessingRequest&) {
    call.finish(Code::kInternal, "broken");
  };
  ASSERT_EQ(configure(""), "");
  const Reply denied = bench.call("GET", "/");
  EXPECT_EQ(denied.status, 500);
  EXPECT_EQ(denied.details.rfind("ext_proc_error_gRPC_error_13", 0), 0u) << denied.details;
  ASSERT_EQ(configure("", R"(, "failure_mode_allow": true)"), "");
  EXPECT_EQ(bench.call("GET", "/").status, 200);
  // Late is a failure of its own kind.
  on_request = [](grpc::ServerCall&, const proc::ProcessingRequest&) {};
  ASSERT_EQ(bench.configure(filter("ext_proc",
                                   "envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
                                   R"("grpc_service": {"envoy_grpc": {"cluster_name": "proc"}},
                   "message_timeout": "0.05s")")),
            "");
  const Reply late = bench.call("GET", "/");
  EXPECT_EQ(late.status, 504);
  EXPECT_EQ(late.details, "ext_proc_error_per-message_timeout_exceeded");
}

TEST_F(ExtProcFilter, AProcessorMayLeave) {
  on_request = [](grpc::ServerCall& call, const proc::ProcessingRequest&) {
    call.finish(Code::kOk, "");
  };
  ASSERT_EQ(configure(R"("request_body_mode": "STREAMED", "response_body_mode": "BUFFERED")"), "");
  const Reply reply = bench.call("POST", "/", {}, "question");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(seen.body, "question");
  EXPECT_EQ(reply.body, "from the app");
  EXPECT_EQ(seen_requests.size(), 1u);
}

TEST_F(ExtProcFilter, ModesAreOverriddenByAnswersAndRoutes) {
  on_request = [](grpc::ServerCall& call, const proc::ProcessingRequest& request) {
    auto response = agree(request);
    if (request.has_request_headers()) {
      using Mode = envoy::extensions::filters::http::ext_proc::v3::ProcessingMode;
      response.mutable_mode_override()->set_response_header_mode(Mode::SKIP);
      response.mutable_mode_override()->set_request_body_mode(Mode::BUFFERED);
    }
    send(call, response);
  };
  ASSERT_EQ(configure("", R"(, "allow_mode_override": true)"), "");
  EXPECT_EQ(bench.call("POST", "/", {}, "question").status, 200);
  ASSERT_EQ(seen_requests.size(), 2u);
  EXPECT_TRUE(seen_requests[1].has_request_body());
  seen_requests.clear();
  ASSERT_EQ(configure("", "", R"("typed_per_filter_config": {"ext_proc": {"@type":
      "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute",
      "disabled": true}})"),
            "");
  EXPECT_EQ(bench.call("GET", "/").status, 200);
  EXPECT_TRUE(seen_requests.empty());
}

TEST_F(ExtProcFilter, AttributesAreSent) {
  ASSERT_EQ(
      configure("", R"(, "request_attributes": ["request.path", "source.address", "no.such"])"),
      "");
  bench.call("GET", "/a?b");
  ASSERT_FALSE(seen_requests.empty());
  const auto& fields = seen_requests[0].attributes().at("envoy.filters.http.ext_proc").fields();
  EXPECT_EQ(fields.at("request.path").string_value(), "/a?b");
  EXPECT_EQ(fields.at("source.address").string_value(), "10.0.0.1:5000");
  EXPECT_EQ(fields.count("no.such"), 0u);
}

TEST_F(ExtProcFilter, ModesThatAreNotSpokenAreRefused) {
  const std::string error = configure(R"("request_body_mode": "BUFFERED_PARTIAL")");
  EXPECT_NE(error.find("BUFFERED_PARTIAL is not supported"), std::string::npos) << error;
  EXPECT_NE(configure(R"("request_body_mode": "FULL_DUPLEX_STREAMED")").find("trailer mode"),
            std::string::npos);
}

}  // namespace
}  // namespace lateen::proxy
