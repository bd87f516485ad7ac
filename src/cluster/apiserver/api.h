// The front door behind authentication: routes a request to health, discovery, OpenAPI or the
// resources, after asking RBAC. One function call per request; the same for sockets and for callers
// in this process. Thread-safe.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "cluster/apiserver/authenticator.h"
#include "cluster/apiserver/catalog.h"
#include "cluster/apiserver/open_api.h"
#include "cluster/apiserver/rbac.h"
#include "cluster/apiserver/resources.h"
#include "cluster/apiserver/subresources.h"

namespace lateen::cluster::apiserver {

class Api {
 public:
  struct Parts {
    Store& store;
    const Clock& clock;
    Catalog& catalog;
    Resources& resources;
    Subresources& subresources;
    Authenticator& authenticator;
    Rbac& rbac;
    OpenApi& open_api;
  };
  explicit Api(Parts parts) : parts_(parts) {}

  // `request.user` is authenticated.
  ApiResponse handle(const ApiRequest& request);
  void set_ready(bool is_ready) { is_ready_ = is_ready; }

 private:
  Outcome<ApiResponse> route(const ApiRequest& request);
  Outcome<ApiResponse> route_authorized(const ApiRequest& request);
  Outcome<ApiResponse> serve_path(const ApiRequest& request);
  Outcome<ApiResponse> serve_resource(const ApiRequest& request, RequestInfo info);
  ApiResponse health(const ApiRequest& request) const;
  ApiResponse metrics() const;

  Parts parts_;
  std::atomic<bool> is_ready_ = true;
};

}  // namespace lateen::cluster::apiserver
