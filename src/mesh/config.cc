#include "mesh/config.h"

#include <tuple>

namespace lateen::mesh {
namespace {

Labels string_map(const data::JsonObject& object) {
  Labels out;
  for (const auto& entry : object) {
    out.emplace(std::string(entry.key()), std::string(data::as_string(entry.value())));
  }
  return out;
}

}  // namespace

Labels read_labels(const data::Json& object) {
  return string_map(data::get_object(object, {"metadata", "labels"}));
}

Meta read_meta(const data::Json& object) {
  Meta meta;
  meta.api_version = data::get_string(object, {"apiVersion"});
  meta.kind = data::get_string(object, {"kind"});
  meta.name = data::get_string(object, {"metadata", "name"});
  meta.ns = data::get_string(object, {"metadata", "namespace"});
  meta.uid = data::get_string(object, {"metadata", "uid"});
  meta.created = data::get_string(object, {"metadata", "creationTimestamp"});
  meta.resource_version = data::get_string(object, {"metadata", "resourceVersion"});
  meta.generation = data::get_int(object, {"metadata", "generation"});
  meta.labels = read_labels(object);
  meta.annotations = string_map(data::get_object(object, {"metadata", "annotations"}));
  return meta;
}

bool is_exported_to(const std::vector<std::string>& export_to, std::string_view config_ns,
                    std::string_view viewer_ns) {
  if (export_to.empty()) return true;
  for (const std::string& to : export_to) {
    if (to == "*" || to == viewer_ns || (to == "." && config_ns == viewer_ns)) return true;
  }
  return false;
}

bool is_older(const Meta& a, const Meta& b) {
  return std::tie(a.created, a.name, a.ns) < std::tie(b.created, b.name, b.ns);
}

}  // namespace lateen::mesh
