// Adding a filter: its folder, and a line here.

#include "proxy/filters/registry.h"

#include "envoy/config/route/v3/route_components.pb.h"
#include "proxy/api/field_check.h"
#include "proxy/filters/filters.h"
#include "proxy/filters/traffic/traffic.h"
#include "xds/any.h"

namespace lateen::proxy {
namespace {

constexpr HttpFilterFactory kFilters[] = {
    {"envoy.extensions.filters.http.router.v3.Router", make_router, "", nullptr},
    {"envoy.extensions.filters.http.cors.v3.Cors", make_cors,
     "envoy.extensions.filters.http.cors.v3.CorsPolicy", make_cors_route},
    {"envoy.extensions.filters.http.fault.v3.HTTPFault", make_fault,
     "envoy.extensions.filters.http.fault.v3.HTTPFault", make_fault_route},
    {"envoy.extensions.filters.http.grpc_stats.v3.FilterConfig", make_pass_through, "", nullptr},
    // The cluster of that kind resolves names itself.
    {"envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig", make_pass_through, "",
     nullptr},
    {"istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig", make_alpn, "", nullptr},
    {"io.istio.http.peer_metadata.Config", make_peer_metadata, "", nullptr},
    {"stats.PluginConfig", make_istio_stats, "", nullptr},
    {"envoy.extensions.filters.http.rbac.v3.RBAC", make_rbac,
     "envoy.extensions.filters.http.rbac.v3.RBACPerRoute", make_rbac_route},
    {"envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit", make_local_ratelimit,
     "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit", make_local_ratelimit_route},
    {"envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication", make_jwt_authn,
     "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig", make_jwt_authn_route},
    {"envoy.extensions.filters.http.ext_authz.v3.ExtAuthz", make_ext_authz,
     "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute", make_ext_authz_route},
    {"envoy.extensions.filters.http.header_mutation.v3.HeaderMutation", make_header_mutation,
     "envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute",
     make_header_mutation_route},
    {"envoy.extensions.filters.http.set_filter_state.v3.Config", make_set_filter_state, "",
     nullptr},
    {"envoy.extensions.filters.http.stateful_session.v3.StatefulSession", make_stateful_session,
     "envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute",
     make_stateful_session_route},
    {"envoy.extensions.filters.http.health_check.v3.HealthCheck", make_health_check, "", nullptr},
    {"envoy.extensions.filters.http.compressor.v3.Compressor", make_compressor,
     "envoy.extensions.filters.http.compressor.v3.CompressorPerRoute", make_compressor_route},
    {"envoy.extensions.filters.http.decompressor.v3.Decompressor", make_decompressor, "", nullptr},
    {"envoy.extensions.filters.http.csrf.v3.CsrfPolicy", make_csrf,
     "envoy.extensions.filters.http.csrf.v3.CsrfPolicy", make_csrf_route},
    {"envoy.extensions.filters.http.grpc_web.v3.GrpcWeb", make_grpc_web, "", nullptr},
    {"envoy.extensions.filters.http.grpc_http1_bridge.v3.Config", make_grpc_bridge, "", nullptr},
    {"envoy.extensions.filters.http.ratelimit.v3.RateLimit", make_ratelimit,
     "envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute", make_ratelimit_route},
    {"envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor", make_ext_proc,
     "envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute", make_ext_proc_route},
    {"envoy.extensions.filters.http.lua.v3.Lua", make_lua,
     "envoy.extensions.filters.http.lua.v3.LuaPerRoute", make_lua_route},
    {"envoy.extensions.filters.http.buffer.v3.Buffer", make_buffer,
     "envoy.extensions.filters.http.buffer.v3.BufferPerRoute", make_buffer_route},
    {"envoy.extensions.filters.http.header_to_metadata.v3.Config", make_header_to_metadata,
     "envoy.extensions.filters.http.header_to_metadata.v3.Config", make_header_to_metadata_route},
    {"envoy.extensions.filters.http.set_metadata.v3.Config", make_set_metadata, "", nullptr},
    {"envoy.extensions.filters.http.bandwidth_limit.v3.BandwidthLimit", make_bandwidth_limit,
     "envoy.extensions.filters.http.bandwidth_limit.v3.BandwidthLimit", make_bandwidth_limit_route},
    {"envoy.extensions.filters.http.admission_control.v3.AdmissionControl", make_admission_control,
     "", nullptr},
    {"envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency",
     make_adaptive_concurrency, "", nullptr},
    // Clusters and routes that are asked for are here before a listener serves.
    {"envoy.extensions.filters.http.on_demand.v3.OnDemand", make_pass_through, "", nullptr},
};

}  // namespace

const HttpFilterFactory* find_http_filter(std::string_view type) {
  for (const auto& factory : kFilters)
    if (factory.type == type) return &factory;
  return nullptr;
}

std::span<const HttpFilterFactory> http_filters() { return kFilters; }

Result<HttpFilterRef> make_http_filter(const HttpFilterFactory& factory,
                                       const google::protobuf::Any& config,
                                       const CompileContext& context) {
  TRY(check_fields(config));
  return factory.make(config, context);
}

Result<RouteFilterEntry> compile_route_filter(const std::string& name,
                                              const google::protobuf::Any& config,
                                              const CompileContext& context) {
  RouteFilterEntry made;
  const std::string type = xds::carried_type(config);
  if (type == "envoy.config.route.v3.FilterConfig") {
    const auto wrapper = TRY(xds::unpack<envoy::config::route::v3::FilterConfig>(config));
    if (!wrapper.disabled() && wrapper.has_config())
      made = TRY(compile_route_filter(name, wrapper.config(), context));
    made.is_disabled = wrapper.disabled();
    return made;
  }
  for (const auto& factory : kFilters) {
    if (factory.route_type.empty() || factory.route_type != type) continue;
    TRY(check_fields(config).at(name));
    if (factory.make_route != nullptr) made.config = TRY(factory.make_route(config, context));
    return made;
  }
  return invalid("settings of type " + type + " belong to no filter that is known here",
                 Blame::kConfig);
}

}  // namespace lateen::proxy
