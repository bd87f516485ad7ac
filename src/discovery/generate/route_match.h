// The match of a route: paths, headers, query parameters.
#pragma once

#include "mesh/virtual_service.h"

namespace envoy::config::route::v3 {
class RouteMatch;
}
namespace envoy::type::matcher::v3 {
class StringMatcher;
}

namespace lateen::discovery {

void fill_route_match(const mesh::HttpMatch& from, envoy::config::route::v3::RouteMatch& out);
void fill_any_match(envoy::config::route::v3::RouteMatch& out);  // prefix "/"
void fill_string(const mesh::StringMatch& from, envoy::type::matcher::v3::StringMatcher& out);
// Nothing is required of the request: routes behind it are never reached.
bool matches_everything(const mesh::HttpMatch& match);

}  // namespace lateen::discovery
