// envoy.filters.http.ratelimit: asks a rate limit service (envoy.service.ratelimit.v3) about the
// descriptors of a request before it goes on.

#include "base/strings.h"
#include "envoy/extensions/filters/http/ratelimit/v3/rate_limit.pb.h"
#include "envoy/service/ratelimit/v3/rls.pb.h"
#include "grpc/client.h"
#include "proxy/filters/filters.h"
#include "proxy/filters/ratelimit/descriptors.h"
#include "proxy/filters/side_call.h"
#include "proxy/route/header_ops.h"
#include "xds/any.h"
#include "xds/convert.h"
#include "xds/json.h"

namespace lateen::proxy {
namespace {

namespace api = envoy::extensions::filters::http::ratelimit::v3;
namespace rls = envoy::service::ratelimit::v3;

struct RouteSettings final : RouteFilterConfig {
  HostRules host_rules = HostRules::kOverride;
  RateLimitRules rules;
  std::string domain;
};

class RateLimit final : public HttpFilter {
 public:
  std::string name, domain;
  SideService service;
  std::uint32_t stage = 0;
  enum class Type : unsigned char { kBoth, kInternal, kExternal } type = Type::kBoth;
  milliseconds timeout{20};
  std::uint32_t deny_on_failure = 0;  // in millionths
  std::uint32_t enabled = 1'000'000, enforced = 1'000'000;
  int limited_status = 429, error_status = 500;
  bool is_exhausted_told = false, is_header_sent = true, is_informing = false;
  HeaderOps response_headers;
  RateLimitRules rules;

  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override;

 private:
  struct Pending {
    http::Request request;
    Next next;
    http::Done done;
  };
  using PendingRef = std::shared_ptr<Pending>;
  rls::RateLimitRequest question(const std::string& asked_domain,
                                 const std::vector<RateDescriptor>& descriptors) const;
  void on_answer(HttpState& stream, const PendingRef& pending,
                 const rls::RateLimitResponse& answer) const;
  void limit(HttpState& stream, const PendingRef& pending,
             const rls::RateLimitResponse& answer) const;
  void fail(HttpState& stream, const PendingRef& pending) const;
};

bool is_within(HttpState& stream, std::uint32_t millionths) {
  return stream.exchange.loop.random().below(1'000'000) < millionths;
}

void RateLimit::handle(HttpState& stream, http::Request request, Next next, http::Done done) const {
  const bool is_internal = request.headers.get("x-envoy-internal").value_or("") == "true";
  if ((type == Type::kInternal && !is_internal) || (type == Type::kExternal && is_internal) ||
      !is_within(stream, enabled))
    return next(stream, std::move(request), std::move(done));
  const auto* entry = route_config_for(stream.info, name);
  const auto* route =
      entry == nullptr ? nullptr : dynamic_cast<const RouteSettings*>(entry->config.get());
  const RateLimitRules& own = route != nullptr && !route->rules.empty() ? route->rules : rules;
  const auto descriptors =
      describe_request(stream.info, request, own, stage,
                       route != nullptr ? route->host_rules : HostRules::kOverride);
  if (descriptors.empty()) return next(stream, std::move(request), std::move(done));
  auto pending = std::make_shared<Pending>(Pending{std::move(request), next, std::move(done)});
  const auto target = find_target(stream.info.worker, service.cluster, true);
  if (!target) return fail(stream, pending);
  const auto asked =
      question(route != nullptr && !route->domain.empty() ? route->domain : domain, descriptors);
  grpc::unary(stream.exchange.scope, stream.exchange.loop, *target->pool, service.authority,
              "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit", service.metadata,
              asked.SerializeAsString(), timeout,
              [this, &stream, pending, upstream = target->upstream](Result<std::string> bytes) {
                rls::RateLimitResponse answer;
                if (!bytes.ok() || !answer.ParseFromString(*bytes)) return fail(stream, pending);
                on_answer(stream, pending, answer);
              });
}

rls::RateLimitRequest RateLimit::question(const std::string& asked_domain,
                                          const std::vector<RateDescriptor>& descriptors) const {
  rls::RateLimitRequest asked;
  asked.set_domain(asked_domain);
  for (const auto& descriptor : descriptors) {
    auto& out = *asked.add_descriptors();
    for (const auto& [key, value] : descriptor.entries) {
      auto& entry = *out.add_entries();
      entry.set_key(key);
      entry.set_value(value);
    }
    if (descriptor.limit) {
      out.mutable_limit()->set_requests_per_unit(descriptor.limit->requests_per_unit);
      out.mutable_limit()->set_unit(
          static_cast<envoy::type::v3::RateLimitUnit>(descriptor.limit->unit));
    }
    if (descriptor.hits) out.mutable_hits_addend()->set_value(*descriptor.hits);
  }
  return asked;
}

std::uint32_t seconds_of(rls::RateLimitResponse::RateLimit::Unit unit) {
  using Limit = rls::RateLimitResponse::RateLimit;
  switch (unit) {
    case Limit::SECOND: return 1;
    case Limit::MINUTE: return 60;
    case Limit::HOUR: return 3600;
    case Limit::DAY: return 86'400;
    case Limit::WEEK: return 7 * 86'400;
    case Limit::MONTH: return 30 * 86'400;
    case Limit::YEAR: return 365 * 86'400;
    default: return 0;
  }
}

// The IETF draft's fields: of the limit with the least left, with all limits as its policies.
void inform(http::Headers& headers, const rls::RateLimitResponse& answer) {
  const rls::RateLimitResponse::DescriptorStatus* least = nullptr;
  std::string policies;
  for (const auto& status : answer.statuses()) {
    if (!status.has_current_limit()) continue;
    if (least == nullptr || status.limit_remaining() < least->limit_remaining()) least = &status;
    const auto& limit = status.current_limit();
    const std::uint32_t window = seconds_of(limit.unit());
    if (window == 0) continue;
    policies += ", " + std::to_string(limit.requests_per_unit()) + ";w=" + std::to_string(window);
    if (!limit.name().empty()) policies += ";name=\"" + limit.name() + "\"";
  }
  if (least == nullptr) return;
  headers.set("x-ratelimit-limit",
              std::to_string(least->current_limit().requests_per_unit()) + policies);
  headers.set("x-ratelimit-remaining", std::to_string(least->limit_remaining()));
  headers.set("x-ratelimit-reset", std::to_string(least->duration_until_reset().seconds()));
}

void RateLimit::on_answer(HttpState& stream, const PendingRef& pending,
                          const rls::RateLimitResponse& answer) const {
  if (answer.has_dynamic_metadata())
    stream.info.metadata[name] = xds::struct_to_json(answer.dynamic_metadata());
  if (answer.overall_code() == rls::RateLimitResponse::OVER_LIMIT && is_within(stream, enforced))
    return limit(stream, pending, answer);
  if (answer.overall_code() == rls::RateLimitResponse::UNKNOWN) return fail(stream, pending);
  for (const auto& header : answer.request_headers_to_add())
    pending->request.headers.add(to_lower(header.key()), header.value());
  if (answer.response_headers_to_add().empty() && !is_informing)
    return pending->next(stream, std::move(pending->request), std::move(pending->done));
  pending->next(stream, std::move(pending->request),
                [this, pending, answer](Result<http::Response> response) {
                  if (response.ok()) {
                    for (const auto& header : answer.response_headers_to_add())
                      response->headers.add(to_lower(header.key()), header.value());
                    if (is_informing) inform(response->headers, answer);
                  }
                  pending->done(std::move(response));
                });
}

void RateLimit::limit(HttpState& stream, const PendingRef& pending,
                      const rls::RateLimitResponse& answer) const {
  auto response = local_reply(stream, limited_status, answer.raw_body(), "request_rate_limited",
                              Flag::kRateLimited);
  if (stream.info.is_grpc && is_exhausted_told) response.headers.set("grpc-status", "8");
  if (is_header_sent) response.headers.set("x-envoy-ratelimited", "true");
  for (const auto& header : answer.response_headers_to_add())
    response.headers.add(to_lower(header.key()), header.value());
  response_headers.apply(response.headers, stream.info);
  if (is_informing) inform(response.headers, answer);
  pending->done(std::move(response));
}

void RateLimit::fail(HttpState& stream, const PendingRef& pending) const {
  if (!is_within(stream, deny_on_failure))
    return pending->next(stream, std::move(pending->request), std::move(pending->done));
  pending->done(local_reply(stream, error_status, "", "rate_limiter_error", Flag::kRateLimitError));
}

}  // namespace

Result<HttpFilterRef> make_ratelimit(const google::protobuf::Any& config,
                                     const CompileContext& context) {
  const auto from = TRY(xds::unpack<api::RateLimit>(config));
  auto made = std::make_shared<RateLimit>();
  made->name = context.filter_name;
  if (from.domain().empty()) return invalid("ratelimit: domain is required", Blame::kConfig);
  made->domain = from.domain();
  made->service = TRY(SideService::compile(from.rate_limit_service().grpc_service(), "ratelimit"));
  made->stage = from.stage();
  if (from.request_type() == "internal") made->type = RateLimit::Type::kInternal;
  else if (from.request_type() == "external") made->type = RateLimit::Type::kExternal;
  else if (!from.request_type().empty() && from.request_type() != "both")
    return invalid("ratelimit: request_type '" + from.request_type() + "' is none", Blame::kConfig);
  if (from.has_timeout()) made->timeout = xds::to_millis(from.timeout());
  made->deny_on_failure = from.failure_mode_deny() ? 1'000'000 : 0;
  if (from.has_failure_mode_deny_percent())
    made->deny_on_failure = xds::to_millionths(from.failure_mode_deny_percent().default_value());
  if (from.has_filter_enabled())
    made->enabled = xds::to_millionths(from.filter_enabled().default_value());
  if (from.has_filter_enforced())
    made->enforced = xds::to_millionths(from.filter_enforced().default_value());
  if (from.rate_limited_status().code() >= 400)
    made->limited_status = from.rate_limited_status().code();
  if (from.has_status_on_error() && from.status_on_error().code() >= 400)
    made->error_status = from.status_on_error().code();
  made->is_exhausted_told = from.rate_limited_as_resource_exhausted();
  made->is_header_sent = !from.disable_x_envoy_ratelimited_header();
  made->is_informing = from.enable_x_ratelimit_headers() == api::RateLimit::DRAFT_VERSION_03;
  made->response_headers = TRY(HeaderOps::compile(from.response_headers_to_add(), {}));
  for (const auto& rule : from.rate_limits())
    made->rules.push_back(TRY(RateLimitRule::compile(rule)));
  return HttpFilterRef(std::move(made));
}

Result<RouteConfigRef> make_ratelimit_route(const google::protobuf::Any& config,
                                            const CompileContext&) {
  const auto from = TRY(xds::unpack<api::RateLimitPerRoute>(config));
  auto made = std::make_shared<RouteSettings>();
  made->domain = from.domain();
  if (from.vh_rate_limits() == api::RateLimitPerRoute::INCLUDE)
    made->host_rules = HostRules::kInclude;
  if (from.vh_rate_limits() == api::RateLimitPerRoute::IGNORE)
    made->host_rules = HostRules::kIgnore;
  if (from.override_option() != api::RateLimitPerRoute::DEFAULT)
    return invalid("ratelimit: override_option is not supported", Blame::kConfig);
  for (const auto& rule : from.rate_limits())
    made->rules.push_back(TRY(RateLimitRule::compile(rule)));
  return RouteConfigRef(std::move(made));
}

}  // namespace lateen::proxy
