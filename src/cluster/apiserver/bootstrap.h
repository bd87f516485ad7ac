// What a fresh cluster holds before anybody asks: namespaces, roles, the kubernetes Service and its
// Endpoints.
#pragma once

#include "cluster/apiserver/catalog.h"
#include "cluster/apiserver/resources.h"
#include "net/address.h"

namespace lateen::cluster::apiserver {

// Makes what is missing; changes nothing that is there.
Result<> bootstrap(Resources& resources, const Catalog& catalog, const std::string& kubernetes_ip);
// Points Endpoints and EndpointSlice default/kubernetes at `address`.
Result<> publish_kubernetes(Resources& resources, const Catalog& catalog,
                            const net::Address& address);

}  // namespace lateen::cluster::apiserver
