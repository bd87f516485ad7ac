// The one list of HTTP filters, keyed by the type of their configuration.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "proxy/compile_context.h"
#include "proxy/http/filter.h"

namespace lateen::proxy {

using HttpFilterRef = std::shared_ptr<const HttpFilter>;
using RouteConfigRef = std::shared_ptr<const RouteFilterConfig>;

struct HttpFilterFactory {
  std::string_view type;  // message name of the filter's configuration
  Result<HttpFilterRef> (*make)(const google::protobuf::Any& config, const CompileContext& context);
  std::string_view route_type;  // of its settings on routes; empty: none
  Result<RouteConfigRef> (*make_route)(const google::protobuf::Any& config,
                                       const CompileContext& context);
};

std::span<const HttpFilterFactory> http_filters();
const HttpFilterFactory* find_http_filter(std::string_view type);
// Makes the filter, unless its configuration sets a field that has no effect here.
Result<HttpFilterRef> make_http_filter(const HttpFilterFactory& factory,
                                       const google::protobuf::Any& config,
                                       const CompileContext& context);
// For typed_per_filter_config; a type that no filter has is an error that names it.
Result<RouteFilterEntry> compile_route_filter(const std::string& name,
                                              const google::protobuf::Any& config,
                                              const CompileContext& context);

}  // namespace lateen::proxy
