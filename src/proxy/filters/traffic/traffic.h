// Filters that hold traffic back: bandwidth, admission by success rate, concurrency by latency.
// Makers for registry.cc.
#pragma once

#include "proxy/filters/registry.h"

namespace lateen::proxy {

Result<HttpFilterRef> make_bandwidth_limit(const google::protobuf::Any& config,
                                           const CompileContext& context);
Result<RouteConfigRef> make_bandwidth_limit_route(const google::protobuf::Any& config,
                                                  const CompileContext& context);
Result<HttpFilterRef> make_admission_control(const google::protobuf::Any& config,
                                             const CompileContext& context);
Result<HttpFilterRef> make_adaptive_concurrency(const google::protobuf::Any& config,
                                                const CompileContext& context);

}  // namespace lateen::proxy
