// networking.istio.io VirtualService: how requests to a host are routed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mesh/config.h"

namespace lateen::mesh {

struct StringMatch {
  enum class Kind : unsigned char { kExact, kPrefix, kRegex, kPresent };
  Kind kind = Kind::kPresent;  // kPresent: {} was given, any value matches
  std::string value;
};

struct Destination {
  std::string host;
  std::string subset;
  int port = 0;  // 0: the service has one port
};

struct HeaderOperations {
  Labels set;
  Labels add;
  std::vector<std::string> remove;
  bool empty() const { return set.empty() && add.empty() && remove.empty(); }
};
struct HeaderRules {
  HeaderOperations request;
  HeaderOperations response;
};

struct RouteDestination {
  Destination destination;
  int weight = 0;
  HeaderRules headers;
};

struct HttpMatch {
  std::string name;
  std::optional<StringMatch> uri, scheme, method, authority;
  std::map<std::string, StringMatch, std::less<>> headers, without_headers, query_params;
  bool is_uri_case_ignored = false;
  int port = 0;
  Labels source_labels;
  std::string source_namespace;
  std::vector<std::string> gateways;
  std::string stat_prefix;
};

struct HttpRedirect {
  std::string uri, authority, scheme, prefix_rewrite;
  std::optional<int> port;
  enum class DerivePort : unsigned char { kNone, kFromProtocolDefault, kFromRequestPort };
  DerivePort derive_port = DerivePort::kNone;
  int code = 301;
};
struct HttpDirectResponse {
  int status = 0;
  std::optional<std::string> body;
};
struct HttpRewrite {
  std::string uri, authority;
  struct Regex {
    std::string match, rewrite;
  };
  std::optional<Regex> uri_regex;
};
struct HttpRetry {
  int attempts = 0;
  std::optional<nanoseconds> per_try_timeout;
  std::string retry_on;
  std::optional<bool> retry_remote_localities;
  std::optional<bool> retry_ignore_previous_hosts;
  std::optional<nanoseconds> backoff;
};
struct HttpFault {
  struct Delay {
    nanoseconds fixed{};
    double percent = 100;
  };
  struct Abort {
    std::optional<int> http_status;
    std::string grpc_status;
    double percent = 100;
  };
  std::optional<Delay> delay;
  std::optional<Abort> abort;
};
struct HttpMirror {
  Destination destination;
  std::optional<double> percent;
};
struct CorsPolicy {
  std::vector<StringMatch> allow_origins;
  std::vector<std::string> allow_methods, allow_headers, expose_headers;
  std::optional<nanoseconds> max_age;
  std::optional<bool> allow_credentials;
  std::string unmatched_preflights;
};
struct Delegate {
  std::string name;
  std::string ns;
};

struct HttpRoute {
  std::string name;
  std::vector<HttpMatch> match;
  std::vector<RouteDestination> route;
  std::optional<HttpRedirect> redirect;
  std::optional<HttpDirectResponse> direct_response;
  std::optional<Delegate> delegate;
  std::optional<HttpRewrite> rewrite;
  std::optional<nanoseconds> timeout;
  std::optional<HttpRetry> retries;
  std::optional<HttpFault> fault;
  std::vector<HttpMirror> mirrors;
  std::optional<CorsPolicy> cors;
  HeaderRules headers;
};

// The match of a tls or tcp route.
struct L4Match {
  std::vector<std::string> sni_hosts;  // tls only
  std::vector<std::string> destination_subnets;
  int port = 0;
  Labels source_labels;
  std::string source_namespace;
  std::vector<std::string> gateways;
};
struct L4Route {
  std::vector<L4Match> match;
  std::vector<RouteDestination> route;
};

struct VirtualService {
  std::vector<std::string> hosts;
  std::vector<std::string> gateways;  // empty means {"mesh"}
  std::vector<HttpRoute> http;
  std::vector<L4Route> tls;
  std::vector<L4Route> tcp;
  std::vector<std::string> export_to;
};

void read_retry(Reader& reader, HttpRetry& out);
void read_spec(Reader& reader, VirtualService& spec);
void check_spec(const Meta& meta, const VirtualService& spec, Issues& issues);

// "name" of the config's own namespace, or "namespace/name"; "mesh" stays.
std::string resolve_gateway(std::string_view gateway, std::string_view ns);

}  // namespace lateen::mesh
