// RouteConfiguration to RouteTable. Errors name the virtual host and the route, for the NACK.

#include "proxy/route/compile.h"

#include <set>

#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "proxy/api/field_check.h"
#include "proxy/filters/ratelimit/descriptors.h"
#include "proxy/http/local_replies.h"
#include "proxy/route/route.h"
#include "xds/convert.h"
#include "xds/json.h"

namespace lateen::proxy {
namespace {

namespace route = envoy::config::route::v3;

Result<RouteFilterConfigs> compile_filters(
    const google::protobuf::Map<std::string, google::protobuf::Any>& configs,
    const FilterConfigCompiler& compile) {
  RouteFilterConfigs made;
  for (const auto& [name, any] : configs)
    made[name] = TRY(compile(name, &any).at("filter " + name));
  return made;
}

Result<PathMatch> compile_path(const route::RouteMatch& match) {
  PathMatch made;
  made.is_case_ignored = match.has_case_sensitive() && !match.case_sensitive().value();
  switch (match.path_specifier_case()) {
    case route::RouteMatch::kPrefix:
      made.kind = match.prefix() == "/" || match.prefix().empty() ? PathMatch::Kind::kAny
                                                                  : PathMatch::Kind::kPrefix;
      made.text = match.prefix();
      break;
    case route::RouteMatch::kPath:
      made.kind = PathMatch::Kind::kExact;
      made.text = match.path();
      break;
    case route::RouteMatch::kSafeRegex:
      made.kind = PathMatch::Kind::kRegex;
      made.text = match.safe_regex().regex();
      made.regex = TRY(Regex::compile(match.safe_regex()));
      break;
    case route::RouteMatch::kPathSeparatedPrefix:
      made.kind = PathMatch::Kind::kSeparatedPrefix;
      made.text = match.path_separated_prefix();
      break;
    case route::RouteMatch::kConnectMatcher: made.kind = PathMatch::Kind::kConnect; break;
    case route::RouteMatch::kPathMatchPolicy: {
      made.kind = PathMatch::Kind::kTemplate;
      const auto path = TRY(read_uri_template(match.path_match_policy().typed_config()));
      made.regex = TRY(Regex::compile(path.regex));
      break;
    }
    default: return invalid("no path to match", Blame::kConfig);
  }
  return made;
}

Result<Redirect> compile_redirect(const route::RedirectAction& config) {
  Redirect made;
  switch (config.response_code()) {
    case route::RedirectAction::FOUND: made.status = 302; break;
    case route::RedirectAction::SEE_OTHER: made.status = 303; break;
    case route::RedirectAction::TEMPORARY_REDIRECT: made.status = 307; break;
    case route::RedirectAction::PERMANENT_REDIRECT: made.status = 308; break;
    default: made.status = 301;
  }
  made.host = config.host_redirect();
  if (config.port_redirect() != 0) made.port = config.port_redirect();
  made.path = config.path_redirect();
  made.prefix_rewrite = config.prefix_rewrite();
  if (config.has_regex_rewrite()) {
    made.path_regex = TRY(Regex::compile(config.regex_rewrite().pattern()));
    made.path_substitution = config.regex_rewrite().substitution();
  }
  made.scheme = config.scheme_redirect();
  made.is_https = config.https_redirect();
  made.is_query_stripped = config.strip_query();
  return made;
}

Result<DirectResponse> compile_direct(const route::DirectResponseAction& config) {
  DirectResponse made{static_cast<int>(config.status()), TRY(xds::read_data(config.body())),
                      nullptr};
  if (config.has_body_format()) made.format = TRY(BodyFormat::compile(config.body_format()));
  return made;
}

Result<Route> compile_route(const route::Route& config, const FilterConfigCompiler& compile_filter,
                            std::set<std::string>& clusters) {
  Route made;
  made.name = config.name();
  made.path = TRY(compile_path(config.match()));
  for (const auto& header : config.match().headers())
    made.headers.push_back(TRY(HeaderMatcher::compile(header).at("header " + header.name())));
  for (const auto& parameter : config.match().query_parameters())
    made.query.push_back(TRY(QueryMatcher::compile(parameter)));
  for (const auto& matcher : config.match().dynamic_metadata())
    made.metadata_matches.push_back(
        TRY(MetadataMatcher::compile(matcher).at("dynamic_metadata of " + matcher.filter())));
  for (const auto& matcher : config.match().filter_state()) {
    StateMatcher made_one;
    made_one.key = matcher.key();
    if (matcher.has_string_match())
      made_one.text = TRY(StringMatcher::compile(matcher.string_match()).at("filter_state"));
    for (const auto& range : matcher.address_match().ranges())
      made_one.ranges.push_back(TRY(net::Cidr::parse(range.address_prefix() + "/" +
                                                     std::to_string(range.prefix_len().value()))
                                        .at("filter_state")));
    made.state_matches.push_back(std::move(made_one));
  }
  const auto& tls = config.match().tls_context();
  if (tls.has_presented()) made.is_certificate_presented = tls.presented().value();
  if (tls.has_validated()) made.is_certificate_validated = tls.validated().value();
  if (config.match().has_runtime_fraction())
    made.fraction = xds::to_millionths(config.match().runtime_fraction().default_value());
  made.is_grpc_only = config.match().has_grpc();
  switch (config.action_case()) {
    case route::Route::kRoute:
      made.action = TRY(compile_forward(config.route(), compile_filter, clusters));
      if (config.route().has_path_rewrite_policy())
        std::get<Forward>(made.action).path_template =
            TRY(compile_path_rewrite(config.match(), config.route()).at("path_rewrite_policy"));
      break;
    case route::Route::kRedirect: made.action = TRY(compile_redirect(config.redirect())); break;
    case route::Route::kDirectResponse:
      made.action = TRY(compile_direct(config.direct_response()));
      break;
    case route::Route::kNonForwardingAction: made.action = DirectResponse{404, "", nullptr}; break;
    default: return invalid("no action that is known here", Blame::kConfig);
  }
  made.request_headers =
      TRY(HeaderOps::compile(config.request_headers_to_add(), config.request_headers_to_remove()));
  made.response_headers = TRY(
      HeaderOps::compile(config.response_headers_to_add(), config.response_headers_to_remove()));
  made.filter_configs = TRY(compile_filters(config.typed_per_filter_config(), compile_filter));
  for (const auto& [name, value] : config.metadata().filter_metadata())
    made.metadata[name] = xds::struct_to_json(value);
  made.operation = config.decorator().operation();
  made.is_operation_propagated =
      !config.decorator().has_propagate() || config.decorator().propagate().value();
  if (config.tracing().has_random_sampling())
    made.trace_sampling = xds::to_millionths(config.tracing().random_sampling());
  made.stat_prefix = config.stat_prefix();
  for (const auto& limit : config.route().rate_limits())
    made.rate_limits.push_back(TRY(RateLimitRule::compile(limit)));
  made.is_host_limit_included = config.route().include_vh_rate_limits().value();
  return made;
}

Result<std::unique_ptr<VirtualHost>> compile_host(const route::VirtualHost& config,
                                                  const FilterConfigCompiler& compile_filter,
                                                  const std::vector<MirrorPolicy>& table_mirrors,
                                                  std::set<std::string>& clusters) {
  auto made = std::make_unique<VirtualHost>();
  made->name = config.name();
  if (config.has_retry_policy()) made->retry = TRY(compile_retry(config.retry_policy()));
  for (const auto& limit : config.rate_limits())
    made->rate_limits.push_back(TRY(RateLimitRule::compile(limit)));
  // What a route does not say for itself it has from its virtual host, and that from the table.
  const auto own_mirrors = compile_mirrors(config.request_mirror_policies());
  const auto& mirrors = own_mirrors.empty() ? table_mirrors : own_mirrors;
  for (int i = 0; i < config.routes_size(); ++i) {
    const auto& one = config.routes(i);
    const std::string where =
        "route " + (one.name().empty() ? "#" + std::to_string(i) : one.name());
    made->routes.push_back(TRY(compile_route(one, compile_filter, clusters).at(where)));
    auto* forward = std::get_if<Forward>(&made->routes.back().action);
    if (forward == nullptr) continue;
    if (!forward->retry) forward->retry = made->retry;
    if (forward->mirrors.empty()) forward->mirrors = mirrors;
    if (!one.route().has_hedge_policy())
      forward->is_hedged = config.hedge_policy().hedge_on_per_try_timeout();
  }
  made->request_headers =
      TRY(HeaderOps::compile(config.request_headers_to_add(), config.request_headers_to_remove()));
  made->response_headers = TRY(
      HeaderOps::compile(config.response_headers_to_add(), config.response_headers_to_remove()));
  made->filter_configs = TRY(compile_filters(config.typed_per_filter_config(), compile_filter));
  made->is_attempt_count_sent = config.include_request_attempt_count();
  made->is_attempt_count_returned = config.include_attempt_count_in_response();
  if (config.require_tls() == route::VirtualHost::ALL) made->require_tls = VirtualHost::Tls::kAll;
  if (config.require_tls() == route::VirtualHost::EXTERNAL_ONLY)
    made->require_tls = VirtualHost::Tls::kExternalOnly;
  return made;
}

Result<> add_domain(RouteTable& table, const VirtualHost& host, const std::string& configured) {
  const std::string domain = to_lower(configured);
  const auto taken = [&] {
    return invalid("Only unique values for domains are permitted. Duplicate entry of domain " +
                       configured + " in route " + table.name,
                   Blame::kConfig);
  };
  if (domain == "*") {
    if (table.fallback != nullptr) return taken();
    table.fallback = &host;
  } else if (domain.starts_with('*')) {
    if (!table.suffixes[domain.size() - 1].emplace(domain.substr(1), &host).second) return taken();
  } else if (domain.ends_with('*')) {
    if (!table.prefixes[domain.size() - 1]
             .emplace(domain.substr(0, domain.size() - 1), &host)
             .second)
      return taken();
  } else if (!table.exact.emplace(domain, &host).second) {
    return taken();
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<const RouteTable>> RouteTable::compile(
    const route::RouteConfiguration& config, const FilterConfigCompiler& compile_filter) {
  auto made = std::make_shared<RouteTable>();
  made->name = config.name();
  TRY(check_fields(config));
  std::set<std::string> clusters;
  const auto mirrors = compile_mirrors(config.request_mirror_policies());
  for (const auto& host_config : config.virtual_hosts()) {
    auto host = TRY(compile_host(host_config, compile_filter, mirrors, clusters)
                        .at("virtual host " + host_config.name()));
    for (const auto& domain : host_config.domains()) TRY(add_domain(*made, *host, domain));
    made->hosts.push_back(std::move(host));
  }
  made->request_headers =
      TRY(HeaderOps::compile(config.request_headers_to_add(), config.request_headers_to_remove()));
  made->response_headers = TRY(
      HeaderOps::compile(config.response_headers_to_add(), config.response_headers_to_remove()));
  made->filter_configs = TRY(compile_filters(config.typed_per_filter_config(), compile_filter));
  made->is_port_ignored = config.ignore_port_in_host_matching();
  made->is_most_specific_last = config.most_specific_header_mutations_wins();
  made->clusters.assign(clusters.begin(), clusters.end());
  return std::shared_ptr<const RouteTable>(std::move(made));
}

}  // namespace lateen::proxy
