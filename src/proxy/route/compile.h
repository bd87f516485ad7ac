// Pieces of the route compiler that live in files of their own; used by route/compile.cc only.
#pragma once

#include <set>

#include "proxy/route/route.h"

namespace google::protobuf {
class Any;
template <typename T>
class RepeatedPtrField;
}  // namespace google::protobuf
namespace envoy::config::route::v3 {
class RouteAction;
class RouteMatch;
class RetryPolicy;
class RouteAction_RequestMirrorPolicy;
}  // namespace envoy::config::route::v3

namespace lateen::proxy {

Result<Forward> compile_forward(const envoy::config::route::v3::RouteAction& config,
                                const FilterConfigCompiler& compile_filter,
                                std::set<std::string>& clusters);
std::vector<MirrorPolicy> compile_mirrors(
    const google::protobuf::RepeatedPtrField<
        envoy::config::route::v3::RouteAction_RequestMirrorPolicy>& configs);
Result<RetryPolicy> compile_retry(const envoy::config::route::v3::RetryPolicy& config);
// A path template ("/a/{x}/b/{y=**}") as a regular expression with a group for each variable.
struct UriTemplate {
  std::string regex;
  std::vector<std::string> names;  // of the groups, in order
};
Result<UriTemplate> parse_uri_template(const std::string& text);
Result<UriTemplate> read_uri_template(const google::protobuf::Any& config);
// path_rewrite_policy, whose names are those of the match.
Result<PathRewrite> compile_path_rewrite(const envoy::config::route::v3::RouteMatch& match,
                                         const envoy::config::route::v3::RouteAction& action);

}  // namespace lateen::proxy
