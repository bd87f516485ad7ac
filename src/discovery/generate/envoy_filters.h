// EnvoyFilter: a user's patches on generated clusters, listeners and routes. A patch that does not
// fit (an unknown field, a wrong type) is left out and logged once per snapshot; the rest of the
// config stays as generated.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "discovery/generate/clusters.h"
#include "discovery/generate/listeners.h"
#include "discovery/generate/routes.h"

namespace google::protobuf {
class Message;
}

namespace lateen::discovery {

void patch_clusters(const View& view, std::vector<Cluster>& clusters);
void patch_listeners(const View& view, std::vector<Listener>& listeners);
void patch_routes(const View& view, RouteConfiguration& routes);
// ECDS: hands the EXTENSION_CONFIG of that name to `serve`, when an EnvoyFilter has it.
void make_extension(const View& view, const std::string& name,
                    const std::function<void(const google::protobuf::Message&)>& serve);

}  // namespace lateen::discovery
