// A config object as the mesh keeps it: what all kinds share, and the kind's own spec as a plain
// value.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "data/json.h"
#include "mesh/reader.h"

namespace lateen::mesh {

struct Meta {
  std::string api_version;
  std::string kind;
  std::string name;
  std::string ns;
  std::string uid;
  std::string created;  // RFC 3339; older configs win conflicts
  std::string resource_version;
  std::int64_t generation = 0;
  Labels labels;
  Labels annotations;
};
Meta read_meta(const data::Json& object);
Labels read_labels(const data::Json& object);  // metadata.labels

template <typename Spec>
struct Config {
  Meta meta;
  Spec spec;
};
template <typename Spec>
using ConfigPtr = std::shared_ptr<const Config<Spec>>;

// Each kind gives `void read_spec(Reader&, Spec&)` beside its struct (wrong types and unknown
// fields) and `void check_spec(const Meta&, const Spec&, Issues&)` (what the fields mean together).
template <typename Spec>
Config<Spec> read_config(const data::Json& object, Issues& issues) {
  Config<Spec> config{read_meta(object), {}};
  const data::Json* spec = data::find(object, {"spec"});
  const data::Json empty{data::JsonObject{}};
  Reader reader(spec != nullptr ? *spec : empty, "spec", issues);
  read_spec(reader, config.spec);
  return config;
}

// Where a config may be seen from: "." its own namespace, "*" all, else names. Empty means all.
bool is_exported_to(const std::vector<std::string>& export_to, std::string_view config_ns,
                    std::string_view viewer_ns);
// Upstream's order of conflicting configs: older first, then by name, then by namespace.
bool is_older(const Meta& a, const Meta& b);

}  // namespace lateen::mesh
