// Loading and rendering of charts.
#include "chart/chart.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/embedded.h"
#include "base/strings.h"
#include "chart/chart_objects.h"
#include "data/yaml.h"

namespace lateen::chart {
namespace {

constexpr std::size_t kMostChartBytes = 64u << 20;
constexpr int kMostChartDepth = 8;

bool is_blank(std::string_view text) { return trim(text).empty(); }

// Overrides over a chart's own values, as Helm does it: a null takes away what the chart has, but
// stays where the chart has nothing, for templates to see.
void coalesce(Json& into, const Json& overrides) {
  const auto* from = overrides.if_object();
  if (from == nullptr || !into.is_object()) return;
  auto& object = *into.if_object();
  for (const auto& member : *from) {
    Json* there = object.if_contains(member.key());
    if (there != nullptr && member.value().is_null()) object.erase(member.key());
    else if (there != nullptr && there->is_object() && member.value().is_object())
      coalesce(*there, member.value());
    else object[member.key()] = member.value();
  }
}

}  // namespace

Result<Chart> Chart::from_files(Files files) {
  Chart made;
  TRY(made.read(std::move(files)));
  return made;
}

Result<Chart> Chart::embedded(std::string_view root) {
  Files files;
  const std::string prefix = std::string(root) + "/";
  for (const auto path : embedded_files(prefix)) {
    files.emplace(path.substr(prefix.size()), *embedded_file(path));
  }
  if (files.empty())
    return not_found("chart " + std::string(root) + " is not built into this program");
  return from_files(std::move(files)).at("chart " + std::string(root));
}

Result<Chart> Chart::from_directory(const std::string& path) {
  namespace fs = std::filesystem;
  Files files;
  std::size_t bytes = 0;
  std::error_code error;
  for (auto each = fs::recursive_directory_iterator(path, error);
       !error && each != fs::recursive_directory_iterator(); each.increment(error)) {
    if (!each->is_regular_file(error)) continue;
    std::ifstream in(each->path(), std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    bytes += text.view().size();
    if (bytes > kMostChartBytes) return invalid("chart " + path + " is larger than 64 MiB");
    // Of the link, not of the file that a link names.
    files.emplace(each->path().lexically_relative(path).generic_string(), text.str());
  }
  if (error) return not_found("chart " + path + ": " + error.message());
  return from_files(std::move(files)).at("chart " + path);
}

Result<> Chart::read(Files files) {
  const auto meta = files.find("Chart.yaml");
  if (meta == files.end())
    return invalid("Chart.yaml is missing: is this the root of a chart?", Blame::kConfig);
  metadata_ = TRY(data::parse_yaml(meta->second).at("Chart.yaml"));
  name_ = data::get_string(metadata_, {"name"});
  if (name_.empty()) return invalid("Chart.yaml: name is missing", Blame::kConfig);
  values_ = data::JsonObject();
  if (const auto found = files.find("values.yaml"); found != files.end()) {
    Json values = TRY(data::parse_yaml(found->second).at("values.yaml"));
    if (values.is_object()) values_ = std::move(values);
    else if (!values.is_null()) return invalid("values.yaml must hold a map", Blame::kConfig);
  }
  Files others;
  std::map<std::string, Files> subcharts;
  for (auto& [path, text] : files) {
    if (path == "Chart.yaml" || path == "values.yaml") continue;
    if (path.starts_with("templates/")) templates_[path] = std::move(text);
    else if (path.starts_with("crds/")) crds_[path] = std::move(text);
    else if (const auto cut = split_once(
                 std::string_view(path).substr(path.starts_with("charts/") ? 7 : path.size()),
                 "/")) {
      subcharts[std::string(cut->first)].emplace(cut->second, std::move(text));
    } else {
      others.emplace(path, std::move(text));
    }
  }
  others_ = std::make_shared<const Files>(std::move(others));
  return read_dependencies(std::move(subcharts));
}

Result<> Chart::read_dependencies(std::map<std::string, Files> subcharts) {
  std::map<std::string, std::shared_ptr<const Chart>> loaded;
  for (auto& [folder, files] : subcharts) {
    Chart made;
    TRY(made.read(std::move(files)).at("charts/" + folder));
    std::string name = made.name_;
    loaded[name] = std::make_shared<const Chart>(std::move(made));
  }
  for (const Json& each : data::get_array(metadata_, {"dependencies"})) {
    const auto found = loaded.find(std::string(data::get_string(each, {"name"})));
    if (found == loaded.end()) continue;  // declared but not vendored under another condition
    Dependency made;
    made.name = data::get_string(each, {"alias"}, found->first);
    made.condition = data::get_string(each, {"condition"});
    for (const Json& tag : data::get_array(each, {"tags"}))
      made.tags.emplace_back(data::as_string(tag));
    made.chart = found->second;
    dependencies_.push_back(std::move(made));
  }
  for (const auto& [name, chart] : loaded) {
    const bool is_listed = std::any_of(dependencies_.begin(), dependencies_.end(),
                                       [&](const Dependency& d) { return d.chart == chart; });
    if (!is_listed) dependencies_.push_back({name, "", {}, chart});
  }
  return {};
}

// The first condition that is set decides, then the tags: any true one enables.
bool Chart::is_enabled(const Dependency& dependency, const Json& values) const {
  for (const auto path : split(dependency.condition, ',')) {
    const Json* flag = trim(path).empty() ? nullptr : data::find_dotted(values, trim(path));
    if (flag != nullptr && flag->is_bool()) return *flag->if_bool();
  }
  bool has_tag = false;
  for (const auto& tag : dependency.tags) {
    const Json* flag = data::find(values, {"tags", tag});
    if (flag == nullptr || !flag->is_bool()) continue;
    if (*flag->if_bool()) return true;
    has_tag = true;
  }
  return !has_tag;
}

Json Chart::values_with(const Json& overrides) const {
  Json values = values_;
  coalesce(values, overrides);
  std::vector<const Dependency*> enabled;  // the others bring no defaults
  for (const Dependency& each : dependencies_)
    if (is_enabled(each, values)) enabled.push_back(&each);
  values = values_;
  for (const Dependency* each : enabled) {
    const Json* own = data::find(values, {each->name});
    const Json defaults =
        each->chart->values_with(own != nullptr ? *own : Json(data::JsonObject()));
    data::set(values, {each->name}, defaults);
  }
  coalesce(values, overrides);
  for (const Dependency* each : enabled) {
    const Json* global = data::find(values, {"global"});
    if (global == nullptr) continue;
    Json shared = data::get_object(values, {each->name, "global"});
    coalesce(shared, *global);
    data::set(values, {each->name, "global"}, std::move(shared));
  }
  return values;
}

Result<> Chart::add_templates(TemplateSet& set, const std::string& prefix) const {
  for (const auto& [path, text] : templates_) {
    if (path.ends_with("/NOTES.txt")) continue;
    TRY(set.add(prefix + path, text));
  }
  // Parents come last: their definitions win over a subchart's of the same name.
  return {};
}

struct Chart::Level {
  const Chart* chart;
  std::string name;
  std::string prefix;  // "parent/charts/child/"
  Json values;
  int depth;
};

Result<std::vector<Rendered>> Chart::render(const Json& overrides,
                                            const RenderOptions& options) const {
  TemplateSet set;
  std::vector<Rendered> out;
  std::vector<Level> levels{{this, name_, name_ + "/", values_with(overrides), 0}};
  for (std::size_t i = 0; i < levels.size(); ++i) {
    if (levels[i].depth > kMostChartDepth) return invalid("charts are nested too deep");
    const Level level = levels[i];
    for (const Dependency& each : level.chart->dependencies_) {
      if (!is_enabled(each, level.values)) continue;
      levels.push_back({each.chart.get(), each.name, level.prefix + "charts/" + each.name + "/",
                        data::get_object(level.values, {each.name}), level.depth + 1});
    }
  }
  for (auto level = levels.rbegin(); level != levels.rend(); ++level)
    TRY(level->chart->add_templates(set, level->prefix));
  const auto texts = TRY(run(set, levels, options));
  for (const Level& level : levels) {
    if (options.has_crds) TRY(level.chart->crds_into(out, level.prefix));
    for (const auto& [path, source] : level.chart->templates_) {
      const std::string file = level.prefix + path;
      if (const auto text = texts.find(file); text != texts.end())
        TRY(level.chart->objects_into(file, text->second, out));
    }
  }
  sort_for_install(out);
  return out;
}

// In Helm's order, which a chart can see by what its templates do to .Values: the deepest paths
// first, and among them the last by name first.
Result<std::map<std::string, std::string>> Chart::run(const TemplateSet& set,
                                                      const std::vector<Level>& levels,
                                                      const RenderOptions& options) {
  struct Job {
    std::ptrdiff_t depth;
    std::string file;
    const Level* level;
    std::size_t root;
  };
  std::vector<Job> jobs;
  std::vector<Value> roots;
  for (const Level& level : levels) {
    roots.push_back(level.chart->root_of(level.name, level.values, options));
    for (const auto& [path, source] : level.chart->templates_) {
      if (!level.chart->is_manifest(path)) continue;
      std::string file = level.prefix + path;
      const auto depth = std::count(file.begin(), file.end(), '/');
      jobs.push_back({depth, std::move(file), &level, roots.size() - 1});
    }
  }
  std::sort(jobs.begin(), jobs.end(), [](const Job& a, const Job& b) {
    return a.depth != b.depth ? a.depth > b.depth : a.file > b.file;
  });
  std::map<std::string, std::string> texts;
  for (const Job& job : jobs) {
    const Value& root = roots[job.root];
    (*root.shared_map())["Template"] =
        Map{{"Name", Value(job.file)}, {"BasePath", Value(job.level->prefix + "templates")}};
    texts[job.file] = TRY(set.render_value(job.file, root));
  }
  return texts;
}

Result<> Chart::crds_into(std::vector<Rendered>& out, const std::string& prefix) const {
  for (const auto& [path, text] : crds_) {
    for (Json& object : TRY(data::parse_yaml_documents(text).at(prefix + path)))
      out.push_back({prefix + path, std::move(object)});
  }
  return {};
}

bool Chart::is_manifest(const std::string& path) const {
  return !std::filesystem::path(path).filename().string().starts_with('_') &&
         !path.ends_with("/NOTES.txt") && !path.ends_with(".tpl");
}

Result<> Chart::objects_into(const std::string& file, const std::string& text,
                             std::vector<Rendered>& out) const {
  if (is_blank(text)) return {};
  auto objects = data::parse_yaml_documents(text);
  if (!objects) {
    return invalid("the output of " + file + " is no valid YAML: " + objects.error().message(),
                   Blame::kConfig);
  }
  for (Json& object : *objects) {
    if (!object.is_object())
      return invalid("the output of " + file + " is no Kubernetes object", Blame::kConfig);
    if (data::find(object, {"metadata", "annotations", "helm.sh/hook"}) != nullptr) continue;
    out.push_back({file, std::move(object)});
  }
  return {};
}

Value Chart::root_of(const std::string& name, const Json& values,
                     const RenderOptions& options) const {
  Map chart;
  for (const auto& member : *metadata_.if_object()) {
    std::string key(member.key());
    key[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(key[0])));
    chart.emplace(key == "ApiVersion" ? "APIVersion" : key, Value::from_json(member.value()));
  }
  chart["Name"] = Value(name);
  Map subcharts;
  for (const Dependency& each : dependencies_) {
    subcharts.emplace(each.name,
                      Map{{"Values", Value::from_json(data::get_object(values, {each.name}))}});
  }
  return Map{{"Values", Value::from_json(values)},
             {"Chart", Value(std::move(chart))},
             {"Subcharts", Value(std::move(subcharts))},
             {"Release", Map{{"Name", Value(options.release.name)},
                             {"Namespace", Value(options.release.ns)},
                             {"IsInstall", Value(!options.release.is_upgrade)},
                             {"IsUpgrade", Value(options.release.is_upgrade)},
                             {"Revision", Value(1)},
                             {"Service", Value("Helm")}}},
             {"Capabilities", make_capabilities(options)},
             {"Files", make_files(others_)}};
}

}  // namespace lateen::chart
