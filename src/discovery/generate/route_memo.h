// A sidecar's route configuration, kept with what each of its virtual hosts was made of: after a
// change of virtual services only theirs are made again. One thread's.
#pragma once

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

// Makes the configuration `name`. What `memo` holds must have been made for a view that differs in
// nothing but its virtual services.
void renew_sidecar_route(const View& view, const std::string& name, RouteMemo& memo);

}  // namespace lateen::discovery
