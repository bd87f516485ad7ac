// Small tools that the strategies share.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "cluster/apiserver/strategy.h"

namespace lateen::cluster::apiserver {

// Sets the value at `path` unless there is one (null counts as none).
void fill(Json& object, std::initializer_list<std::string_view> path, Json value);
// Of an object itself.
void fill(JsonObject& object, std::string_view key, Json value);
JsonArray* array_at(Json& object, std::initializer_list<std::string_view> path);
JsonObject* object_at(Json& object, std::initializer_list<std::string_view> path);
// map[string]string{"a":"b"}, as Go prints label maps in messages.
std::string go_map(const JsonObject& labels);

// Pod specs occur in pods and in templates (pods.cc).
void default_pod_spec(Json& spec);
void validate_pod_spec(const Json& spec, const std::string& path, FieldErrors& errors);

extern const Strategy kPodStrategy;
extern const Strategy kDeploymentStrategy;
extern const Strategy kReplicaSetStrategy;
extern const Strategy kStatefulSetStrategy;
extern const Strategy kDaemonSetStrategy;
extern const Strategy kJobStrategy;
extern const Strategy kCronJobStrategy;
extern const Strategy kServiceStrategy;
extern const Strategy kMutatingWebhookStrategy;
extern const Strategy kCrdStrategy;

}  // namespace lateen::cluster::apiserver
