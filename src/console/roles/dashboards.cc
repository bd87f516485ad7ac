// Loads dashboards from the build and from disk.
#include "console/roles/dashboards.h"

#include <fmt/core.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/embedded.h"
#include "base/log.h"
#include "base/strings.h"

namespace lateen::console {
namespace {

constexpr std::size_t kMaxFiles = 200;
constexpr std::uintmax_t kMaxFileBytes = 4u << 20;
constexpr std::string_view kBuiltIn = "web/dist/dashboard-";

std::string slug(std::string_view title) {
  std::string text = to_lower(title);
  for (char& c : text) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '-';
  }
  return text;
}

}  // namespace

Dashboards Dashboards::load(const std::string& folder) {
  Dashboards all;
  for (const std::string_view path : embedded_files(kBuiltIn)) {
    if (path.ends_with(".json")) all.add(*embedded_file(path), path);
  }
  if (folder.empty()) return all;
  std::error_code error;
  std::size_t files = 0;
  auto entry = std::filesystem::recursive_directory_iterator(
      folder, std::filesystem::directory_options::skip_permission_denied, error);
  for (; !error && entry != std::filesystem::end(entry); entry.increment(error)) {
    // ConfigMap volumes show each file twice: once in a hidden folder, once as a link to it.
    if (entry->path().filename().string().starts_with('.')) {
      entry.disable_recursion_pending();
      continue;
    }
    if (entry->path().extension() != ".json" || !entry->is_regular_file(error)) continue;
    if (++files > kMaxFiles || entry->file_size(error) > kMaxFileBytes) continue;
    std::ifstream file(entry->path());
    std::stringstream text;
    text << file.rdbuf();
    all.add(text.str(), entry->path().string());
  }
  return all;
}

void Dashboards::add(std::string_view text, std::string_view where) {
  auto dashboard = data::parse_json(text);
  if (!dashboard.ok() || data::get_array(dashboard.value(), {"panels"}).empty()) {
    LOG(kWarn, "dashboards", "{} is no dashboard: {}", where,
        dashboard.ok() ? "it has no panels" : dashboard.error().message());
    return;
  }
  std::string uid(data::get_string(dashboard.value(), {"uid"}));
  if (uid.empty()) uid = slug(data::get_string(dashboard.value(), {"title"}, "untitled"));
  data::set(dashboard.value(), {"uid"}, data::Json(uid));
  by_uid_.insert_or_assign(std::move(uid), std::move(dashboard).value());
}

data::JsonArray Dashboards::list() const {
  data::JsonArray out;
  int id = 0;
  for (const auto& [uid, dashboard] : by_uid_) {
    const auto title = data::get_string(dashboard, {"title"}, uid);
    out.push_back({{"id", ++id},
                   {"uid", uid},
                   {"title", data::Json(title)},
                   {"uri", "db/" + slug(title)},
                   {"url", fmt::format("/d/{}/{}", uid, slug(title))},
                   {"type", "dash-db"},
                   {"tags", data::get_array(dashboard, {"tags"})},
                   {"isStarred", false}});
  }
  return out;
}

ApiReply Dashboards::serve(std::string_view uid) const {
  const auto found = by_uid_.find(uid);
  if (found == by_uid_.end()) {
    return ApiReply::error(not_found(fmt::format("no dashboard has the uid {}", uid)));
  }
  return ApiReply::json({{"dashboard", found->second},
                         {"meta", {{"type", "db"}, {"canSave", false}, {"provisioned", true}}}});
}

}  // namespace lateen::console
