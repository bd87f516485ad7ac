// The forwarding action of a route: clusters, rewrites, timeouts, retries, mirrors, hashing.

#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/internal_redirect/allow_listed_routes/v3/allow_listed_routes_config.pb.h"
#include "envoy/extensions/retry/host/omit_host_metadata/v3/omit_host_metadata_config.pb.h"
#include "proxy/api/field_check.h"
#include "proxy/route/compile.h"
#include "xds/any.h"
#include "xds/convert.h"
#include "xds/json.h"

namespace lateen::proxy {

namespace route = envoy::config::route::v3;

std::uint32_t RetryPolicy::parse_on(std::string_view text) {
  static constexpr std::pair<std::string_view, std::uint32_t> kWords[] = {
      {"5xx", k5xx},
      {"gateway-error", kGatewayError},
      {"connect-failure", kConnectFailure},
      {"retriable-4xx", kRetriable4xx},
      {"refused-stream", kRefusedStream},
      {"retriable-status-codes", kRetriableStatusCodes},
      {"reset", kReset},
      {"retriable-headers", kRetriableHeaders},
      {"reset-before-request", kResetBeforeRequest},
      {"cancelled", kGrpcCancelled},
      {"deadline-exceeded", kGrpcDeadlineExceeded},
      {"resource-exhausted", kGrpcResourceExhausted},
      {"unavailable", kGrpcUnavailable},
      {"internal", kGrpcInternal},
      {"envoy-ratelimited", kEnvoyRateLimited}};
  std::uint32_t on = 0;
  for (const auto part : split(text, ',')) {
    for (const auto& [word, bit] : kWords)
      if (trim(part) == word) on |= bit;
  }
  return on;
}

namespace {

Result<> compile_predicate(const route::RetryPolicy::RetryHostPredicate& config,
                           RetryPolicy& made) {
  const std::string type = xds::carried_type(config.typed_config());
  if (type.ends_with("PreviousHostsPredicate") ||
      (type.empty() && config.name() == "envoy.retry_host_predicates.previous_hosts")) {
    made.avoids_previous_hosts = true;
  } else if (type.ends_with("OmitCanaryHostsPredicate") ||
             (type.empty() && config.name() == "envoy.retry_host_predicates.omit_canary_hosts")) {
    made.avoids_canaries = true;
  } else if (type.ends_with("OmitHostMetadataConfig")) {
    namespace retry = envoy::extensions::retry::host::omit_host_metadata::v3;
    const auto omit = TRY(unpack_checked<retry::OmitHostMetadataConfig>(config.typed_config()));
    const auto& fields = omit.metadata_match().filter_metadata();
    if (const auto found = fields.find("envoy.lb"); found != fields.end()) {
      const auto labels = xds::struct_to_json(found->second);
      if (const auto* object = labels.if_object(); object != nullptr && !object->empty())
        made.avoided_metadata.push_back(*object);
    }
  } else {
    return invalid(
        "retry host predicate '" + config.name() + "' of type " + type + " is not supported",
        Blame::kConfig);
  }
  return {};
}

}  // namespace

Result<RetryPolicy> compile_retry(const route::RetryPolicy& config) {
  RetryPolicy made;
  made.on = RetryPolicy::parse_on(config.retry_on());
  made.attempts = config.has_num_retries() ? config.num_retries().value() : 1;
  made.per_try_timeout = xds::to_millis(config.per_try_timeout());
  made.per_try_idle_timeout = xds::to_millis(config.per_try_idle_timeout());
  for (const auto code : config.retriable_status_codes())
    made.status_codes.push_back(static_cast<int>(code));
  for (const auto& header : config.retriable_headers())
    made.retriable_headers.push_back(TRY(HeaderMatcher::compile(header)));
  for (const auto& header : config.retriable_request_headers())
    made.request_headers.push_back(TRY(HeaderMatcher::compile(header)));
  for (const auto& predicate : config.retry_host_predicate())
    TRY(compile_predicate(predicate, made));
  if (config.has_retry_priority()) {
    const std::string type = xds::carried_type(config.retry_priority().typed_config());
    if (!type.ends_with("previous_priorities.v3.PreviousPrioritiesConfig"))
      return invalid("retry priority '" + config.retry_priority().name() + "' of type " + type +
                         " is not supported",
                     Blame::kConfig);
    made.avoids_previous_priorities = true;
  }
  if (config.host_selection_retry_max_attempts() > 0)
    made.host_selection_attempts =
        static_cast<std::uint32_t>(config.host_selection_retry_max_attempts());
  if (config.has_retry_back_off()) {
    made.base_interval =
        std::max(milliseconds(1), xds::to_millis(config.retry_back_off().base_interval()));
    made.max_interval = config.retry_back_off().has_max_interval()
                            ? xds::to_millis(config.retry_back_off().max_interval())
                            : made.base_interval * 10;
  }
  if (config.has_rate_limited_retry_back_off()) {
    const auto& limited = config.rate_limited_retry_back_off();
    for (const auto& header : limited.reset_headers())
      made.reset_headers.push_back(
          {to_lower(header.name()), header.format() == route::RetryPolicy::UNIX_TIMESTAMP});
    if (limited.has_max_interval())
      made.max_reset_interval = xds::to_millis(limited.max_interval());
  }
  return made;
}

namespace {

data::JsonObject subset_of(const envoy::config::core::v3::Metadata& metadata) {
  const auto found = metadata.filter_metadata().find("envoy.lb");
  if (found == metadata.filter_metadata().end()) return {};
  const auto labels = xds::struct_to_json(found->second);
  const auto* object = labels.if_object();
  return object == nullptr ? data::JsonObject() : *object;
}

Result<> compile_weighted(const route::WeightedCluster& config,
                          const FilterConfigCompiler& compile_filter, Forward& made,
                          std::set<std::string>& clusters) {
  for (const auto& one : config.clusters()) {
    WeightedCluster weighted;
    weighted.name = one.name();
    weighted.cluster_header = one.cluster_header();
    weighted.weight = one.has_weight() ? one.weight().value() : 0;
    weighted.request_headers =
        TRY(HeaderOps::compile(one.request_headers_to_add(), one.request_headers_to_remove()));
    weighted.response_headers =
        TRY(HeaderOps::compile(one.response_headers_to_add(), one.response_headers_to_remove()));
    weighted.host_rewrite = one.host_rewrite_literal();
    weighted.metadata_match = subset_of(one.metadata_match());
    for (const auto& [name, any] : one.typed_per_filter_config())
      weighted.filter_configs[name] = TRY(compile_filter(name, &any).at("filter " + name));
    made.total_weight += weighted.weight;
    if (!weighted.name.empty()) clusters.insert(weighted.name);
    made.weighted.push_back(std::move(weighted));
  }
  if (made.total_weight == 0)
    return invalid("Sum of weights in the weighted_cluster must be greater than 0.",
                   Blame::kConfig);
  return {};
}

Result<> compile_hashes(const route::RouteAction& config, Forward& made) {
  for (const auto& one : config.hash_policy()) {
    HashPolicy hash;
    hash.is_terminal = one.terminal();
    if (one.has_header()) {
      hash.name = to_lower(one.header().header_name());
      if (one.header().has_regex_rewrite()) {
        hash.regex = TRY(Regex::compile(one.header().regex_rewrite().pattern()));
        hash.substitution = one.header().regex_rewrite().substitution();
      }
    } else if (one.has_cookie()) {
      hash.kind = HashPolicy::Kind::kCookie;
      hash.name = one.cookie().name();
      hash.cookie_path = one.cookie().path();
      if (one.cookie().has_ttl())
        hash.cookie_ttl = std::chrono::ceil<seconds>(xds::to_nanos(one.cookie().ttl()));
    } else if (one.has_connection_properties()) {
      hash.kind = HashPolicy::Kind::kSourceIp;
    } else if (one.has_query_parameter()) {
      hash.kind = HashPolicy::Kind::kQuery;
      hash.name = one.query_parameter().name();
    } else if (one.has_filter_state()) {
      hash.kind = HashPolicy::Kind::kFilterState;
      hash.name = one.filter_state().key();
    }
    made.hashes.push_back(std::move(hash));
  }
  return {};
}

Result<InternalRedirect> compile_internal_redirect(const route::InternalRedirectPolicy& config) {
  InternalRedirect made;
  if (config.has_max_internal_redirects()) made.most = config.max_internal_redirects().value();
  if (config.redirect_response_codes_size() > 0)
    made.statuses.assign(config.redirect_response_codes().begin(),
                         config.redirect_response_codes().end());
  std::erase_if(made.statuses, [](int status) {
    return status != 301 && status != 302 && status != 303 && status != 307 && status != 308;
  });
  made.is_cross_scheme_allowed = config.allow_cross_scheme_redirect();
  for (const auto& name : config.response_headers_to_copy())
    made.copied_headers.push_back(to_lower(name));
  for (const auto& predicate : config.predicates()) {
    const std::string type = xds::carried_type(predicate.typed_config());
    if (type.ends_with("PreviousRoutesConfig")) {
      made.is_route_once = true;
    } else if (type.ends_with("SafeCrossSchemeConfig")) {
      made.is_scheme_safe = true;
    } else if (type.ends_with("AllowListedRoutesConfig")) {
      namespace api = envoy::extensions::internal_redirect::allow_listed_routes::v3;
      const auto listed =
          TRY(unpack_checked<api::AllowListedRoutesConfig>(predicate.typed_config()));
      made.allowed_routes.assign(listed.allowed_route_names().begin(),
                                 listed.allowed_route_names().end());
    } else {
      return invalid("internal redirect predicate '" + predicate.name() + "' of type " + type +
                         " is not supported",
                     Blame::kConfig);
    }
  }
  return made;
}

void compile_timeouts(const route::RouteAction& config, Forward& made) {
  if (config.has_timeout()) made.timeout = xds::to_millis(config.timeout());
  if (config.has_idle_timeout()) made.idle_timeout = xds::to_millis(config.idle_timeout());
  if (config.has_max_grpc_timeout())
    made.max_grpc_timeout = xds::to_millis(config.max_grpc_timeout());
  const auto& duration = config.max_stream_duration();
  if (duration.has_max_stream_duration())
    made.max_stream_duration = xds::to_millis(duration.max_stream_duration());
  if (duration.has_grpc_timeout_header_max())
    made.max_grpc_duration = xds::to_millis(duration.grpc_timeout_header_max());
  if (duration.has_grpc_timeout_header_offset())
    made.grpc_duration_offset = xds::to_millis(duration.grpc_timeout_header_offset());
  if (config.has_grpc_timeout_offset())
    made.grpc_timeout_offset = xds::to_millis(config.grpc_timeout_offset());
}

}  // namespace

std::vector<MirrorPolicy> compile_mirrors(
    const google::protobuf::RepeatedPtrField<route::RouteAction::RequestMirrorPolicy>& configs) {
  std::vector<MirrorPolicy> made;
  for (const auto& one : configs) {
    MirrorPolicy mirror;
    mirror.cluster = one.cluster();
    mirror.cluster_header = to_lower(one.cluster_header());
    if (one.has_runtime_fraction())
      mirror.millionths = xds::to_millionths(one.runtime_fraction().default_value());
    mirror.is_host_suffix_wanted = !one.disable_shadow_host_suffix_append();
    mirror.host_rewrite = one.host_rewrite_literal();
    made.push_back(std::move(mirror));
  }
  return made;
}

Result<Forward> compile_forward(const route::RouteAction& config,
                                const FilterConfigCompiler& compile_filter,
                                std::set<std::string>& clusters) {
  Forward made;
  switch (config.cluster_specifier_case()) {
    case route::RouteAction::kCluster:
      made.cluster = config.cluster();
      clusters.insert(made.cluster);
      break;
    case route::RouteAction::kClusterHeader:
      made.cluster_header = to_lower(config.cluster_header());
      break;
    case route::RouteAction::kWeightedClusters:
      TRY(compile_weighted(config.weighted_clusters(), compile_filter, made, clusters));
      break;
    default: return invalid("a cluster specifier that is not known here", Blame::kConfig);
  }
  if (config.cluster_not_found_response_code() == route::RouteAction::NOT_FOUND)
    made.no_cluster_status = 404;
  if (config.cluster_not_found_response_code() == route::RouteAction::INTERNAL_SERVER_ERROR)
    made.no_cluster_status = 500;
  made.prefix_rewrite = config.prefix_rewrite();
  if (config.has_regex_rewrite()) {
    made.path_regex = TRY(Regex::compile(config.regex_rewrite().pattern()));
    made.path_substitution = config.regex_rewrite().substitution();
  }
  made.host_rewrite = config.host_rewrite_literal();
  made.host_rewrite_header = to_lower(config.host_rewrite_header());
  made.is_host_rewritten_to_upstream = config.auto_host_rewrite().value();
  made.is_forwarded_host_added = config.append_x_forwarded_host();
  compile_timeouts(config, made);
  if (config.has_retry_policy()) made.retry = TRY(compile_retry(config.retry_policy()));
  made.mirrors = compile_mirrors(config.request_mirror_policies());
  TRY(compile_hashes(config, made));
  if (config.has_host_rewrite_path_regex()) {
    made.host_regex = TRY(Regex::compile(config.host_rewrite_path_regex().pattern()));
    made.host_substitution = config.host_rewrite_path_regex().substitution();
  }
  if (config.has_internal_redirect_policy())
    made.internal_redirect = TRY(compile_internal_redirect(config.internal_redirect_policy())
                                     .at("internal_redirect_policy"));
  for (const auto& upgrade : config.upgrade_configs()) {
    if (upgrade.has_enabled() && !upgrade.enabled().value()) continue;
    made.upgrades.push_back(to_lower(upgrade.upgrade_type()));
    if (!upgrade.has_connect_config()) continue;
    if (!iequals(upgrade.upgrade_type(), "connect"))
      return invalid("connect_config is only supported for upgrade type CONNECT", Blame::kConfig);
    if (upgrade.connect_config().has_proxy_protocol_config())
      return invalid("connect_config.proxy_protocol_config is not supported", Blame::kConfig);
    made.is_connect_terminated = true;
  }
  made.is_high_priority = config.priority() == envoy::config::core::v3::HIGH;
  made.is_hedged = config.hedge_policy().hedge_on_per_try_timeout();
  made.metadata_match = subset_of(config.metadata_match());
  return made;
}

}  // namespace lateen::proxy
