// envoy.filters.http.csrf: a request that changes something must come from a page of the same host
// (by Origin, else Referer), or from an origin that the policy names.

#include "base/strings.h"
#include "envoy/extensions/filters/http/csrf/v3/csrf.pb.h"
#include "proxy/filters/filters.h"
#include "proxy/match/string_matcher.h"
#include "proxy/worker/worker.h"
#include "xds/any.h"
#include "xds/convert.h"

namespace lateen::proxy {
namespace {

namespace api = envoy::extensions::filters::http::csrf::v3;

struct CsrfPolicy final : RouteFilterConfig {
  std::uint32_t enabled = 1'000'000, shadow = 0;  // in millionths
  std::vector<StringMatcher> more_origins;
};

enum class CsrfStat : std::size_t { kMissingSource, kInvalid, kValid, kCount };
constexpr std::array<std::string_view, static_cast<std::size_t>(CsrfStat::kCount)> kCsrfStatNames =
    {"missing_source_origin", "request_invalid", "request_valid"};
using CsrfStats = StatBlock<static_cast<std::size_t>(CsrfStat::kCount)>;

// "host:port" of a URL; the text itself when it is none.
std::string_view host_of(std::string_view url) {
  const auto scheme = url.find("://");
  if (scheme == std::string_view::npos) return url;
  url.remove_prefix(scheme + 3);
  return url.substr(0, url.find_first_of("/?#"));
}

class Csrf final : public HttpFilter {
 public:
  std::string name;
  std::shared_ptr<const CsrfPolicy> policy;
  std::shared_ptr<CsrfStats> stats;

  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override {
    const auto* entry = route_config_for(stream.info, name);
    const auto* of_route =
        entry == nullptr ? nullptr : dynamic_cast<const CsrfPolicy*>(entry->config.get());
    const CsrfPolicy& rules = of_route != nullptr ? *of_route : *policy;
    const std::uint64_t dice = stream.exchange.loop.random().below(1'000'000);
    const bool is_enforced = dice < rules.enabled;
    const bool is_changing = request.method == "POST" || request.method == "PUT" ||
                             request.method == "DELETE" || request.method == "PATCH";
    if (!is_changing || (!is_enforced && dice >= rules.shadow))
      return next(stream, std::move(request), std::move(done));
    std::string_view source = host_of(request.headers.get("origin").value_or(""));
    if (source.empty()) source = host_of(request.headers.get("referer").value_or(""));
    if (source.empty()) count(CsrfStat::kMissingSource);
    else if (is_valid(rules, source, request)) {
      count(CsrfStat::kValid);
      return next(stream, std::move(request), std::move(done));
    } else count(CsrfStat::kInvalid);
    if (!is_enforced) return next(stream, std::move(request), std::move(done));
    done(local_reply(stream, 403, "Invalid origin", "csrf_origin_mismatch"));
  }

 private:
  void count(CsrfStat stat) const { stats->add(static_cast<std::size_t>(stat)); }
  static bool is_valid(const CsrfPolicy& rules, std::string_view source,
                       const http::Request& request) {
    if (source == host_of(request.authority)) return true;
    for (const auto& one : rules.more_origins)
      if (one.matches(source)) return true;
    return false;
  }
};

Result<std::shared_ptr<const CsrfPolicy>> compile(const google::protobuf::Any& config) {
  const auto from = TRY(xds::unpack<api::CsrfPolicy>(config));
  auto made = std::make_shared<CsrfPolicy>();
  if (!from.has_filter_enabled())
    return invalid("csrf: filter_enabled is required", Blame::kConfig);
  made->enabled = xds::to_millionths(from.filter_enabled().default_value());
  if (from.has_shadow_enabled())
    made->shadow = xds::to_millionths(from.shadow_enabled().default_value());
  for (const auto& one : from.additional_origins())
    made->more_origins.push_back(TRY(StringMatcher::compile(one)));
  return std::shared_ptr<const CsrfPolicy>(std::move(made));
}

}  // namespace

Result<HttpFilterRef> make_csrf(const google::protobuf::Any& config,
                                const CompileContext& context) {
  auto made = std::make_shared<Csrf>();
  made->name = context.filter_name;
  made->policy = TRY(compile(config));
  made->stats = std::make_shared<CsrfStats>(
      kCsrfStatNames, "http." + context.stat_prefix + ".csrf.", "envoy_http_csrf_",
      Tags{{"http_conn_manager_prefix", context.stat_prefix}});
  if (context.shared != nullptr) context.shared->stats.add(made->stats);
  return HttpFilterRef(std::move(made));
}

Result<RouteConfigRef> make_csrf_route(const google::protobuf::Any& config, const CompileContext&) {
  return RouteConfigRef(TRY(compile(config)));
}

}  // namespace lateen::proxy
