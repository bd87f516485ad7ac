// Fault injection: delays and aborts, by chance, for requests that the rule matches.

#include "base/strings.h"
#include "envoy/extensions/filters/http/fault/v3/fault.pb.h"
#include "proxy/filters/filters.h"
#include "proxy/filters/traffic/throttle.h"
#include "proxy/http/config.h"
#include "proxy/worker/worker.h"
#include "xds/any.h"
#include "xds/convert.h"

namespace lateen::proxy {
namespace {

struct FaultRule final : RouteFilterConfig {
  nanoseconds delay{0};
  bool is_delay_from_header = false;
  std::uint32_t delay_millionths = 0;
  int abort_status = 0;
  std::optional<int> abort_grpc;
  bool is_abort_from_header = false;
  std::uint32_t abort_millionths = 0;
  std::vector<HeaderMatcher> headers;
  std::string upstream_cluster;
  std::uint64_t response_bytes_per_second = 0;  // 0: no limit
  bool is_rate_from_header = false;
  std::uint32_t rate_millionths = 0;
};

constexpr int kRateSteps = 16;  // a second, as Envoy divides it

class Fault final : public HttpFilter {
 public:
  explicit Fault(std::shared_ptr<const FaultRule> rule) : rule_(std::move(rule)) {}

  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override {
    const auto* entry = route_config_for(stream.info, "envoy.filters.http.fault");
    const auto* rule =
        entry == nullptr ? rule_.get() : dynamic_cast<const FaultRule*>(entry->config.get());
    if (rule == nullptr) rule = rule_.get();
    if (!all_match(rule->headers, request) ||
        (!rule->upstream_cluster.empty() && rule->upstream_cluster != stream.info.cluster_choice))
      return next(stream, std::move(request), std::move(done));
    Random& random = stream.exchange.loop.random();
    nanoseconds delay = rule->delay;
    if (rule->is_delay_from_header) {
      const auto value = request.headers.get("x-envoy-fault-delay-request");
      delay = milliseconds(value ? parse_uint(*value).value_or(0) : 0);
    }
    if (delay.count() == 0 || random.below(1'000'000) >= rule->delay_millionths)
      return after_delay(*rule, stream, std::move(request), next, std::move(done));
    stream.info.flags.set(Flag::kDelayInjected);
    stream.config->stats->add(HttpStat::kFaultDelays);
    auto held = std::make_shared<http::Request>(std::move(request));
    event::after(stream.exchange.scope, stream.exchange.loop, delay,
                 [rule, &stream, held, next, done = std::move(done)]() mutable {
                   after_delay(*rule, stream, std::move(*held), next, std::move(done));
                 });
  }

 private:
  static void after_delay(const FaultRule& rule, HttpState& stream, http::Request request,
                          Next next, http::Done done) {
    int status = rule.abort_status;
    if (rule.is_abort_from_header) {
      const auto value = request.headers.get("x-envoy-fault-abort-request");
      status = static_cast<int>(value ? parse_uint(*value).value_or(0) : 0);
    }
    const bool is_aborting = (status != 0 || rule.abort_grpc) && rule.abort_millionths > 0 &&
                             stream.exchange.loop.random().below(1'000'000) < rule.abort_millionths;
    if (!is_aborting) return pass(rule, stream, std::move(request), next, std::move(done));
    stream.config->stats->add(HttpStat::kFaultAborts);
    auto response = local_reply(stream, rule.abort_grpc ? 200 : status, "fault filter abort",
                                "fault_filter_abort", Flag::kFaultInjected);
    if (rule.abort_grpc) {
      response.headers.set("content-type", "application/grpc");
      response.headers.set("grpc-status", std::to_string(*rule.abort_grpc));
      response.headers.set("grpc-message", "fault filter abort");
      response.headers.remove("content-length");
      response.body = {};
      stream.info.local_status = 503;  // For gRPC it is a failure, whatever HTTP says.
    }
    done(std::move(response));
  }

  // With the answer's body slowed down when the rule says so.
  static void pass(const FaultRule& rule, HttpState& stream, http::Request request, Next next,
                   http::Done done) {
    std::uint64_t rate = rule.response_bytes_per_second;
    if (rule.is_rate_from_header) {
      const auto value = request.headers.get("x-envoy-fault-throughput-response");  // in KiB/s
      rate = value ? std::min<std::uint64_t>(parse_uint(*value).value_or(0), 1u << 30) * 1024 : 0;
    }
    event::Loop& loop = stream.exchange.loop;
    if (rate == 0 || loop.random().below(1'000'000) >= rule.rate_millionths)
      return next(stream, std::move(request), std::move(done));
    next(stream, std::move(request),
         [&loop, rate, done = std::move(done)](Result<http::Response> response) mutable {
           if (response.ok() && !response->body.empty())
             response->body =
                 throttle(loop, std::move(response->body),
                          std::make_shared<ByteBucket>(rate, nanoseconds(seconds(1)) / kRateSteps));
           done(std::move(response));
         });
  }

  std::shared_ptr<const FaultRule> rule_;
};

Result<std::shared_ptr<const FaultRule>> compile_rule(const google::protobuf::Any& config) {
  namespace fault = envoy::extensions::filters::http::fault::v3;
  const auto from = TRY(xds::unpack<fault::HTTPFault>(config));
  auto made = std::make_shared<FaultRule>();
  if (from.has_delay()) {
    made->delay = xds::to_nanos(from.delay().fixed_delay());
    made->is_delay_from_header = from.delay().has_header_delay();
    made->delay_millionths = xds::to_millionths(from.delay().percentage());
  }
  if (from.has_abort()) {
    made->abort_status = static_cast<int>(from.abort().http_status());
    if (from.abort().error_type_case() == fault::FaultAbort::kGrpcStatus)
      made->abort_grpc = static_cast<int>(from.abort().grpc_status());
    made->is_abort_from_header = from.abort().has_header_abort();
    made->abort_millionths = xds::to_millionths(from.abort().percentage());
  }
  if (from.has_response_rate_limit()) {
    const auto& limit = from.response_rate_limit();
    made->response_bytes_per_second = limit.fixed_limit().limit_kbps() * 1024;
    made->is_rate_from_header = limit.has_header_limit();
    made->rate_millionths = xds::to_millionths(limit.percentage());
  }
  for (const auto& header : from.headers())
    made->headers.push_back(TRY(HeaderMatcher::compile(header)));
  made->upstream_cluster = from.upstream_cluster();
  return std::shared_ptr<const FaultRule>(std::move(made));
}

}  // namespace

Result<HttpFilterRef> make_fault(const google::protobuf::Any& config, const CompileContext&) {
  return HttpFilterRef(std::make_shared<const Fault>(TRY(compile_rule(config))));
}

Result<RouteConfigRef> make_fault_route(const google::protobuf::Any& config,
                                        const CompileContext&) {
  return RouteConfigRef(TRY(compile_rule(config)));
}

}  // namespace lateen::proxy
