// Bandwidth, admission, concurrency; and fault injection's slow answers.

#include "proxy/filters/filter_test_support.h"
#include "proxy/filters/traffic/throttle.h"

namespace lateen::proxy {
namespace {

using testing::App;
using testing::filter;
using testing::FilterBench;
using testing::Reply;
using testing::Seen;

TEST(Throttle, ABucketGivesWhatTimeBrings) {
  ByteBucket bucket(1000, milliseconds(100));
  SteadyTime now{seconds(5)};
  EXPECT_EQ(bucket.take(1000, now), 100u);  // one step is there at first
  EXPECT_EQ(bucket.take(1000, now), 0u);
  now += milliseconds(50);
  EXPECT_EQ(bucket.take(1000, now), 0u);  // not before the step is over
  now += milliseconds(150);
  EXPECT_EQ(bucket.take(1000, now), 200u);
  now += seconds(60);
  EXPECT_EQ(bucket.take(5000, now), 1000u);  // no more than a second's worth
}

// Rates that let the body pass in a few steps, and a lower bound on the time that takes.
void expect_slow(FilterBench& bench, std::size_t bytes, milliseconds least,
                 const testing::Fields& headers = {}, const std::string& body = "") {
  const SteadyTime begin = bench.clock.steady();
  const Reply reply = bench.call(body.empty() ? "GET" : "POST", "/", headers, body);
  EXPECT_EQ(reply.status, 200) << reply.error;
  if (body.empty()) {
    EXPECT_EQ(reply.body.size(), bytes);
  }
  EXPECT_GE(bench.clock.steady() - begin, least);
}

TEST(BandwidthLimit, SlowsAnswersAndRequests) {
  FilterBench bench;
  Seen seen;
  App app(testing::answering(seen, {}, std::string(40'000, 'x')));
  bench.serve("app", app);
  const auto limit = [](const std::string& mode) {
    return filter("envoy.filters.http.bandwidth_limit",
                  "envoy.extensions.filters.http.bandwidth_limit.v3.BandwidthLimit",
                  R"("stat_prefix": "b", "enable_mode": ")" + mode +
                      R"(", "limit_kbps": 100, "fill_interval": "0.02s")");
  };
  ASSERT_EQ(bench.configure(limit("RESPONSE")), "");
  expect_slow(bench, 40'000, milliseconds(300));
  ASSERT_EQ(bench.configure(limit("REQUEST")), "");
  expect_slow(bench, 40'000, milliseconds(300), {}, std::string(40'000, 'y'));
  EXPECT_EQ(seen.body.size(), 40'000u);
  EXPECT_NE(bench
                .configure(filter("envoy.filters.http.bandwidth_limit",
                                  "envoy.extensions.filters.http.bandwidth_limit.v3.BandwidthLimit",
                                  R"("stat_prefix": "b", "enable_mode": "RESPONSE")"))
                .find("limit_kbps"),
            std::string::npos);
}

TEST(Fault, SlowsAnswersByRateAndByHeader) {
  FilterBench bench;
  Seen seen;
  App app(testing::answering(seen, {}, std::string(40'000, 'x')));
  bench.serve("app", app);
  const auto fault = [](const std::string& limit) {
    return filter("envoy.filters.http.fault", "envoy.extensions.filters.http.fault.v3.HTTPFault",
                  R"("response_rate_limit": {)" + limit +
                      R"(, "percentage": {"numerator": 100, "denominator": "HUNDRED"}})");
  };
  ASSERT_EQ(bench.configure(fault(R"("fixed_limit": {"limit_kbps": 100})")), "");
  expect_slow(bench, 40'000, milliseconds(300));
  ASSERT_EQ(bench.configure(fault(R"("header_limit": {})")), "");
  expect_slow(bench, 40'000, milliseconds(300), {{"x-envoy-fault-throughput-response", "100"}});
  EXPECT_EQ(bench.call("GET", "/").body.size(), 40'000u);
}

TEST(AdmissionControl, RefusesWhenTooFewSucceed) {
  FilterBench bench;
  int status = 200;
  App app([&](http::Exchange& exchange, http::Request, http::Done done) {
    done(http::Response::text(exchange.arena, status, "x"));
  });
  bench.serve("app", app);
  ASSERT_EQ(bench.configure(filter(
                "admission", "envoy.extensions.filters.http.admission_control.v3.AdmissionControl",
                R"("enabled": {"default_value": true}, "sampling_window": "60s",
                                   "sr_threshold": {"default_value": {"value": 95}},
                                   "max_rejection_probability": {"default_value": {"value": 100}})")),
            "");
  for (int i = 0; i < 50; ++i) EXPECT_EQ(bench.call("GET", "/").status, 200);
  status = 500;
  int refused = 0;
  for (int i = 0; i < 300; ++i) {
    const Reply reply = bench.call("GET", "/");
    if (reply.status != 503) continue;
    EXPECT_EQ(reply.details, "denied_by_admission_control");
    ++refused;
  }
  EXPECT_GT(refused, 50);   // by chance, but by far
  EXPECT_LT(refused, 295);  // some pass always
}

TEST(AdmissionControl, LetsAllPassWhileTheySucceed) {
  FilterBench bench;
  Seen seen;
  App app(testing::answering(seen, {}, "x", 404));  // the client's own fault
  bench.serve("app", app);
  ASSERT_EQ(
      bench.configure(filter(
          "admission", "envoy.extensions.filters.http.admission_control.v3.AdmissionControl", "")),
      "");
  for (int i = 0; i < 100; ++i) EXPECT_EQ(bench.call("GET", "/").status, 404);
}

TEST(AdaptiveConcurrency, TakesNoMoreThanTheLimit) {
  FilterBench bench;
  // The application answers when the second request was judged.
  std::vector<http::Done> waiting;
  http::Exchange* first = nullptr;
  App app([&](http::Exchange& exchange, http::Request, http::Done done) {
    first = &exchange;
    waiting.push_back(std::move(done));
    bench.loop->stop();
  });
  bench.serve("app", app);
  const std::string config = R"("concurrency_limit_exceeded_status": {"code": 529},
      "gradient_controller_config": {"concurrency_limit_params": {"concurrency_update_interval": "0.1s"},
      "min_rtt_calc_params": {"interval": "60s", "min_concurrency": 1}})";
  ASSERT_EQ(bench.configure(filter(
                "ac", "envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency",
                config)),
            "");
  http::ConnectionInfo info;
  {
    // A first request stays under way.
    http::Exchange exchange(*bench.loop, info);
    http::Request request(exchange.arena);
    request.method = "GET";
    request.path = "/";
    request.authority = "a";
    bench.start(exchange, std::move(request), [](Result<http::Response>) {});
    bench.loop->run();
    ASSERT_EQ(waiting.size(), 1u);
    const Reply reply = bench.call("GET", "/");
    EXPECT_EQ(reply.status, 529);
    EXPECT_EQ(reply.body, "reached concurrency limit");
    EXPECT_EQ(reply.details, "reached_concurrency_limit");
  }
  waiting.clear();
}

}  // namespace
}  // namespace lateen::proxy
