// Short texts for matches and destinations, shared by the tables.
#pragma once

#include <string>

#include "cli/envoy_dump.h"

namespace lateen::cli {

std::string describe_match(const Json& route_match);  // "/productpage", "/static*", "regex .*"
std::string describe_chain_match(
    const Json& filter_chain);  // "Trans: tls; App: HTTP TLS; Addr: *:9080"
std::string describe_destination(
    const Json& filter_chain);  // "Cluster: …", "Route: 9080", "Inline Route: /*"

}  // namespace lateen::cli
