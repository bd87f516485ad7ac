// See api.h.
#include "cluster/apiserver/api.h"

#include <fmt/format.h>

#include "base/strings.h"
#include "cluster/apiserver/discovery.h"
#include "cluster/apiserver/impersonation.h"
#include "cluster/apiserver/reviews.h"

namespace lateen::cluster::apiserver {
namespace {

AccessAttributes access_of(const ApiRequest& request, const RequestInfo& info) {
  AccessAttributes wanted;
  wanted.verb = info.verb;
  wanted.is_resource = info.is_resource;
  if (!info.is_resource) {
    wanted.path = request.path;
    return wanted;
  }
  wanted.ns = info.ns;
  wanted.group = info.group;
  wanted.resource = info.resource;
  wanted.subresource = info.subresource;
  wanted.name = info.name;
  return wanted;
}

Outcome<> read_options(Call& call) {
  const auto& request = call.request;
  for (const auto value : request.params("dryRun")) {
    if (value.empty()) continue;
    if (value != "All") {
      FieldErrors errors;
      errors.unsupported("dryRun", JsonArray{Json(value)}, {"All"});
      return Status::invalid("meta.k8s.io", "CreateOptions", "", errors);
    }
    call.is_dry_run = true;
  }
  call.field_manager = request.param("fieldManager");
  const auto validation = request.param("fieldValidation");
  if (validation == "Strict") call.field_validation = FieldValidation::kStrict;
  if (validation == "Ignore") call.field_validation = FieldValidation::kIgnore;
  return {};
}

std::string quoted_warning(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (c == '"' || c == '\\') safe += '\\';
    safe += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return fmt::format("299 - \"{}\"", safe);
}

}  // namespace

ApiResponse Api::handle(const ApiRequest& request) {
  auto outcome = route(request);
  ApiResponse response =
      outcome.ok() ? std::move(outcome).value() : ApiResponse::of(outcome.error());
  response.headers.emplace_back("Cache-Control", "no-cache, private");
  return response;
}

Outcome<ApiResponse> Api::route(const ApiRequest& request) {
  if (auto other = TRY(impersonated(request, parts_.rbac))) {
    ApiRequest as_other = request;
    as_other.user = std::move(*other);
    return route_authorized(as_other);
  }
  return route_authorized(request);
}

Outcome<ApiResponse> Api::route_authorized(const ApiRequest& request) {
  RequestInfo info = parse_info(request);
  const AccessAttributes wanted = access_of(request, info);
  const AccessDecision decision = parts_.rbac.authorize(request.user, wanted);
  if (!decision.is_allowed) return denied(request.user, wanted, decision.reason);
  if (info.is_resource) return serve_resource(request, std::move(info));
  return serve_path(request);
}

Outcome<ApiResponse> Api::serve_path(const ApiRequest& request) {
  const std::string_view path = request.path;
  if (request.method != "GET" && request.method != "HEAD") return Status::method_not_allowed();
  if (path.starts_with("/healthz") || path.starts_with("/livez") || path.starts_with("/readyz")) {
    return health(request);
  }
  if (path == "/version" || path == "/version/") return version_response();
  if (path == "/.well-known/openid-configuration") {
    return ApiResponse::json(200, parts_.authenticator.openid_configuration());
  }
  if (path == "/openid/v1/jwks") {
    auto response = ApiResponse::json(200, parts_.authenticator.jwks());
    response.content_type = "application/jwk-set+json";
    return response;
  }
  if (path == "/metrics") return metrics();
  const auto registry = parts_.catalog.current();
  if (path.starts_with("/openapi/")) {
    if (auto answer = parts_.open_api.serve(request, *registry, parts_.catalog.generation())) {
      return std::move(*answer);
    }
    return Status::no_such_path();
  }
  if (path == "/") {
    return ApiResponse::json(
        200,
        JsonObject{{"paths", JsonArray{"/api", "/api/v1", "/apis", "/healthz", "/livez", "/metrics",
                                       "/openapi/v2", "/openapi/v3", "/readyz", "/version"}}});
  }
  if (auto answer = discover(request, *registry)) return std::move(*answer);
  ApiResponse missing = ApiResponse::text(404, "404 page not found\n");
  return missing;
}

ApiResponse Api::health(const ApiRequest& request) const {
  const bool is_ready_path = request.path.starts_with("/readyz");
  const bool is_ok = !is_ready_path || is_ready_.load();
  if (!request.has_param("verbose")) {
    return ApiResponse::text(is_ok ? 200 : 500,
                             is_ok ? "ok" : "[-]poststarthook/bootstrap failed: not yet\n");
  }
  const auto name = request.path.substr(1, request.path.find('/', 1) - 1);
  return ApiResponse::text(
      is_ok ? 200 : 500,
      fmt::format(
          "[+]ping ok\n[+]log ok\n[+]store ok\n[{}]poststarthook/bootstrap {}\n{} check {}\n",
          is_ok ? '+' : '-', is_ok ? "ok" : "failed: not yet", name, is_ok ? "passed" : "failed"));
}

ApiResponse Api::metrics() const {
  std::string text;
  text +=
      "# HELP apiserver_storage_objects Number of stored objects at the time of last check split "
      "by kind.\n";
  text += "# TYPE apiserver_storage_objects gauge\n";
  for (const auto& type : parts_.catalog.current()->types()) {
    if (type->is_virtual) continue;
    text += fmt::format("apiserver_storage_objects{{resource=\"{}\"}} {}\n",
                        qualified(type->plural, type->group), parts_.store.count(type->bucket));
  }
  text += fmt::format("# TYPE lateen_store_revision gauge\nlateen_store_revision {}\n",
                      parts_.store.revision());
  return ApiResponse::text(200, std::move(text));
}

Outcome<ApiResponse> Api::serve_resource(const ApiRequest& request, RequestInfo info) {
  const auto registry = parts_.catalog.current();
  TypePtr type = registry->find(info.group, info.version, info.resource);
  if (type == nullptr) return Status::no_such_path();
  if (!type->is_namespaced && type->bucket != "/namespaces" && !info.ns.empty())
    return Status::no_such_path();
  if (type->is_namespaced && info.ns.empty() && !info.name.empty()) return Status::no_such_path();
  if (type->bucket == "/namespaces") info.ns.clear();
  Call call{request, std::move(info), type, registry, {}, false, false, {}, FieldValidation::kWarn};
  TRY(read_options(call));
  if (const auto* served = type->version(call.info.version);
      served != nullptr && !served->deprecation_warning.empty()) {
    call.warnings.push_back(served->deprecation_warning);
  }
  if (!call.info.subresource.empty() &&
      !type->has_subresource(call.info.subresource, call.info.version)) {
    return Status::no_such_path();
  }
  Outcome<ApiResponse> outcome = [&]() -> Outcome<ApiResponse> {
    if (type->is_virtual) return serve_review(call, parts_.authenticator, parts_.rbac);
    const auto& subresource = call.info.subresource;
    if (subresource.empty() || subresource == "status" || subresource == "approval" ||
        subresource == "resize") {
      return parts_.resources.serve(call);
    }
    if (subresource == "ephemeralcontainers") {
      // kubectl debug shows this text: without a name in the details it means "not here".
      return Status{404, "NotFound",
                    "this cluster does not run ephemeral containers: use kubectl exec, or kubectl "
                    "debug with --copy-to",
                    JsonObject{{"kind", "pods"}}};
    }
    return parts_.subresources.serve(call);
  }();
  ApiResponse response =
      outcome.ok() ? std::move(outcome).value() : ApiResponse::of(outcome.error());
  for (const auto& warning : call.warnings)
    response.headers.emplace_back("Warning", quoted_warning(warning));
  return response;
}

}  // namespace lateen::cluster::apiserver
