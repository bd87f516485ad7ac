// Routes as compiled values: a table of virtual hosts, each with its routes in order. Immutable,
// shared by all workers; an exchange pins the table it was matched in.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/strings.h"
#include "data/json.h"
#include "proxy/match/header_matcher.h"
#include "proxy/match/metadata_matcher.h"
#include "proxy/match/string_matcher.h"
#include "proxy/route/header_ops.h"

namespace envoy::config::route::v3 {
class RouteConfiguration;
}

namespace lateen::proxy {

class BodyFormat;     // http/local_replies.h
class RateLimitRule;  // filters/ratelimit/descriptors.h

// A filter's own settings on a route, made by that filter.
struct RouteFilterConfig {
  virtual ~RouteFilterConfig() = default;
};
// Keyed by the filter's configured name; the value may be null: "disabled".
struct RouteFilterEntry {
  std::shared_ptr<const RouteFilterConfig> config;
  bool is_disabled = false;
};
using RouteFilterConfigs = std::map<std::string, RouteFilterEntry, std::less<>>;

struct RetryPolicy {
  enum On : std::uint32_t {
    k5xx = 1u << 0,
    kGatewayError = 1u << 1,
    kConnectFailure = 1u << 2,
    kRetriable4xx = 1u << 3,
    kRefusedStream = 1u << 4,
    kRetriableStatusCodes = 1u << 5,
    kReset = 1u << 6,
    kRetriableHeaders = 1u << 7,
    kResetBeforeRequest = 1u << 8,
    kGrpcCancelled = 1u << 9,
    kGrpcDeadlineExceeded = 1u << 10,
    kGrpcResourceExhausted = 1u << 11,
    kGrpcUnavailable = 1u << 12,
    kGrpcInternal = 1u << 13,
    kEnvoyRateLimited = 1u << 14,
  };
  std::uint32_t on = 0;
  std::uint32_t attempts = 1;       // retries, beyond the first try
  milliseconds per_try_timeout{0};  // 0: none
  milliseconds per_try_idle_timeout{0};
  std::vector<int> status_codes;
  std::vector<HeaderMatcher> retriable_headers;
  std::vector<HeaderMatcher> request_headers;  // any must match; empty: all requests
  bool avoids_previous_hosts = false;
  bool avoids_canaries = false;
  bool avoids_previous_priorities = false;
  std::vector<data::JsonObject> avoided_metadata;  // of envoy.lb; each has to match as a whole
  std::uint32_t host_selection_attempts = 1;
  milliseconds base_interval{25};
  milliseconds max_interval{250};
  // A response that says when to come back sets the wait (rate_limited_retry_back_off).
  struct ResetHeader {
    std::string name;
    bool is_timestamp = false;  // seconds since 1970, not from now
  };
  std::vector<ResetHeader> reset_headers;
  milliseconds max_reset_interval{300'000};
  static std::uint32_t parse_on(std::string_view text);
};

struct MirrorPolicy {
  std::string cluster;
  std::string cluster_header;
  std::uint32_t millionths = 1'000'000;
  bool is_host_suffix_wanted = true;  // "-shadow"
  std::string host_rewrite;           // instead of the request's host; no suffix then
};

// A redirect of the upstream that we follow ourselves.
struct InternalRedirect {
  std::uint32_t most = 1;
  std::vector<int> statuses = {302};
  bool is_cross_scheme_allowed = false;
  bool is_scheme_safe = false;              // from http never to https
  bool is_route_once = false;               // previous_routes: none a second time
  std::vector<std::string> allowed_routes;  // allow_listed_routes; empty: all
  std::vector<std::string> copied_headers;
};

// A path template with names ("/a/{x}/{y=**}") and the template that makes another path of it.
struct PathRewrite {
  Regex match;
  std::string substitution;  // with \1, \2, …
};

struct HashPolicy {
  enum class Kind : unsigned char { kHeader, kCookie, kSourceIp, kQuery, kFilterState };
  Kind kind = Kind::kHeader;
  std::string name;
  bool is_terminal = false;
  std::optional<seconds> cookie_ttl;
  std::string cookie_path;
  std::optional<Regex> regex;  // of the header
  std::string substitution;
};

struct WeightedCluster {
  std::string name;
  std::string cluster_header;
  std::uint32_t weight = 0;
  HeaderOps request_headers;
  HeaderOps response_headers;
  std::string host_rewrite;
  data::JsonObject metadata_match;
  RouteFilterConfigs filter_configs;
};

struct Forward {
  std::string cluster;
  std::string cluster_header;
  std::vector<WeightedCluster> weighted;
  std::uint64_t total_weight = 0;
  int no_cluster_status = 503;
  std::string prefix_rewrite;
  std::optional<Regex> path_regex;
  std::string path_substitution;
  std::optional<PathRewrite> path_template;  // path_rewrite_policy
  std::optional<Regex> host_regex;           // host_rewrite_path_regex, on the path
  std::string host_substitution;
  std::optional<InternalRedirect> internal_redirect;
  std::string host_rewrite;
  bool is_host_rewritten_to_upstream = false;  // auto_host_rewrite
  std::string host_rewrite_header;
  bool is_forwarded_host_added = false;  // append_x_forwarded_host
  milliseconds timeout{15'000};          // 0: none
  std::optional<milliseconds> idle_timeout;
  std::optional<milliseconds> max_stream_duration;
  std::optional<milliseconds> max_grpc_timeout;  // 0: whatever grpc-timeout says
  milliseconds grpc_timeout_offset{0};
  // Of max_stream_duration: grpc-timeout limits the whole stream, by at most this; 0: no bound.
  std::optional<milliseconds> max_grpc_duration;
  milliseconds grpc_duration_offset{0};
  std::optional<RetryPolicy> retry;
  std::vector<MirrorPolicy> mirrors;
  std::vector<HashPolicy> hashes;
  std::vector<std::string> upgrades;
  bool is_connect_terminated = false;  // the payload of CONNECT goes on as plain TCP
  bool is_high_priority = false;
  bool is_hedged = false;           // hedge_on_per_try_timeout
  data::JsonObject metadata_match;  // of envoy.lb: the subset to use
};

struct Redirect {
  int status = 301;
  std::string host;
  std::optional<std::uint32_t> port;
  std::string path;
  std::string prefix_rewrite;
  std::optional<Regex> path_regex;
  std::string path_substitution;
  std::string scheme;
  bool is_https = false;
  bool is_query_stripped = false;
};

struct DirectResponse {
  int status = 200;
  std::string body;
  std::shared_ptr<const BodyFormat> format;
};

struct PathMatch {
  enum class Kind : unsigned char {
    kAny,
    kPrefix,
    kExact,
    kRegex,
    kSeparatedPrefix,
    kConnect,
    kTemplate
  };
  Kind kind = Kind::kAny;
  std::string text;
  std::optional<Regex> regex;
  bool is_case_ignored = false;
  bool matches(std::string_view path) const;  // without query
};

// A match on filter state: its text, or an address in it.
struct StateMatcher {
  std::string key;
  std::optional<StringMatcher> text;
  std::vector<net::Cidr> ranges;
  bool matches(const std::map<std::string, std::string, std::less<>>& state) const;
};

// What routes look at beside the request.
struct RouteFacts {
  const data::JsonObject& metadata;                              // dynamic metadata so far
  const std::map<std::string, std::string, std::less<>>& state;  // filter state
  const net::TlsInfo* tls = nullptr;
  std::uint64_t random = 0;  // decides runtime fractions
};

struct Route {
  std::string name;
  PathMatch path;
  std::vector<HeaderMatcher> headers;
  std::vector<QueryMatcher> query;
  std::vector<MetadataMatcher> metadata_matches;  // on what filters left, such as a token's claims
  std::vector<StateMatcher> state_matches;
  std::optional<bool> is_certificate_presented, is_certificate_validated;  // of the client
  std::optional<std::uint32_t> fraction;                                   // in millionths
  bool is_grpc_only = false;
  std::variant<Forward, Redirect, DirectResponse> action;
  HeaderOps request_headers;
  HeaderOps response_headers;
  RouteFilterConfigs filter_configs;
  data::JsonObject metadata;
  std::string operation;  // decorator
  bool is_operation_propagated = true;
  std::optional<std::uint32_t> trace_sampling;  // random_sampling, in millionths
  std::string stat_prefix;
  std::vector<std::shared_ptr<const RateLimitRule>> rate_limits;
  bool is_host_limit_included = false;  // include_vh_rate_limits
};

struct VirtualHost {
  std::string name;
  std::vector<std::shared_ptr<const RateLimitRule>> rate_limits;
  std::vector<Route> routes;
  HeaderOps request_headers;
  HeaderOps response_headers;
  RouteFilterConfigs filter_configs;
  bool is_attempt_count_sent = false;  // include_request_attempt_count
  bool is_attempt_count_returned = false;
  enum class Tls : unsigned char { kNone, kExternalOnly, kAll } require_tls = Tls::kNone;
  std::optional<RetryPolicy> retry;
  std::vector<HashPolicy> hashes;
};

// Makes a filter's settings from its Any (opaque here): called for each typed_per_filter_config.
using FilterConfigCompiler =
    std::function<Result<RouteFilterEntry>(const std::string& filter_name, const void* any)>;

struct RouteTable {
  std::string name;
  std::vector<std::unique_ptr<VirtualHost>> hosts;
  std::unordered_map<std::string, const VirtualHost*, StringHash, std::equal_to<>> exact;
  std::map<std::size_t,
           std::unordered_map<std::string, const VirtualHost*, StringHash, std::equal_to<>>,
           std::greater<>>
      suffixes;  // "*.a.com" by length, longest first
  std::map<std::size_t,
           std::unordered_map<std::string, const VirtualHost*, StringHash, std::equal_to<>>,
           std::greater<>>
      prefixes;                           // "a.*"
  const VirtualHost* fallback = nullptr;  // "*"
  HeaderOps request_headers;
  HeaderOps response_headers;
  RouteFilterConfigs filter_configs;
  bool is_port_ignored = false;       // ignore_port_in_host_matching
  bool is_most_specific_last = true;  // header ops: route, then host, then table
  std::vector<std::string> clusters;  // that the table names

  static Result<std::shared_ptr<const RouteTable>> compile(
      const envoy::config::route::v3::RouteConfiguration& config,
      const FilterConfigCompiler& compile_filter);

  const VirtualHost* find_host(std::string_view authority) const;
  const Route* find_route(const VirtualHost& host, const http::Request& request,
                          const RouteFacts& facts) const;
};

// The settings for a filter that win: weighted cluster, route, virtual host, table.
const RouteFilterEntry* find_filter_config(const RouteTable& table, const VirtualHost* host,
                                           const Route* route, std::string_view cluster_choice,
                                           std::string_view filter);

}  // namespace lateen::proxy
