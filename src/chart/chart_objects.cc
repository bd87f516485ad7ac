// .Files.Get, .Glob, .Lines, .AsConfig, .AsSecrets; .Capabilities.APIVersions.Has.
#include "chart/chart_objects.h"

#include <fnmatch.h>

#include <set>

#include "base/strings.h"
#include "chart/functions.h"
#include "data/yaml.h"

namespace lateen::chart {
namespace {

using Answer = std::optional<Result<Value>>;

class FilesObject final : public Object {
 public:
  explicit FilesObject(std::shared_ptr<const Chart::Files> files) : files_(std::move(files)) {}

  Answer call(std::string_view name, const std::vector<Value>& a) const override {
    const bool takes_name =
        name == "Get" || name == "GetBytes" || name == "Glob" || name == "Lines";
    if (takes_name && a.size() != 1)
      return invalid(".Files." + std::string(name) + " takes one argument, a path");
    if (name == "Get" || name == "GetBytes") return Value(text_of(to_text(a[0])));
    if (name == "Glob") return glob(to_text(a[0]));
    if (name == "Lines") return lines(to_text(a[0]));
    if (name == "AsConfig") return as_text(false);
    if (name == "AsSecrets") return as_text(true);
    return std::nullopt;
  }

 private:
  std::string text_of(std::string_view path) const {
    const auto found = files_->find(path);
    return found != files_->end() ? found->second : "";
  }
  Value glob(const std::string& pattern) const {
    Map made;  // a map, so that `range $path, $_ :=` works as Helm's does
    auto matching = std::make_shared<Chart::Files>();
    for (const auto& [path, text] : *files_) {
      const bool is_deep = pattern.find("**") != std::string::npos;
      if (fnmatch(pattern.c_str(), path.c_str(), is_deep ? 0 : FNM_PATHNAME) == 0)
        matching->emplace(path, text);
    }
    return Value(
        std::static_pointer_cast<const Object>(std::make_shared<FilesObject>(std::move(matching))));
  }
  Value lines(std::string_view path) const {
    List made;
    const std::string text = text_of(path);
    if (text.empty()) return made;
    for (const auto line : split(text, '\n')) made.emplace_back(line);
    if (text.ends_with('\n')) made.pop_back();
    return made;
  }
  Value as_text(bool is_secret) const {
    data::JsonObject object;
    for (const auto& [path, text] : *files_) {
      const auto slash = path.rfind('/');
      const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
      object[name] = is_secret ? base64_encode(text) : text;
    }
    std::string text = data::dump_yaml(object);
    while (text.ends_with('\n')) text.pop_back();
    return text;
  }

  std::shared_ptr<const Chart::Files> files_;
};

class ApiVersions final : public Object {
 public:
  explicit ApiVersions(const std::vector<std::string>& added)
      : versions_(added.begin(), added.end()) {
    static constexpr std::string_view kAlways[] = {"v1",
                                                   "apps/v1",
                                                   "batch/v1",
                                                   "autoscaling/v1",
                                                   "autoscaling/v2",
                                                   "policy/v1",
                                                   "rbac.authorization.k8s.io/v1",
                                                   "networking.k8s.io/v1",
                                                   "apiextensions.k8s.io/v1",
                                                   "admissionregistration.k8s.io/v1",
                                                   "coordination.k8s.io/v1",
                                                   "discovery.k8s.io/v1",
                                                   "storage.k8s.io/v1",
                                                   "authentication.k8s.io/v1",
                                                   "authorization.k8s.io/v1",
                                                   "events.k8s.io/v1"};
    for (const auto each : kAlways) versions_.emplace(each);
  }
  Answer call(std::string_view name, const std::vector<Value>& a) const override {
    if (name != "Has") return std::nullopt;
    if (a.size() != 1)
      return invalid(".Capabilities.APIVersions.Has takes one argument, a group and version");
    return Value(versions_.contains(to_text(a[0])));
  }

 private:
  std::set<std::string, std::less<>> versions_;
};

}  // namespace

Value make_files(std::shared_ptr<const Chart::Files> files) {
  return Value(
      std::static_pointer_cast<const Object>(std::make_shared<FilesObject>(std::move(files))));
}

Value make_capabilities(const RenderOptions& options) {
  Version version;
  if (auto parsed = parse_version(options.kube_version)) version = *parsed;
  return Map{{"KubeVersion", Map{{"Version", Value(options.kube_version)},
                                 {"GitVersion", Value(options.kube_version)},
                                 {"Major", Value(std::to_string(version.major))},
                                 {"Minor", Value(std::to_string(version.minor))}}},
             {"HelmVersion", Map{{"Version", Value("v3.16.0")}}},
             {"APIVersions", Value(std::static_pointer_cast<const Object>(
                                 std::make_shared<ApiVersions>(options.api_versions)))}};
}

}  // namespace lateen::chart
