// Merging into a kubeconfig file.
#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/strings.h"
#include "bin/up.h"
#include "data/yaml.h"
#include "linux/files.h"

namespace lateen::bin {
namespace {

using data::Json;
using data::JsonArray;
using data::JsonObject;

constexpr std::string_view kName = "lateen";

// `list` of `config` without our entry; with `entry` at its place when given.
void put_entry(Json& config, std::string_view list, const Json* entry) {
  JsonArray kept;
  bool is_placed = false;
  for (const Json& old : data::get_array(config, {list})) {
    if (data::get_string(old, {"name"}) != kName) {
      kept.push_back(old);
    } else if (entry != nullptr && !is_placed) {
      kept.push_back(*entry);
      is_placed = true;
    }
  }
  if (entry != nullptr && !is_placed) kept.push_back(*entry);
  data::set(config, {list}, kept);
}

Result<Json> load(const std::string& path) {
  if (!os::path_exists(path))
    return Json(
        JsonObject{{"apiVersion", "v1"}, {"kind", "Config"}, {"preferences", JsonObject{}}});
  const std::string text = TRY(os::read_file(path, 16u << 20));
  if (trim(text).empty())
    return Json(
        JsonObject{{"apiVersion", "v1"}, {"kind", "Config"}, {"preferences", JsonObject{}}});
  Json config = TRY(data::parse_yaml(text).at("reading kubeconfig " + path));
  if (!config.is_object())
    return invalid("kubeconfig " + path + " is not a YAML object; it was left alone");
  return config;
}

// Links stay links: the file behind them is replaced.
std::string real_path(const std::string& path) {
  char* resolved = ::realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return path;
  std::string result = resolved;
  std::free(resolved);
  return result;
}

}  // namespace

std::string chosen_kubeconfig(const UpOptions& options) {
  if (!options.kubeconfig.empty()) return options.kubeconfig;
  if (const char* variable = std::getenv("KUBECONFIG"); variable != nullptr && *variable != 0) {
    const auto paths = split(variable, ':');
    for (std::string_view path : paths)
      if (!path.empty()) return std::string(path);
  }
  const char* home = std::getenv("HOME");
  return std::string(home == nullptr ? "." : home) + "/.kube/config";
}

Result<> check_kubeconfig(const std::string& path) {
  const std::string file = real_path(path);
  const auto cannot = [&](std::string_view what, int number) {
    return Error(Code::kPermissionDenied,
                 fmt::format("the kubeconfig {} cannot be written ({}: {}): choose another with "
                             "--kubeconfig",
                             path, what, std::strerror(number)));
  };
  TRY(load(file));
  // It is replaced by a new file beside it; directories that are missing are made.
  std::string directory = file;
  do {
    const std::size_t slash = directory.find_last_of('/');
    directory = slash == std::string::npos ? "." : slash == 0 ? "/" : directory.substr(0, slash);
  } while (!os::path_exists(directory) && directory.size() > 1);
  if (!os::is_directory(directory)) return cannot(directory, ENOTDIR);
  if (::access(directory.c_str(), W_OK | X_OK) != 0) return cannot(directory, errno);
  return {};
}

Result<> merge_kubeconfig(const std::string& path, const std::string& ours) {
  const Json own = TRY(data::parse_yaml(ours));
  const std::string file = real_path(path);
  if (const std::size_t slash = file.find_last_of('/'); slash != std::string::npos && slash > 0)
    TRY(os::make_directories(file.substr(0, slash), 0700));
  Json config = TRY(load(file));
  for (const char* list : {"clusters", "users", "contexts"}) {
    const auto& entries = data::get_array(own, {list});
    if (entries.empty()) return internal("the cluster's kubeconfig has no " + std::string(list));
    Json entry = entries.front();
    data::set(entry, {"name"}, Json(kName));
    if (std::string_view(list) == "contexts") {
      data::set(entry, {"context", "cluster"}, Json(kName));
      data::set(entry, {"context", "user"}, Json(kName));
    }
    put_entry(config, list, &entry);
  }
  data::set(config, {"current-context"}, Json(kName));
  return os::write_file_atomic(file, data::dump_yaml(config), 0600);
}

Result<> remove_from_kubeconfig(const std::string& path) {
  const std::string file = real_path(path);
  if (!os::path_exists(file)) return {};
  Json config = TRY(load(file));
  for (const char* list : {"clusters", "users", "contexts"}) put_entry(config, list, nullptr);
  if (data::get_string(config, {"current-context"}) == kName)
    data::set(config, {"current-context"}, Json(""));
  return os::write_file_atomic(file, data::dump_yaml(config), 0600);
}

}  // namespace lateen::bin
