// envoy.filters.http.bandwidth_limit: all streams of one configuration share one bucket a
// direction.

#include "envoy/extensions/filters/http/bandwidth_limit/v3/bandwidth_limit.pb.h"
#include "proxy/filters/traffic/throttle.h"
#include "proxy/filters/traffic/traffic.h"
#include "proxy/http/filter.h"
#include "xds/any.h"
#include "xds/convert.h"

namespace lateen::proxy {
namespace {

namespace api = envoy::extensions::filters::http::bandwidth_limit::v3;

struct BandwidthLimit final : RouteFilterConfig {
  std::shared_ptr<ByteBucket> request, response;  // null: not limited
};

class Bandwidth final : public HttpFilter {
 public:
  explicit Bandwidth(std::shared_ptr<const BandwidthLimit> limit) : limit_(std::move(limit)) {}

  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override {
    const auto* entry = route_config_for(stream.info, "envoy.filters.http.bandwidth_limit");
    const auto* limit =
        entry == nullptr ? nullptr : dynamic_cast<const BandwidthLimit*>(entry->config.get());
    if (limit == nullptr) limit = limit_.get();
    event::Loop& loop = stream.exchange.loop;
    if (limit->request != nullptr && !request.body.empty())
      request.body = throttle(loop, std::move(request.body), limit->request);
    if (limit->response == nullptr) return next(stream, std::move(request), std::move(done));
    next(stream, std::move(request),
         [&loop, bucket = limit->response,
          done = std::move(done)](Result<http::Response> response) mutable {
           if (response.ok() && !response->body.empty())
             response->body = throttle(loop, std::move(response->body), std::move(bucket));
           done(std::move(response));
         });
  }

 private:
  std::shared_ptr<const BandwidthLimit> limit_;
};

Result<std::shared_ptr<const BandwidthLimit>> compile(const google::protobuf::Any& config) {
  const auto from = TRY(xds::unpack<api::BandwidthLimit>(config));
  auto made = std::make_shared<BandwidthLimit>();
  const auto mode = from.enable_mode();
  const bool is_on = !from.has_runtime_enabled() || !from.runtime_enabled().has_default_value() ||
                     from.runtime_enabled().default_value().value();
  if (!is_on || mode == api::BandwidthLimit::DISABLED)
    return std::shared_ptr<const BandwidthLimit>(std::move(made));
  if (!from.has_limit_kbps() || from.limit_kbps().value() == 0)
    return invalid("limit_kbps must be at least 1", Blame::kConfig);
  const nanoseconds step = from.has_fill_interval() ? xds::to_nanos(from.fill_interval())
                                                    : nanoseconds(milliseconds(50));
  if (step < milliseconds(20) || step > seconds(1))
    return invalid("fill_interval must be in 20ms…1s", Blame::kConfig);
  const std::uint64_t rate = from.limit_kbps().value() * 1024;
  if (mode == api::BandwidthLimit::REQUEST || mode == api::BandwidthLimit::REQUEST_AND_RESPONSE)
    made->request = std::make_shared<ByteBucket>(rate, step);
  if (mode == api::BandwidthLimit::RESPONSE || mode == api::BandwidthLimit::REQUEST_AND_RESPONSE)
    made->response = std::make_shared<ByteBucket>(rate, step);
  return std::shared_ptr<const BandwidthLimit>(std::move(made));
}

}  // namespace

Result<HttpFilterRef> make_bandwidth_limit(const google::protobuf::Any& config,
                                           const CompileContext&) {
  return HttpFilterRef(std::make_shared<const Bandwidth>(TRY(compile(config))));
}

Result<RouteConfigRef> make_bandwidth_limit_route(const google::protobuf::Any& config,
                                                  const CompileContext&) {
  return RouteConfigRef(TRY(compile(config)));
}

}  // namespace lateen::proxy
