// RDS: route configurations by name: "9080" (HTTP services of a port), "host:port" (one service
// whose protocol is detected), "http.8080" and "https.443.https.gw.ns" (gateways), "inbound|9080||"
// (inline).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "discovery/scope.h"

namespace envoy::config::route::v3 {
class RouteConfiguration;
class VirtualHost;
class Route;
}  // namespace envoy::config::route::v3

namespace lateen::discovery {

using RouteConfiguration = envoy::config::route::v3::RouteConfiguration;
using VirtualHost = envoy::config::route::v3::VirtualHost;
using Route = envoy::config::route::v3::Route;

// False: nothing of that name, the configuration is empty then.
bool make_route_configuration(const View& view, const std::string& name, RouteConfiguration& out);
void make_inbound_route(const View& view, int port, const std::string& cluster,
                        RouteConfiguration& out);

// Parts.
// Name and what all have.
void begin_route_configuration(const std::string& name, RouteConfiguration& out);
bool make_sidecar_route(const View& view, const std::string& name, RouteConfiguration& out);
bool make_gateway_route(const View& view, const std::string& name, RouteConfiguration& out);

struct RouteSubject {
  const View& view;
  const mesh::Config<mesh::VirtualService>* config;  // null: a service's own default route
  const mesh::Service* service;                      // the host's service; null when unknown
  int port = 0;                                      // that the client dialled
  std::string_view gateway = "mesh";  // the one the routes are for: "ns/name" or "mesh"
};
// Appends the routes of a virtual service that hold for this subject; stops at one that matches
// all.
void add_virtual_service_routes(const RouteSubject& subject, VirtualHost& out);
void add_default_route(const RouteSubject& subject, VirtualHost& out);

}  // namespace lateen::discovery
