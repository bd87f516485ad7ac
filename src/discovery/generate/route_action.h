// What a route does: forward (weighted), redirect, answer, with rewrites, retries, mirrors, faults,
// CORS, headers.
#pragma once

#include <string>

#include "discovery/generate/routes.h"

namespace lateen::discovery {

// `out` has its match already. `config_name` names the virtual service in traces when there are
// several destinations.
void fill_route_action(const RouteSubject& subject, const mesh::HttpRoute& route, Route& out);
void fill_forward_to(const RouteSubject& subject, const std::string& cluster, Route& out);
// "reviews.default.svc.cluster.local:9080/*": the operation's name in traces.
void set_decorator(std::string_view config_name, int port, Route& out);

}  // namespace lateen::discovery
