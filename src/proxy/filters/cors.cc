// CORS (fetch.spec.whatwg.org) by the policy of the route.

#include "base/strings.h"
#include "envoy/extensions/filters/http/cors/v3/cors.pb.h"
#include "proxy/filters/filters.h"
#include "xds/any.h"

namespace lateen::proxy {
namespace {

struct CorsPolicy final : RouteFilterConfig {
  std::vector<StringMatcher> origins;
  std::string methods, headers, exposed, max_age;
  std::optional<bool> is_credentialed;
  bool is_enabled = true;
  bool is_unmatched_forwarded = true;
};

class Cors final : public HttpFilter {
 public:
  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override {
    const auto* entry = route_config_for(stream.info, "envoy.filters.http.cors");
    const auto* policy =
        entry == nullptr ? nullptr : dynamic_cast<const CorsPolicy*>(entry->config.get());
    const auto origin = request.headers.get("origin");
    if (policy == nullptr || !policy->is_enabled || !origin)
      return next(stream, std::move(request), std::move(done));
    bool is_allowed = false;
    for (const auto& matcher : policy->origins) is_allowed = is_allowed || matcher.matches(*origin);
    const bool is_preflight =
        request.method == "OPTIONS" && request.headers.has("access-control-request-method");
    if (!is_allowed && (!is_preflight || policy->is_unmatched_forwarded))
      return next(stream, std::move(request), std::move(done));
    const std::string allowed(*origin);
    if (is_preflight) {
      auto response = local_reply(stream, 200, "", "cors_response");
      // A browser refuses by itself when this header is missing.
      if (is_allowed) response.headers.add("access-control-allow-origin", allowed);
      if (policy->is_credentialed.value_or(false))
        response.headers.add("access-control-allow-credentials", "true");
      if (!policy->methods.empty())
        response.headers.add("access-control-allow-methods", policy->methods);
      if (!policy->headers.empty())
        response.headers.add("access-control-allow-headers", policy->headers);
      if (!policy->max_age.empty()) response.headers.add("access-control-max-age", policy->max_age);
      if (!policy->exposed.empty())
        response.headers.add("access-control-expose-headers", policy->exposed);
      return done(std::move(response));
    }
    next(stream, std::move(request),
         [policy, allowed, done = std::move(done)](Result<http::Response> response) mutable {
           if (response.ok()) {
             response->headers.set("access-control-allow-origin", allowed);
             if (policy->is_credentialed.value_or(false))
               response->headers.set("access-control-allow-credentials", "true");
             if (!policy->exposed.empty())
               response->headers.set("access-control-expose-headers", policy->exposed);
           }
           done(std::move(response));
         });
  }
};

}  // namespace

Result<HttpFilterRef> make_cors(const google::protobuf::Any&, const CompileContext&) {
  return HttpFilterRef(std::make_shared<const Cors>());
}

Result<RouteConfigRef> make_cors_route(const google::protobuf::Any& config, const CompileContext&) {
  const auto from =
      TRY(xds::unpack<envoy::extensions::filters::http::cors::v3::CorsPolicy>(config));
  auto made = std::make_shared<CorsPolicy>();
  for (const auto& origin : from.allow_origin_string_match())
    made->origins.push_back(TRY(StringMatcher::compile(origin)));
  made->methods = from.allow_methods();
  made->headers = from.allow_headers();
  made->exposed = from.expose_headers();
  made->max_age = from.max_age();
  if (from.has_allow_credentials()) made->is_credentialed = from.allow_credentials().value();
  if (from.has_filter_enabled())
    made->is_enabled = from.filter_enabled().default_value().numerator() > 0;
  if (from.has_forward_not_matching_preflights())
    made->is_unmatched_forwarded = from.forward_not_matching_preflights().value();
  return RouteConfigRef(std::move(made));
}

}  // namespace lateen::proxy
