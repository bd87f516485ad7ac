#include "install/charts.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/embedded.h"
#include "base/strings.h"
#include "data/yaml.h"

// Charts from the program or from disk.
namespace lateen::install {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kProfiles = "charts/profiles/";

Result<std::string> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return not_found(path + ": cannot be read; check that the file exists");
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace

Charts::Charts(std::string directory) : directory_(std::move(directory)) {}

Result<const chart::Chart*> Charts::find(const std::string& path) {
  std::lock_guard lock(mutex_);
  if (const auto found = loaded_.find(path); found != loaded_.end()) return found->second.get();
  std::error_code error;
  const std::string nested = directory_ + "/charts/" + path;
  Result<chart::Chart> made = directory_.empty() ? chart::Chart::embedded("charts/" + path)
                              : fs::exists(nested, error)
                                  ? chart::Chart::from_directory(nested)
                                  : chart::Chart::from_directory(directory_ + "/" + path);
  if (!made) return std::move(made).error();
  auto& kept = loaded_[path];
  kept = std::make_unique<const chart::Chart>(*std::move(made));
  return kept.get();
}

std::vector<std::string> Charts::profile_names() const {
  std::vector<std::string> names;
  const auto add = [&](const std::string& file) {
    if (file.ends_with(".yaml")) names.push_back(file.substr(0, file.size() - 5));
  };
  if (directory_.empty()) {
    for (const auto path : embedded_files(kProfiles))
      add(std::string(path.substr(kProfiles.size())));
  } else {
    std::error_code error;
    for (auto each = fs::directory_iterator(directory_ + "/profiles", error);
         !error && each != fs::directory_iterator(); each.increment(error)) {
      add(each->path().filename().string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<Json> Charts::profile(std::string_view name) const {
  std::string text;
  if (name.find('/') != std::string_view::npos || name.ends_with(".yaml")) {
    text = TRY(read_file(std::string(name)).at("profile"));
  } else {
    const auto names = profile_names();
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      return not_found(
          "unknown profile \"" + std::string(name) + "\": choose one of " + join(names, ", "),
          Blame::kConfig);
    }
    const std::string file = std::string(name) + ".yaml";
    if (directory_.empty()) text = *embedded_file(std::string(kProfiles) + file);
    else text = TRY(read_file(directory_ + "/profiles/" + file));
  }
  return data::parse_yaml(text).at("profile " + std::string(name));
}

}  // namespace lateen::install
