// Pieces of the route compiler that live in files of their own; used by route/compile.cc only.
#pragma once

#include <set>

#include "proxy/route/route.h"

namespace google::protobuf {
class Any;
}
namespace envoy::config::route::v3 {
class RouteAction;
class RetryPolicy;
}  // namespace envoy::config::route::v3

namespace lateen::proxy {

Result<Forward> compile_forward(const envoy::config::route::v3::RouteAction& config,
                                const FilterConfigCompiler& compile_filter,
                                std::set<std::string>& clusters);
Result<RetryPolicy> compile_retry(const envoy::config::route::v3::RetryPolicy& config);
// A path template ("/a/{*}/b/{**}", "{name=*}") as the text of a regular expression.
Result<std::string> compile_uri_template(const google::protobuf::Any& config);

}  // namespace lateen::proxy
