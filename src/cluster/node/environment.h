// A container's environment variables and the downward API, as the kubelet makes them. Pure
// functions on objects; what must be looked up comes through Lookups.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/function.h"
#include "kube/informer.h"

namespace lateen::cluster::node {

using data::Json;
using EnvironmentList = std::vector<std::pair<std::string, std::string>>;

// What a pod runs on; fieldRef and resourceFieldRef read it.
struct PodFacts {
  std::string pod_ip;
  std::string host_ip;
  std::string node_name;
  std::int64_t node_cpu_millis = 0;
  std::int64_t node_memory_bytes = 0;
};

// NotFound when there is no such object.
struct Lookups {
  Function<Result<Json>(std::string_view name)> config_map;
  Function<Result<Json>(std::string_view name)> secret;
};

// In order, without duplicates: image's, service links, envFrom, env. An error is the message of
// CreateContainerConfigError.
Result<EnvironmentList> container_environment(const Json& pod, const Json& container,
                                              const EnvironmentList& image_environment,
                                              const std::vector<kube::ObjectPtr>& services,
                                              const PodFacts& facts, const Lookups& lookups);

// "$(NAME)" becomes the variable's value, "$$(NAME)" the literal "$(NAME)"; unknown names stay as
// they are.
std::string expand_variables(std::string_view text, const EnvironmentList& environment);

// metadata.labels['x'], status.podIP, …; InvalidArgument for a field that cannot be referred to.
Result<std::string> field_value(const Json& pod, std::string_view path, const PodFacts& facts);
// limits.cpu, requests.memory, …, divided and rounded up.
Result<std::string> resource_value(const Json& container, std::string_view resource,
                                   std::string_view divisor, const PodFacts& facts);

// Kubernetes quantities ("100m", "1.5Gi", "2e3") in thousandths. InvalidArgument when malformed.
Result<std::int64_t> parse_quantity_millis(std::string_view text);

// Value of `key` in a ConfigMap's data or binaryData, or a Secret's data; decoded.
Result<std::string> config_value(const Json& object, std::string_view key);
// All keys, decoded.
std::vector<std::pair<std::string, std::string>> config_values(const Json& object);

// The variables of a service's address for pods in its namespace.
EnvironmentList service_environment(const Json& service);

}  // namespace lateen::cluster::node
