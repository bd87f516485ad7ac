// A sidecar's route configuration, kept with what each of its virtual hosts was made of: after a
// change of virtual services only theirs are made again. One thread's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "discovery/generate/routes.h"
#include "xds/server.h"

namespace lateen::discovery {

struct RouteMemo {
  // The virtual host of a service, a range of the body (empty: it has none).
  struct Frame {
    mesh::ConfigPtr<mesh::VirtualService> config;  // null: the service's default route
    std::size_t begin = 0, size = 0;
  };
  std::vector<Frame> frames;  // of the port's HTTP services, in their order
  std::size_t tail = 0;       // where the hosts of no service begin
  xds::ServedPtr served;
};

// What of a scope such a configuration depends on: the services, and the virtual services.
struct RouteSight {
  std::uint64_t services = 0, configs = 0;
};
RouteSight sight_of_route(const Scope& scope, const std::string& name);

// Makes the configuration `name`. What `memo` holds must have been made for a view that differs in
// nothing but its virtual services.
void renew_sidecar_route(const View& view, const std::string& name, RouteMemo& memo);

}  // namespace lateen::discovery
