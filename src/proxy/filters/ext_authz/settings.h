// envoy.filters.http.ext_authz's configuration, compiled. Immutable. Private to this folder.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "proxy/filters/ext_proc/mutation.h"
#include "proxy/filters/side_call.h"
#include "proxy/match/metadata_matcher.h"
#include "proxy/route/route.h"

namespace envoy::extensions::filters::http::ext_authz::v3 {
class BufferSettings;
class ExtAuthz;
class ExtAuthzPerRoute;
class HttpService;
}  // namespace envoy::extensions::filters::http::ext_authz::v3
namespace envoy::service::auth::v3 {
class CheckRequest;
}

namespace lateen::proxy {

// Whom to ask.
struct AuthzService {
  bool is_grpc = false;
  SideService grpc;
  std::string cluster, authority, path_prefix;  // of HTTP
  milliseconds timeout{200};
  std::vector<StringMatcher> sent, upstream, appended, client, client_on_success, metadata;
  std::vector<std::pair<std::string, std::string>> added;

  static Result<AuthzService> compile(
      const envoy::extensions::filters::http::ext_authz::v3::HttpService& config);
};

// How much of the body is shown.
struct AuthzBody {
  std::size_t most_bytes = 0;  // 0: none
  bool is_partial_allowed = false;
  bool is_raw = false;  // pack_as_bytes

  static AuthzBody of(
      const envoy::extensions::filters::http::ext_authz::v3::BufferSettings& config);
};

struct AuthzSettings {
  std::string name;
  AuthzService service;
  AuthzBody body;
  bool is_failure_allowed = false, is_failure_told = false;
  bool is_route_cleared = false;
  bool is_denied_when_off = false;
  bool is_peer_certificate_sent = false, is_tls_session_sent = false, are_headers_raw = false;
  bool is_metadata_taken = true;
  bool is_mutation_validated = false;
  int error_status = 403;
  std::uint32_t enabled = 1'000'000;  // in millionths
  std::uint32_t most_denied_body = 0;
  std::optional<MetadataMatcher> enabled_metadata;
  ForwardRules forward;
  std::optional<MutationRules> rules;
  std::vector<std::string> metadata_namespaces, route_namespaces;

  static Result<std::shared_ptr<const AuthzSettings>> compile(
      const envoy::extensions::filters::http::ext_authz::v3::ExtAuthz& config, std::string name);
};

struct AuthzRoute final : RouteFilterConfig {
  bool is_disabled = false, is_body_off = false;
  std::optional<AuthzBody> body;
  std::optional<AuthzService> service;
  std::map<std::string, std::string> extensions;

  static Result<std::shared_ptr<const AuthzRoute>> compile(
      const envoy::extensions::filters::http::ext_authz::v3::ExtAuthzPerRoute& config);
};

bool matches_any(const std::vector<StringMatcher>& matchers, std::string_view name);

// The questions.
SideRequest http_question(const AuthzService& service, const AuthzSettings& settings,
                          const http::Request& request, std::string body);
void grpc_question(const AuthzSettings& settings, const AuthzRoute* route, HttpState& stream,
                   const http::Request& request, const std::string& body, bool is_body_raw,
                   envoy::service::auth::v3::CheckRequest& out);

}  // namespace lateen::proxy
