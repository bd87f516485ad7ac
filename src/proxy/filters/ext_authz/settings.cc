// Compiling the configuration.

#include "proxy/filters/ext_authz/settings.h"

#include "base/strings.h"
#include "envoy/extensions/filters/http/ext_authz/v3/ext_authz.pb.h"
#include "xds/convert.h"

namespace lateen::proxy {
namespace {

namespace api = envoy::extensions::filters::http::ext_authz::v3;

Error refuse(const std::string& what) {
  return invalid("ext_authz: " + what + " is not supported", Blame::kConfig);
}

Result<AuthzService> compile_grpc(const envoy::config::core::v3::GrpcService& config) {
  AuthzService made;
  made.is_grpc = true;
  made.grpc = TRY(SideService::compile(config, "ext_authz"));
  if (made.grpc.timeout.count() > 0) made.timeout = made.grpc.timeout;
  return made;
}

}  // namespace

bool matches_any(const std::vector<StringMatcher>& matchers, std::string_view name) {
  for (const auto& matcher : matchers)
    if (matcher.matches(name)) return true;
  return false;
}

Result<AuthzService> AuthzService::compile(const api::HttpService& config) {
  AuthzService made;
  if (config.has_retry_policy()) return refuse("http_service.retry_policy");
  made.cluster = config.server_uri().cluster();
  if (const auto timeout = xds::to_millis(config.server_uri().timeout()); timeout.count() > 0)
    made.timeout = timeout;
  // The service is named by its URI; the request's own host is what it sees.
  made.path_prefix = config.path_prefix();
  const auto& request = config.authorization_request();
  made.sent = TRY(compile_list(request.allowed_headers()));
  for (const auto& header : request.headers_to_add())
    made.added.emplace_back(to_lower(header.key()), header.value());
  const auto& response = config.authorization_response();
  made.upstream = TRY(compile_list(response.allowed_upstream_headers()));
  made.appended = TRY(compile_list(response.allowed_upstream_headers_to_append()));
  made.client = TRY(compile_list(response.allowed_client_headers()));
  made.client_on_success = TRY(compile_list(response.allowed_client_headers_on_success()));
  made.metadata = TRY(compile_list(response.dynamic_metadata_from_headers()));
  return made;
}

AuthzBody AuthzBody::of(const api::BufferSettings& config) {
  AuthzBody made;
  made.most_bytes = config.max_request_bytes();
  made.is_partial_allowed = config.allow_partial_message();
  made.is_raw = config.pack_as_bytes();
  return made;
}

Result<std::shared_ptr<const AuthzSettings>> AuthzSettings::compile(const api::ExtAuthz& config,
                                                                    std::string name) {
  auto made = std::make_shared<AuthzSettings>();
  made->name = std::move(name);
  if (config.has_http_service()) {
    made->service = TRY(AuthzService::compile(config.http_service()));
  } else if (config.has_grpc_service()) {
    made->service = TRY(compile_grpc(config.grpc_service()));
  } else {
    return invalid("ext_authz: no service to ask", Blame::kConfig);
  }
  if (config.typed_metadata_context_namespaces_size() > 0)
    return refuse("typed_metadata_context_namespaces");
  if (config.route_typed_metadata_context_namespaces_size() > 0)
    return refuse("route_typed_metadata_context_namespaces");
  if (!config.bootstrap_metadata_labels_key().empty())
    return refuse("bootstrap_metadata_labels_key");
  made->body = AuthzBody::of(config.with_request_body());
  made->is_failure_allowed = config.failure_mode_allow();
  made->is_failure_told = config.failure_mode_allow_header_add();
  made->is_route_cleared = config.clear_route_cache();
  made->is_denied_when_off = config.deny_at_disable().default_value().value();
  made->is_peer_certificate_sent = config.include_peer_certificate();
  made->is_tls_session_sent = config.include_tls_session();
  made->are_headers_raw = config.encode_raw_headers();
  made->is_metadata_taken = !config.has_enable_dynamic_metadata_ingestion() ||
                            config.enable_dynamic_metadata_ingestion().value();
  made->is_mutation_validated = config.validate_mutations();
  made->most_denied_body = config.max_denied_response_body_bytes();
  if (config.has_status_on_error() && config.status_on_error().code() > 0)
    made->error_status = config.status_on_error().code();
  if (config.has_filter_enabled())
    made->enabled = xds::to_millionths(config.filter_enabled().default_value());
  if (config.has_filter_enabled_metadata())
    made->enabled_metadata = TRY(MetadataMatcher::compile(config.filter_enabled_metadata()));
  made->forward.allowed = TRY(compile_list(config.allowed_headers()));
  made->forward.denied = TRY(compile_list(config.disallowed_headers()));
  if (config.has_decoder_header_mutation_rules())
    made->rules = TRY(MutationRules::compile(config.decoder_header_mutation_rules()));
  made->metadata_namespaces.assign(config.metadata_context_namespaces().begin(),
                                   config.metadata_context_namespaces().end());
  made->route_namespaces.assign(config.route_metadata_context_namespaces().begin(),
                                config.route_metadata_context_namespaces().end());
  return std::shared_ptr<const AuthzSettings>(std::move(made));
}

Result<std::shared_ptr<const AuthzRoute>> AuthzRoute::compile(const api::ExtAuthzPerRoute& config) {
  auto made = std::make_shared<AuthzRoute>();
  made->is_disabled = config.disabled();
  const auto& check = config.check_settings();
  made->is_body_off = check.disable_request_body_buffering();
  if (check.has_with_request_body()) made->body = AuthzBody::of(check.with_request_body());
  for (const auto& [key, value] : check.context_extensions()) made->extensions[key] = value;
  if (check.has_grpc_service()) made->service = TRY(compile_grpc(check.grpc_service()));
  if (check.has_http_service()) made->service = TRY(AuthzService::compile(check.http_service()));
  return std::shared_ptr<const AuthzRoute>(std::move(made));
}

}  // namespace lateen::proxy
