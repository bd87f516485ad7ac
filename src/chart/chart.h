// Helm charts: loading from files, from the program itself or from a directory; merging values;
// rendering to Kubernetes objects in install order. The same objects as `helm template` gives.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chart/template.h"
#include "data/json.h"

namespace lateen::chart {

using data::Json;

struct Release {
  std::string name;
  std::string ns = "default";
  bool is_upgrade = false;
};
struct RenderOptions {
  Release release;
  std::string kube_version = "v1.32.0";
  std::vector<std::string> api_versions;  // added to .Capabilities.APIVersions
  bool has_crds = true;                   // the files of crds/ come first
};
struct Rendered {
  std::string file;  // "istiod/templates/service.yaml"
  Json object;
};

// Const once loaded; rendering is thread-safe.
class Chart {
 public:
  using Files = std::map<std::string, std::string, std::less<>>;  // by path from the chart's root

  // Fails when Chart.yaml is missing or wrong, or a file is no YAML. The error names the file.
  static Result<Chart> from_files(Files files);
  // A chart built into this program: "charts/base".
  static Result<Chart> embedded(std::string_view root);
  static Result<Chart> from_directory(const std::string& path);

  const std::string& name() const { return name_; }
  const Json& metadata() const { return metadata_; }  // Chart.yaml
  const Json& default_values() const { return values_; }
  // The defaults under `overrides`, also those of the subcharts; a null in `overrides` removes a
  // default.
  Json values_with(const Json& overrides) const;

  // Objects in Helm's install order; hooks and NOTES.txt are left out.
  Result<std::vector<Rendered>> render(const Json& overrides, const RenderOptions& options) const;

 private:
  struct Dependency {
    std::string name;  // alias when given
    std::string condition;
    std::vector<std::string> tags;
    std::shared_ptr<const Chart> chart;
  };
  Chart() = default;
  Result<> read(Files files);
  Result<> read_dependencies(std::map<std::string, Files> subcharts);
  bool is_enabled(const Dependency& dependency, const Json& values) const;
  Result<> add_templates(TemplateSet& set, const std::string& prefix) const;
  bool is_manifest(const std::string& path) const;  // a template with output of its own
  Result<> objects_into(const std::string& file, const std::string& text,
                        std::vector<Rendered>& out) const;
  // `name`: ours, or the alias under which a parent has us.
  Value root_of(const std::string& name, const Json& values, const RenderOptions& options) const;
  struct Level;  // a chart's place among its parents and subcharts
  static Result<std::map<std::string, std::string>> run(const TemplateSet& set,
                                                        const std::vector<Level>& levels,
                                                        const RenderOptions& options);
  Result<> crds_into(std::vector<Rendered>& out, const std::string& prefix) const;

  std::string name_;
  Json metadata_;
  Json values_;
  std::map<std::string, std::string> templates_;  // path -> text, also the _helpers
  std::map<std::string, std::string> crds_;
  std::shared_ptr<const Files> others_;  // what .Files shows
  std::vector<Dependency> dependencies_;
};

// Helm's merge: maps merge, everything else is replaced, null removes.
void merge_values(Json& into, const Json& overrides);
// Sets "a.b[0].c" as `helm --set` does. The error names the path.
Result<> set_path(Json& values, std::string_view path, Json value);
// Stable sort into the order in which an API server can take them.
void sort_for_install(std::vector<Rendered>& objects);
int install_rank(std::string_view kind);

}  // namespace lateen::chart
