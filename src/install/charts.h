// Where charts and profiles come from: built into the program, or a directory given with
// --manifests.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "chart/chart.h"

namespace lateen::install {

using data::Json;

// Thread-safe; loads each chart once.
class Charts {
 public:
  // `directory` holds "base", "profiles", …, or a folder "manifests" with "charts" and "profiles"
  // as Istio's releases have it. Empty: the built-in ones.
  explicit Charts(std::string directory = {});

  // "base", "istio-control/istio-discovery". Lives as long as we do.
  Result<const chart::Chart*> find(const std::string& path);
  // The IstioOperator of a profile, as written. `name` may be a path to a file. The error lists the
  // known names.
  Result<Json> profile(std::string_view name) const;
  std::vector<std::string> profile_names() const;  // sorted

 private:
  std::string directory_;
  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<const chart::Chart>> loaded_;
};

}  // namespace lateen::install
