// The dashboards: ours from the build, and JSON files in Grafana's format from a folder, which win
// by uid.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "console/server/api.h"

namespace lateen::console {

// Immutable after loading; thread-safe.
class Dashboards {
 public:
  // The built-in ones, then *.json beneath `folder` (empty: none). A file that is no dashboard is
  // logged and left out.
  static Dashboards load(const std::string& folder);

  // Grafana's api/search: [{uid, title, url, type, tags}].
  data::JsonArray list() const;
  // Grafana's api/dashboards/uid/UID: {dashboard, meta}.
  ApiReply serve(std::string_view uid) const;

 private:
  void add(std::string_view text, std::string_view where);
  std::map<std::string, data::Json, std::less<>> by_uid_;
};

}  // namespace lateen::console
