// The makers of the HTTP filters; each lives in its own file of this folder. Used by registry.cc
// only.
#pragma once

#include "proxy/filters/registry.h"

namespace lateen::proxy {

Result<HttpFilterRef> make_router(const google::protobuf::Any& config,
                                  const CompileContext& context);
Result<HttpFilterRef> make_cors(const google::protobuf::Any& config, const CompileContext& context);
Result<HttpFilterRef> make_fault(const google::protobuf::Any& config,
                                 const CompileContext& context);
Result<HttpFilterRef> make_pass_through(const google::protobuf::Any& config,
                                        const CompileContext& context);
Result<HttpFilterRef> make_alpn(const google::protobuf::Any& config, const CompileContext& context);
Result<HttpFilterRef> make_peer_metadata(const google::protobuf::Any& config,
                                         const CompileContext& context);
Result<HttpFilterRef> make_istio_stats(const google::protobuf::Any& config,
                                       const CompileContext& context);
Result<HttpFilterRef> make_rbac(const google::protobuf::Any& config, const CompileContext& context);
Result<HttpFilterRef> make_local_ratelimit(const google::protobuf::Any& config,
                                           const CompileContext& context);
Result<HttpFilterRef> make_jwt_authn(const google::protobuf::Any& config,
                                     const CompileContext& context);
Result<HttpFilterRef> make_ext_authz(const google::protobuf::Any& config,
                                     const CompileContext& context);
Result<HttpFilterRef> make_header_mutation(const google::protobuf::Any& config,
                                           const CompileContext& context);
Result<HttpFilterRef> make_set_filter_state(const google::protobuf::Any& config,
                                            const CompileContext& context);
Result<HttpFilterRef> make_health_check(const google::protobuf::Any& config,
                                        const CompileContext& context);
Result<HttpFilterRef> make_buffer(const google::protobuf::Any& config,
                                  const CompileContext& context);

Result<RouteConfigRef> make_cors_route(const google::protobuf::Any& config,
                                       const CompileContext& context);
Result<RouteConfigRef> make_fault_route(const google::protobuf::Any& config,
                                        const CompileContext& context);
Result<RouteConfigRef> make_rbac_route(const google::protobuf::Any& config,
                                       const CompileContext& context);
Result<RouteConfigRef> make_local_ratelimit_route(const google::protobuf::Any& config,
                                                  const CompileContext& context);
Result<RouteConfigRef> make_jwt_authn_route(const google::protobuf::Any& config,
                                            const CompileContext& context);
Result<RouteConfigRef> make_ext_authz_route(const google::protobuf::Any& config,
                                            const CompileContext& context);
Result<RouteConfigRef> make_header_mutation_route(const google::protobuf::Any& config,
                                                  const CompileContext& context);

Result<HttpFilterRef> make_compressor(const google::protobuf::Any& config,
                                      const CompileContext& context);
Result<HttpFilterRef> make_decompressor(const google::protobuf::Any& config,
                                        const CompileContext& context);
Result<HttpFilterRef> make_csrf(const google::protobuf::Any& config, const CompileContext& context);
Result<HttpFilterRef> make_grpc_web(const google::protobuf::Any& config,
                                    const CompileContext& context);
Result<HttpFilterRef> make_grpc_bridge(const google::protobuf::Any& config,
                                       const CompileContext& context);
Result<HttpFilterRef> make_ratelimit(const google::protobuf::Any& config,
                                     const CompileContext& context);
Result<HttpFilterRef> make_stateful_session(const google::protobuf::Any& config,
                                            const CompileContext& context);
Result<RouteConfigRef> make_compressor_route(const google::protobuf::Any& config,
                                             const CompileContext& context);
Result<RouteConfigRef> make_csrf_route(const google::protobuf::Any& config,
                                       const CompileContext& context);
Result<RouteConfigRef> make_ratelimit_route(const google::protobuf::Any& config,
                                            const CompileContext& context);
Result<RouteConfigRef> make_stateful_session_route(const google::protobuf::Any& config,
                                                   const CompileContext& context);
Result<HttpFilterRef> make_ext_proc(const google::protobuf::Any& config,
                                    const CompileContext& context);
Result<RouteConfigRef> make_ext_proc_route(const google::protobuf::Any& config,
                                           const CompileContext& context);
Result<HttpFilterRef> make_lua(const google::protobuf::Any& config, const CompileContext& context);
Result<RouteConfigRef> make_lua_route(const google::protobuf::Any& config,
                                      const CompileContext& context);
Result<HttpFilterRef> make_header_to_metadata(const google::protobuf::Any& config,
                                              const CompileContext& context);
Result<RouteConfigRef> make_header_to_metadata_route(const google::protobuf::Any& config,
                                                     const CompileContext& context);
Result<HttpFilterRef> make_set_metadata(const google::protobuf::Any& config,
                                        const CompileContext& context);
Result<RouteConfigRef> make_buffer_route(const google::protobuf::Any& config,
                                         const CompileContext& context);

}  // namespace lateen::proxy
