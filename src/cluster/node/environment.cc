// Environment variables.
#include "cluster/node/environment.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/strings.h"

namespace lateen::cluster::node {
namespace {

void set(EnvironmentList& list, std::string name, std::string value) {
  for (auto& entry : list)
    if (entry.first == name) {
      entry.second = std::move(value);
      return;
    }
  list.emplace_back(std::move(name), std::move(value));
}

bool is_variable_name(std::string_view name) {
  return !name.empty() && !(name[0] >= '0' && name[0] <= '9') &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.';
         });
}

std::string shouted(std::string_view name) {
  std::string text;
  for (const char c : name)
    text += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

// The object that env or envFrom refers to; nullopt when it is optional and missing.
Result<std::optional<Json>> referred(const Json& reference,
                                     const Function<Result<Json>(std::string_view)>& find,
                                     std::string_view kind) {
  const std::string_view name = data::get_string(reference, {"name"});
  auto found = find(name);
  if (found.ok()) return std::optional(std::move(found).value());
  if (found.error().code() != Code::kNotFound) return found.error();
  if (data::get_bool(reference, {"optional"})) return std::optional<Json>();
  return not_found(fmt::format("{} \"{}\" not found", kind, name));
}

Result<> add_from(EnvironmentList& list, const Json& source, const Lookups& lookups) {
  const bool is_map = data::find(source, {"configMapRef"}) != nullptr;
  const Json* reference = data::find(source, {is_map ? "configMapRef" : "secretRef"});
  if (reference == nullptr) return {};
  const auto object = TRY(referred(*reference, is_map ? lookups.config_map : lookups.secret,
                                   is_map ? "configmap" : "secret"));
  if (!object.has_value()) return {};
  const std::string prefix(data::get_string(source, {"prefix"}));
  for (auto& [key, value] : config_values(*object))
    if (is_variable_name(prefix + key)) set(list, prefix + key, value);
  return {};
}

// nullopt: the variable is not set, because what it refers to is optional and missing.
Result<std::optional<std::string>> value_from(const Json& source, const Json& pod,
                                              const Json& container, const PodFacts& facts,
                                              const Lookups& lookups) {
  if (const Json* field = data::find(source, {"fieldRef"}))
    return std::optional(TRY(field_value(pod, data::get_string(*field, {"fieldPath"}), facts)));
  if (const Json* resource = data::find(source, {"resourceFieldRef"}))
    return std::optional(TRY(resource_value(container, data::get_string(*resource, {"resource"}),
                                            data::get_string(*resource, {"divisor"}, "1"), facts)));
  const bool is_map = data::find(source, {"configMapKeyRef"}) != nullptr;
  const Json* reference = data::find(source, {is_map ? "configMapKeyRef" : "secretKeyRef"});
  if (reference == nullptr) return std::optional(std::string());
  const auto object = TRY(referred(*reference, is_map ? lookups.config_map : lookups.secret,
                                   is_map ? "configmap" : "secret"));
  if (!object.has_value()) return std::optional<std::string>();
  const std::string_view key = data::get_string(*reference, {"key"});
  auto value = config_value(*object, key);
  if (value.ok()) return std::optional(std::move(value).value());
  if (data::get_bool(*reference, {"optional"})) return std::optional<std::string>();
  return not_found(fmt::format("couldn't find key {} in {} {}/{}", key,
                               is_map ? "ConfigMap" : "Secret", kube::namespace_of(pod),
                               data::get_string(*reference, {"name"})));
}

// "{name="value"\n…}" sorted, as the downward API writes labels and annotations.
std::string format_map(const data::JsonObject& map) {
  std::vector<std::string> lines;
  for (const auto& [key, value] : map)
    lines.push_back(fmt::format("{}={}", std::string_view(key), data::dump_json(value)));
  std::sort(lines.begin(), lines.end());
  return join(lines, "\n");
}

// "metadata.labels['app']": the key; nullopt when `path` is not a subscript of `field`.
std::optional<std::string_view> subscript(std::string_view path, std::string_view field) {
  if (!path.starts_with(field)) return std::nullopt;
  path.remove_prefix(field.size());
  if (path.size() < 4 || !path.starts_with("['") || !path.ends_with("']")) return std::nullopt;
  return path.substr(2, path.size() - 4);
}

}  // namespace

Result<EnvironmentList> container_environment(const Json& pod, const Json& container,
                                              const EnvironmentList& image_environment,
                                              const std::vector<kube::ObjectPtr>& services,
                                              const PodFacts& facts, const Lookups& lookups) {
  EnvironmentList list = image_environment;
  set(list, "HOSTNAME",
      std::string(data::get_string(pod, {"spec", "hostname"}, kube::name_of(pod))));
  const bool has_links = data::get_bool(pod, {"spec", "enableServiceLinks"}, true);
  for (const auto& service : services) {
    const bool is_api =
        kube::name_of(*service) == "kubernetes" && kube::namespace_of(*service) == "default";
    const bool is_ours = kube::namespace_of(*service) == kube::namespace_of(pod);
    if (!is_api && !(has_links && is_ours)) continue;
    for (auto& [name, value] : service_environment(*service)) set(list, name, value);
  }
  for (const Json& source : data::get_array(container, {"envFrom"}))
    TRY(add_from(list, source, lookups));
  // Later variables see earlier ones of `env`, and all of the above.
  for (const Json& variable : data::get_array(container, {"env"})) {
    const std::string name(data::get_string(variable, {"name"}));
    if (const Json* source = data::find(variable, {"valueFrom"})) {
      auto value = TRY(value_from(*source, pod, container, facts, lookups));
      if (value.has_value()) set(list, name, std::move(*value));
    } else {
      set(list, name, expand_variables(data::get_string(variable, {"value"}), list));
    }
  }
  return list;
}

std::string expand_variables(std::string_view text, const EnvironmentList& environment) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    if (text[i + 1] == '$') {
      out += '$';
      ++i;
      continue;
    }
    const std::size_t end = text[i + 1] == '(' ? text.find(')', i) : std::string_view::npos;
    if (end == std::string_view::npos) {
      out += '$';
      continue;
    }
    const std::string_view name = text.substr(i + 2, end - i - 2);
    const auto found = std::find_if(environment.begin(), environment.end(),
                                    [&](const auto& entry) { return entry.first == name; });
    out +=
        found == environment.end() ? text.substr(i, end - i + 1) : std::string_view(found->second);
    i = end;
  }
  return out;
}

Result<std::string> field_value(const Json& pod, std::string_view path, const PodFacts& facts) {
  if (const auto key = subscript(path, "metadata.labels"))
    return std::string(kube::label(pod, *key));
  if (const auto key = subscript(path, "metadata.annotations"))
    return std::string(kube::annotation(pod, *key));
  if (path == "metadata.labels") return format_map(kube::labels_of(pod));
  if (path == "metadata.annotations") return format_map(kube::annotations_of(pod));
  if (path == "metadata.name" || path == "metadata.namespace" || path == "metadata.uid" ||
      path == "spec.serviceAccountName") {
    const Json* value = data::find_dotted(pod, path);
    return std::string(value == nullptr ? "" : data::as_string(*value));
  }
  if (path == "spec.nodeName") return facts.node_name;
  if (path == "status.hostIP" || path == "status.hostIPs") return facts.host_ip;
  if (path == "status.podIP" || path == "status.podIPs") return facts.pod_ip;
  return invalid(fmt::format("field label not supported: {}", path));
}

Result<std::string> resource_value(const Json& container, std::string_view resource,
                                   std::string_view divisor, const PodFacts& facts) {
  const auto parts = split_once(resource, ".");
  if (!parts || (parts->first != "limits" && parts->first != "requests"))
    return invalid(fmt::format("unsupported container resource: {}", resource));
  const bool is_cpu = parts->second == "cpu";
  std::int64_t millis = 0;
  const std::string_view set_to =
      data::get_string(container, {"resources", parts->first, parts->second});
  if (!set_to.empty()) {
    millis = TRY(parse_quantity_millis(set_to));
  } else if (parts->first == "limits") {
    millis = is_cpu ? facts.node_cpu_millis : facts.node_memory_bytes * 1000;
  }
  std::int64_t unit =
      divisor.empty() || divisor == "0" ? 1000 : TRY(parse_quantity_millis(divisor));
  if (unit <= 0) unit = 1000;
  return std::to_string((millis + unit - 1) / unit);
}

Result<std::int64_t> parse_quantity_millis(std::string_view text) {
  static constexpr std::pair<std::string_view, double> kSuffixes[] = {
      {"Ki", 1024.0}, {"Mi", 1048576.0}, {"Gi", 1073741824.0}, {"Ti", 1099511627776.0},
      {"Pi", 0x1p50}, {"Ei", 0x1p60},    {"n", 1e-9},          {"u", 1e-6},
      {"m", 1e-3},    {"k", 1e3},        {"M", 1e6},           {"G", 1e9},
      {"T", 1e12},    {"P", 1e15},       {"E", 1e18}};
  double scale = 1;
  std::string_view number = text;
  for (const auto& [suffix, factor] : kSuffixes)
    if (text.ends_with(suffix)) {
      scale = factor;
      number.remove_suffix(suffix.size());
      break;
    }
  const auto value = parse_double(number);
  if (!value.has_value() || !std::isfinite(*value) || *value < 0)
    return invalid(fmt::format("\"{}\" is no quantity", text));
  return static_cast<std::int64_t>(std::min(std::ceil(*value * scale * 1000 - 1e-9), 9.2e18));
}

Result<std::string> config_value(const Json& object, std::string_view key) {
  const bool is_secret = kube::kind_of(object) == "Secret";
  if (const Json* value = data::find(object, {"data", key}))
    return is_secret ? base64_decode(data::as_string(*value))
                     : std::string(data::as_string(*value));
  if (const Json* value = data::find(object, {"binaryData", key}))
    return base64_decode(data::as_string(*value));
  return not_found(fmt::format("no key {}", key));
}

std::vector<std::pair<std::string, std::string>> config_values(const Json& object) {
  std::vector<std::pair<std::string, std::string>> values;
  for (const char* section : {"data", "binaryData"})
    for (const auto& [key, ignored] : data::get_object(object, {section})) {
      (void)ignored;
      if (auto value = config_value(object, key); value.ok())
        values.emplace_back(key, std::move(value).value());
    }
  return values;
}

EnvironmentList service_environment(const Json& service) {
  EnvironmentList list;
  const std::string ip(data::get_string(service, {"spec", "clusterIP"}));
  const auto& ports = data::get_array(service, {"spec", "ports"});
  if (ip.empty() || ip == "None" || ports.empty()) return list;
  const std::string name = shouted(kube::name_of(service));
  const auto port_of = [](const Json& port) {
    return std::to_string(data::get_int(port, {"port"}));
  };
  list.emplace_back(name + "_SERVICE_HOST", ip);
  list.emplace_back(name + "_SERVICE_PORT", port_of(ports[0]));
  for (const Json& port : ports)
    if (const auto port_name = data::get_string(port, {"name"}); !port_name.empty())
      list.emplace_back(name + "_SERVICE_PORT_" + shouted(port_name), port_of(port));
  bool is_first = true;
  for (const Json& port : ports) {
    const std::string protocol(data::get_string(port, {"protocol"}, "TCP"));
    const std::string url = fmt::format("{}://{}:{}", to_lower(protocol), ip, port_of(port));
    if (is_first) list.emplace_back(name + "_PORT", url);
    is_first = false;
    const std::string prefix = fmt::format("{}_PORT_{}_{}", name, port_of(port), protocol);
    list.emplace_back(prefix, url);
    list.emplace_back(prefix + "_PROTO", to_lower(protocol));
    list.emplace_back(prefix + "_PORT", port_of(port));
    list.emplace_back(prefix + "_ADDR", ip);
  }
  return list;
}

}  // namespace lateen::cluster::node
