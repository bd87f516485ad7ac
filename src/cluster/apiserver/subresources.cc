// The subresources that are plain requests; streaming ones are in streaming.cc.
#include "cluster/apiserver/subresources.h"

#include <fmt/format.h>

#include "base/strings.h"
#include "cluster/apiserver/json_path.h"
#include "cluster/apiserver/log_stream.h"
#include "kube/patch.h"
#include "kube/selector.h"

namespace lateen::cluster::apiserver {

Outcome<ApiResponse> Subresources::serve(Call& call) {
  const auto& name = call.info.subresource;
  if (name == "scale") return scale(call);
  if (name == "binding") return bind(call);
  if (name == "eviction") return evict(call);
  if (name == "token") return token(call);
  if (name == "finalize") return finalize(call);
  if (name == "log") return log(call);
  if (name == "proxy") return proxy(call);
  return stream(call);
}

namespace {

Outcome<Json> parse_body(const Call& call) {
  auto parsed = parse_any_body(call.request.header("content-type"), call.request.body);
  if (!parsed.ok()) return Status::bad_request(parsed.error().message());
  return std::move(*parsed);
}

std::int64_t int_at_dotted(const Json& object, std::string_view path) {
  const Json* found = data::find_dotted(object, path);
  return found != nullptr ? data::as_int(*found).value_or(0) : 0;
}

void set_dotted(Json& object, std::string_view path, Json value) {
  Json* at = &object;
  const auto steps = split(path, '.');
  for (std::size_t i = 0; i + 1 < steps.size(); ++i)
    at = &(data::ensure_object(*at, {steps[i]}), *data::find(*at, {steps[i]}));
  data::set(*at, {steps.back()}, std::move(value));
}

std::string selector_of(const Call& call, const ScalePaths& paths, const Json& object) {
  if (call.type->is_custom) {
    if (paths.selector.empty()) return {};
    const Json* found = data::find_dotted(object, paths.selector);
    return found != nullptr ? std::string(data::as_string(*found)) : std::string();
  }
  const Json* selector = data::find(object, {"spec", "selector"});
  if (selector == nullptr) return {};
  if (call.type->plural == "replicationcontrollers") {
    return kube::LabelSelector::from_map(data::get_object(object, {"spec", "selector"}))
        .to_string();
  }
  auto parsed = kube::LabelSelector::from_object(*selector);
  return parsed.ok() ? parsed->to_string() : std::string();
}

Json scale_object(const Call& call, const ScalePaths& paths, const Json& object) {
  JsonObject metadata;
  for (std::string_view field :
       {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"}) {
    if (const Json* value = data::find(object, {"metadata", field})) metadata[field] = *value;
  }
  JsonObject status{{"replicas", int_at_dotted(object, paths.status_replicas)}};
  if (const auto selector = selector_of(call, paths, object); !selector.empty())
    status["selector"] = selector;
  return JsonObject{{"kind", "Scale"},
                    {"apiVersion", "autoscaling/v1"},
                    {"metadata", std::move(metadata)},
                    {"spec", JsonObject{{"replicas", int_at_dotted(object, paths.spec_replicas)}}},
                    {"status", std::move(status)}};
}

}  // namespace

Outcome<ApiResponse> Subresources::scale(Call& call) {
  const auto& paths = *call.type->version(call.info.version)->scale;
  const auto& store = resources_.parts().store;
  const auto existing = store.get(call.type->bucket, call.key());
  if (existing == nullptr) return call.not_found(call.info.name);
  if (call.request.method == "GET")
    return ApiResponse::json(200, scale_object(call, paths, existing->value));
  const Json body = TRY(parse_body(call));
  const auto wanted_scale = [&](const Json& object) -> Outcome<Json> {
    if (call.request.method == "PUT") return body;
    const Json scale = scale_object(call, paths, object);
    if (call.request.header("content-type").starts_with("application/json-patch")) {
      return TRY(kube::json_patch(scale, body));
    }
    return kube::merge_patch(scale, body);
  };
  auto updated = resources_.update(
      call, call.key(),
      [&](const Json& object) -> Outcome<Json> {
        const Json scale = TRY(wanted_scale(object));
        const auto replicas = data::get_int(scale, {"spec", "replicas"});
        if (replicas < 0) {
          FieldErrors errors;
          errors.invalid("spec.replicas", Json(replicas), "must be greater than or equal to 0");
          return Status::invalid("autoscaling", "Scale", call.info.name, errors);
        }
        Json next = object;
        set_dotted(next, paths.spec_replicas, Json(replicas));
        if (const auto version = kube::resource_version_of(scale); !version.empty()) {
          data::set(next, {"metadata", "resourceVersion"}, Json(version));
        }
        return next;
      },
      UpdateTarget::kMain);
  return ApiResponse::json(200, scale_object(call, paths, TRY(std::move(updated))->value));
}

Outcome<ApiResponse> Subresources::bind(Call& call) {
  const Json body = TRY(parse_body(call));
  const Json node(data::get_string(body, {"target", "name"}));
  if (data::as_string(node).empty()) {
    FieldErrors errors;
    errors.required("target.name");
    return Status::invalid("", "Binding", call.info.name, errors);
  }
  TRY(resources_.update(
      call, call.key(),
      [&](const Json& pod) -> Outcome<Json> {
        const auto already = data::get_string(pod, {"spec", "nodeName"});
        if (!already.empty()) {
          return Status::conflict(
              "", "pods/binding", call.info.name,
              fmt::format("pod {} is already assigned to node \"{}\"", call.info.name, already));
        }
        Json next = pod;
        data::set(next, {"spec", "nodeName"}, node);
        const std::string now = format_rfc3339(resources_.parts().clock.wall());
        kube::set_condition(next, "PodScheduled", "True", "", "", now);
        return next;
      },
      UpdateTarget::kFinalize));
  return ApiResponse::json(201, JsonObject{{"kind", "Status"},
                                           {"apiVersion", "v1"},
                                           {"metadata", JsonObject{}},
                                           {"status", "Success"},
                                           {"code", 201}});
}

Outcome<ApiResponse> Subresources::evict(Call& call) {
  const auto& store = resources_.parts().store;
  const auto pod = store.get(call.type->bucket, call.key());
  if (pod == nullptr) return call.not_found(call.info.name);
  for (const auto& budget : store.list("policy/poddisruptionbudgets", call.info.ns).items) {
    const Json* selector = data::find(budget->value, {"spec", "selector"});
    if (selector == nullptr) continue;
    auto parsed = kube::LabelSelector::from_object(*selector);
    if (!parsed.ok() || !parsed->matches(kube::labels_of(pod->value))) continue;
    if (data::get_int(budget->value, {"status", "disruptionsAllowed"}) > 0) continue;
    Status status = Status::too_many_requests(
        "Cannot evict pod as it would violate the pod's disruption budget.", 0);
    status.details = JsonObject{
        {"causes",
         JsonArray{JsonObject{
             {"reason", "DisruptionBudget"},
             {"message",
              fmt::format("The disruption budget {} needs {} healthy pods and has {} currently",
                          budget->key.name,
                          data::get_int(budget->value, {"status", "desiredHealthy"}),
                          data::get_int(budget->value, {"status", "currentHealthy"}))}}}}};
    return status;
  }
  DeleteSpec spec;
  if (!call.request.body.empty()) {
    const Json body = TRY(parse_body(call));
    if (const Json* grace = data::find(body, {"deleteOptions", "gracePeriodSeconds"})) {
      spec.grace_seconds = data::as_int(*grace);
    }
    spec.uid = data::get_string(body, {"deleteOptions", "preconditions", "uid"});
    for (const auto& one : data::get_array(body, {"deleteOptions", "dryRun"}))
      call.is_dry_run = call.is_dry_run || data::as_string(one) == "All";
  }
  TRY(resources_.remove(call, call.key(), spec));
  return ApiResponse::json(201, JsonObject{{"kind", "Status"},
                                           {"apiVersion", "v1"},
                                           {"metadata", JsonObject{}},
                                           {"status", "Success"},
                                           {"code", 201}});
}

Outcome<ApiResponse> Subresources::token(Call& call) {
  const auto& store = resources_.parts().store;
  const auto account = store.get(call.type->bucket, call.key());
  if (account == nullptr) return call.not_found(call.info.name);
  Json request = TRY(parse_body(call));
  TokenSpec spec;
  spec.ns = call.info.ns;
  spec.account = call.info.name;
  spec.account_uid = kube::uid_of(account->value);
  for (const auto& one : data::get_array(request, {"spec", "audiences"}))
    spec.audiences.emplace_back(data::as_string(one));
  constexpr std::int64_t kLeast = 600;
  constexpr std::int64_t kMost = 1ll << 32;
  const auto lifetime = data::get_int(request, {"spec", "expirationSeconds"}, 3600);
  if (lifetime < kLeast || lifetime > kMost) {
    FieldErrors errors;
    errors.invalid("spec.expirationSeconds", Json(lifetime),
                   lifetime < kLeast ? "may not specify a duration less than 10 minutes"
                                     : "may not specify a duration larger than 2^32 seconds");
    return Status::invalid("authentication.k8s.io", "TokenRequest", "", errors);
  }
  spec.lifetime = seconds(lifetime);
  if (const Json* bound = data::find(request, {"spec", "boundObjectRef"});
      bound != nullptr && bound->is_object()) {
    spec.bound_kind = data::get_string(*bound, {"kind"});
    spec.bound_name = data::get_string(*bound, {"name"});
    const std::string bucket = spec.bound_kind == "Pod"      ? "/pods"
                               : spec.bound_kind == "Secret" ? "/secrets"
                                                             : "";
    if (bucket.empty()) {
      return Status::bad_request(
          fmt::format("cannot bind token for serviceaccount \"{}\" to object of type {}",
                      spec.account, spec.bound_kind));
    }
    const auto object = store.get(bucket, {spec.ns, spec.bound_name});
    if (object == nullptr) return Status::not_found("", bucket.substr(1), spec.bound_name);
    const auto uid = data::get_string(*bound, {"uid"});
    spec.bound_uid = kube::uid_of(object->value);
    if (!uid.empty() && uid != spec.bound_uid) {
      return Status::conflict(
          "", bucket.substr(1), spec.bound_name,
          fmt::format(
              "the UID in the bound object reference ({}) does not match the UID in record. "
              "The object might have been deleted and then recreated",
              uid));
    }
    if (spec.bound_kind == "Pod") {
      spec.node_name = data::get_string(object->value, {"spec", "nodeName"});
      if (data::get_string(object->value, {"spec", "serviceAccountName"}) != spec.account) {
        return Status::bad_request(
            fmt::format("cannot bind token for serviceaccount \"{}\" to pod running with different "
                        "serviceaccount name.",
                        spec.account));
      }
    }
  }
  const IssuedToken issued = TRY(authenticator_.issue(spec));
  JsonArray audiences;
  for (const auto& one : issued.audiences) audiences.emplace_back(one);
  data::set(request, {"kind"}, "TokenRequest");
  data::set(request, {"apiVersion"}, "authentication.k8s.io/v1");
  data::set(request, {"metadata", "name"}, Json(call.info.name));
  data::set(request, {"metadata", "namespace"}, Json(call.info.ns));
  data::set(request, {"spec", "audiences"}, std::move(audiences));
  data::set(request, {"spec", "expirationSeconds"}, Json(lifetime));
  data::set(
      request, {"status"},
      JsonObject{{"token", issued.token}, {"expirationTimestamp", format_rfc3339(issued.expires)}});
  return ApiResponse::json(201, request);
}

// PUT namespaces/NAME/finalize: the namespace controller takes its finalizer off; the namespace
// goes when none is left.
Outcome<ApiResponse> Subresources::finalize(Call& call) {
  const Json body = TRY(parse_body(call));
  const auto stored = TRY(resources_.update(
      call, call.key(),
      [&](const Json& ns) -> Outcome<Json> {
        Json next = ns;
        const Json* finalizers = data::find(body, {"spec", "finalizers"});
        if (finalizers == nullptr || data::get_array(body, {"spec", "finalizers"}).empty()) {
          data::erase(next, {"spec", "finalizers"});
        } else {
          data::set(next, {"spec", "finalizers"}, *finalizers);
        }
        return next;
      },
      UpdateTarget::kFinalize));
  ApiResponse response;
  response.body = stored->text;
  return response;
}

Outcome<std::string> pick_container(const Json& pod, std::string_view asked) {
  const std::string pod_name(kube::name_of(pod));
  std::vector<std::string> names;
  std::vector<std::string> init_names;
  for (const auto& one : data::get_array(pod, {"spec", "containers"}))
    names.emplace_back(data::get_string(one, {"name"}));
  for (const auto& one : data::get_array(pod, {"spec", "initContainers"})) {
    init_names.emplace_back(data::get_string(one, {"name"}));
  }
  if (asked.empty()) {
    const auto preferred = kube::annotation(pod, "kubectl.kubernetes.io/default-container");
    for (const auto& name : names) {
      if (name == preferred) return name;
    }
    if (names.size() == 1) return names.front();
    std::string choices = fmt::format("[{}]", join(names, " "));
    if (!init_names.empty())
      choices += fmt::format(" or one of the init containers: [{}]", join(init_names, " "));
    return Status::bad_request(fmt::format(
        "a container name must be specified for pod {}, choose one of: {}", pod_name, choices));
  }
  for (const auto* list : {&names, &init_names}) {
    for (const auto& name : *list) {
      if (name == asked) return name;
    }
  }
  return Status::bad_request(fmt::format("container {} is not valid for pod {}", asked, pod_name));
}

Outcome<ApiResponse> Subresources::log(Call& call) {
  if (call.request.method != "GET") return Status::method_not_allowed();
  const auto pod = resources_.parts().store.get(call.type->bucket, call.key());
  if (pod == nullptr) return call.not_found(call.info.name);
  LogRequest request;
  request.pod = call.key();
  request.container = TRY(pick_container(pod->value, call.request.param("container")));
  request.is_following = call.request.is_param_true("follow");
  request.is_previous = call.request.is_param_true("previous");
  request.has_timestamps = call.request.is_param_true("timestamps");
  request.tail_lines = parse_int(call.request.param("tailLines"));
  request.limit_bytes = parse_int(call.request.param("limitBytes"));
  if (const auto since = parse_int(call.request.param("sinceSeconds"))) {
    request.since = resources_.parts().clock.wall() - seconds(*since);
  } else if (auto time = parse_rfc3339(call.request.param("sinceTime")); time.ok()) {
    request.since = *time;
  }
  PodStreams* streams = streams_.load();
  if (streams == nullptr) return Status::unavailable("the node agent is not running yet");
  // What has not started has no log to read: say so instead of waiting.
  if (auto refusal = waiting_reason(pod->value, request.container, request.is_previous)) {
    return Status::bad_request(std::move(*refusal));
  }
  ApiResponse response;
  response.content_type = "text/plain";
  response.stream = TRY(LogStream::open(*streams, std::move(request)));
  return response;
}

}  // namespace lateen::cluster::apiserver
