// Fields of what the messages of filters hold.

#include "proxy/api/field_check.h"

namespace lateen::proxy {

std::span<const FieldRow> part_fields() {
  static constexpr FieldRow kRows[] = {
      {"envoy.config.common.mutation_rules.v3.HeaderMutationRules",
       "allow_all_routing allow_envoy disallow_system disallow_all allow_expression "
       "disallow_expression disallow_is_error",
       "", ""},
      {"envoy.config.core.v3.BackoffStrategy", "base_interval max_interval", "", ""},
      {"envoy.config.core.v3.JsonFormatOptions", "", "sort_properties",
       "as in Envoy: the order is of no meaning"},
      {"envoy.config.core.v3.RetryPolicy", "retry_back_off num_retries", "", ""},
      {"envoy.config.core.v3.SubstitutionFormatString",
       "text_format json_format text_format_source omit_empty_values content_type "
       "json_format_options",
       "formatters", "all commands are built in"},
      {"envoy.extensions.common.ratelimit.v3.LocalRateLimitDescriptor", "entries token_bucket", "",
       ""},
      {"envoy.extensions.common.ratelimit.v3.RateLimitDescriptor.Entry", "key value", "", ""},
      {"envoy.extensions.filters.common.fault.v3.FaultDelay", "fixed_delay header_delay percentage",
       "", ""},
      {"envoy.extensions.filters.common.fault.v3.FaultDelay.HeaderDelay", "", "", ""},
      {"envoy.extensions.filters.common.fault.v3.FaultRateLimit",
       "fixed_limit header_limit percentage", "", ""},
      {"envoy.extensions.filters.common.fault.v3.FaultRateLimit.FixedLimit", "limit_kbps", "", ""},
      {"envoy.extensions.filters.common.fault.v3.FaultRateLimit.HeaderLimit", "", "", ""},
      {"envoy.extensions.filters.common.set_filter_state.v3.FilterStateValue",
       "object_key format_string", "factory_key read_only shared_with_upstream skip_if_empty",
       "a text, which passes on with connections inside; an empty one is not set"},
      {"envoy.extensions.filters.http.compressor.v3.Compressor.RequestDirectionConfig",
       "common_config", "", ""},
      {"envoy.extensions.filters.http.compressor.v3.ResponseDirectionOverrides",
       "remove_accept_encoding_header", "", ""},
      {"envoy.extensions.filters.http.ext_proc.v3.HeaderForwardingRules",
       "allowed_headers disallowed_headers", "", ""},
      {"envoy.extensions.filters.http.ext_proc.v3.ProcessingMode",
       "request_header_mode response_header_mode request_body_mode response_body_mode "
       "request_trailer_mode response_trailer_mode",
       "", ""},
      {"envoy.extensions.filters.http.fault.v3.FaultAbort.HeaderAbort", "", "", ""},
      {"envoy.extensions.filters.http.jwt_authn.v3.JwksAsyncFetch", "failed_refetch_duration",
       "fast_listener", "requests wait for the keys, listeners do not"},
      {"envoy.extensions.filters.http.jwt_authn.v3.JwtClaimToHeader", "header_name claim_name", "",
       ""},
      {"envoy.extensions.filters.http.jwt_authn.v3.JwtHeader", "name value_prefix", "", ""},
      {"envoy.extensions.filters.http.jwt_authn.v3.JwtProvider.NormalizePayload",
       "space_delimited_claims", "", ""},
      {"envoy.extensions.filters.http.jwt_authn.v3.JwtRequirement",
       "provider_name provider_and_audiences requires_any requires_all allow_missing_or_failed "
       "allow_missing",
       "", ""},
      {"envoy.extensions.filters.http.jwt_authn.v3.JwtRequirementAndList", "requirements", "", ""},
      {"envoy.extensions.filters.http.jwt_authn.v3.JwtRequirementOrList", "requirements", "", ""},
      {"envoy.extensions.filters.http.jwt_authn.v3.ProviderWithAudiences",
       "provider_name audiences", "", ""},
      {"envoy.extensions.filters.http.jwt_authn.v3.RemoteJwks",
       "http_uri cache_duration async_fetch retry_policy", "", ""},
      {"envoy.extensions.filters.http.jwt_authn.v3.RequirementRule",
       "match requires requirement_name", "", ""},
      {"envoy.type.http.v3.CookieAttribute", "name value", "", ""},
      {"envoy.type.v3.HttpStatus", "code", "", ""},
      {"envoy.type.v3.TokenBucket", "max_tokens tokens_per_fill fill_interval", "", ""},
      {"opentelemetry.proto.common.v1.AnyValue",
       "string_value bool_value int_value double_value array_value kvlist_value bytes_value", "",
       ""},
      {"opentelemetry.proto.common.v1.ArrayValue", "values", "", ""},
      {"opentelemetry.proto.common.v1.KeyValue", "key value", "", ""},
      {"opentelemetry.proto.common.v1.KeyValueList", "values", "", ""},
  };
  return kRows;
}

}  // namespace lateen::proxy
