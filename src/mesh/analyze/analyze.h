// Finds mistakes in a set of objects: what references nothing, contradicts something else or will
// have no effect. Codes, names and levels are those of Istio's analyzers. Pure.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/json.h"
#include "data/yaml_lines.h"

namespace lateen::mesh {

enum class Level : unsigned char { kInfo, kWarning, kError };
std::string_view to_string(Level level);  // "Info", …

struct Finding {
  std::string code;  // "IST0101"
  std::string name;  // "ReferencedResourceNotFound"
  Level level = Level::kWarning;
  std::string kind;    // of the object it is about
  std::string ns;      // empty for cluster-scoped objects
  std::string object;  // its name
  std::string file;    // where the object was read from; empty: the cluster
  int line = 0;        // there; 0: unknown
  std::string message;

  // "VirtualService default/reviews", with " file:line" behind when known.
  std::string origin() const;
  // "Error [IST0101] (VirtualService default/reviews) Referenced host not found: …"
  std::string to_string() const;
};

struct AnalysisObject {
  data::Json value;
  std::string file;
  int line = 0;
  std::shared_ptr<const data::FieldLines> fields;  // of the document; null: unknown
  std::string prefix;                              // of the object in it: "items[0]."
  std::string cluster;                             // whose it is; only with several clusters

  // Where the field is written, else where the object starts.
  int line_of(std::string_view path) const;
};
struct AnalysisOptions {
  std::string domain = "cluster.local";
  std::string root_namespace = "istio-system";
  std::string namespace_only;  // findings about this namespace (and cluster-scoped ones); "" all
  bool reports_alpha = false;  // annotations of alpha features: of interest before an upgrade
  std::string proxy_image;     // what the injector would use now; "" skips the comparison
};

// In a stable order: the worst first, then by code, kind, namespace and name. Findings that an
// object suppresses by the annotation galley.istio.io/analyze-suppress ("IST0103,IST0102" or "*")
// are left out.
std::vector<Finding> analyze(const std::vector<AnalysisObject>& objects,
                             const AnalysisOptions& options = {});

// Code, name and documentation of everything analyze() may find.
struct FindingKind {
  std::string_view code, name;
  Level level;
  std::string_view description;
};
const std::vector<FindingKind>& finding_kinds();

}  // namespace lateen::mesh
