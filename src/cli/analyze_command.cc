// analyze and validate: Istio configuration checked as it is in a cluster, in files, or in both.
#include <filesystem>
#include <map>

#include "base/strings.h"
#include "cli/analysis/world.h"
#include "cli/istioctl.h"
#include "data/yaml.h"
#include "mesh/kinds.h"

namespace lateen::cli {
namespace {

namespace fs = std::filesystem;

// sysexits of istioctl: what was found decides, not only whether it ran.
constexpr int kFoundIssues = 79;
constexpr int kBadInput = 65;

struct AnalyzeFlags {
  std::vector<std::string> files;
  std::vector<std::string> suppressed;
  std::string output = "log";
  std::string failure_threshold = "Error";
  std::string output_threshold = "Info";
  std::string mesh_config;
  std::string revision = "default";
  std::string timeout = "30s";
  bool is_kube_used = true;
  bool is_everywhere = false;
  bool is_recursive = false;
  bool is_listing = false;
  bool is_verbose = false;
  bool are_unknown_ignored = false;
  bool is_colored = false;
};

Result<> read_kind(kube::Client& client, const kube::Resource& resource, bool is_needed,
                   World& world) {
  auto list = client.list(resource, "");
  if (!list) {
    // Kinds that are not installed have no objects; Secrets may be nobody's business.
    const bool is_absent = list.error().code() == Code::kNotFound || !is_needed;
    return is_absent ? Result<>()
                     : Result<>(std::move(list).error().at("listing " + resource.plural));
  }
  for (const Json& item : data::get_array(*list, {"items"}))
    world.add(item, "", kube::namespace_of(item));
  return {};
}

Result<> read_cluster(kube::Client& client, World& world) {
  namespace r = kube::resources;
  for (const auto* each : {&r::namespaces(), &r::pods(), &r::services(), &r::deployments()})
    TRY(read_kind(client, *each, true, world));
  for (const auto* each : {&r::secrets(), &r::config_maps(), &r::mutating_webhooks()})
    TRY(read_kind(client, *each, false, world));
  for (const auto& kind : mesh::kinds()) {
    TRY(read_kind(client,
                  {std::string(kind.group), std::string(kind.version), std::string(kind.plural),
                   std::string(kind.kind), true},
                  false, world));
  }
  return {};
}

Result<> add_file(Session& session, const std::string& path, const std::string& ns, World& world) {
  const std::string text = TRY(read_input(session, path));
  for (const auto& document : TRY(data::parse_yaml_stream(text).at(path))) {
    std::vector<Json> objects{document.value};
    if (kube::kind_of(document.value) == "List")
      objects.assign(data::get_array(document.value, {"items"}).begin(),
                     data::get_array(document.value, {"items"}).end());
    for (Json& object : objects) {
      if (kube::kind_of(object).empty() || kube::name_of(object).empty()) {
        return invalid(path + ":" + std::to_string(document.line) +
                       ": no Kubernetes object: kind and metadata.name are needed");
      }
      world.add(std::move(object), path + ":" + std::to_string(document.line), ns);
    }
  }
  return {};
}

bool is_yaml(const fs::path& path) {
  return path.extension() == ".yaml" || path.extension() == ".yml" || path.extension() == ".json";
}

Result<std::vector<std::string>> expand(Session& session, const AnalyzeFlags& flags) {
  std::vector<std::string> out;
  for (const auto& each : flags.files) {
    std::error_code error;
    if (each == "-" || !fs::is_directory(each, error)) {
      out.push_back(each);
      continue;
    }
    const auto add = [&](const fs::directory_entry& entry) {
      if (entry.is_directory()) return;
      if (is_yaml(entry.path())) out.push_back(entry.path().string());
      else
        session.err << "Skipping file " << entry.path().string()
                    << ", recognized file extensions are: [.json .yaml .yml]\n";
    };
    if (flags.is_recursive)
      for (const auto& entry : fs::recursive_directory_iterator(each, error)) add(entry);
    else
      for (const auto& entry : fs::directory_iterator(each, error)) add(entry);
  }
  return out;
}

// "IST0102=Namespace default", with * as a wildcard in the resource.
bool is_suppressed(const Message& message, const std::vector<std::string>& rules) {
  for (const auto& rule : rules) {
    const auto cut = split_once(rule, "=");
    if (!cut || cut->first != message.code) continue;
    const std::string_view pattern = cut->second;
    const auto star = pattern.find('*');
    if (star == std::string_view::npos ? message.origin == pattern
                                       : message.origin.starts_with(pattern.substr(0, star)) &&
                                             message.origin.ends_with(pattern.substr(star + 1))) {
      return true;
    }
  }
  return false;
}

Result<> print_messages(Session& session, const AnalyzeFlags& flags,
                        const std::vector<Message>& messages) {
  if (flags.output == "log") {
    for (const auto& each : messages) session.out << to_line(each) << "\n";
    return {};
  }
  data::JsonArray all;
  for (const auto& each : messages) all.push_back(to_json(each));
  session.out << TRY(format_as(Json(std::move(all)), flags.output));
  return {};
}

Result<> analyze_all(Session& session, const AnalyzeFlags& flags) {
  if (flags.is_listing) {
    for (const auto& each : analyzers())
      session.out << "* " << each.name << ":\n    " << each.description << "\n";
    return {};
  }
  if (flags.output != "log" && flags.output != "json" && flags.output != "yaml")
    return invalid(flags.output + " not a valid option for format. See istioctl analyze --help");
  Severity failing, showing;
  if (!parse_severity(flags.failure_threshold, failing) ||
      !parse_severity(flags.output_threshold, showing)) {
    return invalid("thresholds are Info, Warning or Error");
  }
  World world;
  world.istio_ns = session.istio_ns;
  std::string ns = session.ns.empty() ? "default" : session.ns;
  if (flags.is_kube_used) {
    kube::Client* client = TRY(session.client());
    ns = TRY(session.effective_namespace());
    if (!session.ns.empty() && !client->get(kube::resources::namespaces(), {"", ns}))
      session.err << "namespace \"" << ns << "\" not found\n";
    TRY(read_cluster(*client, world));
  }
  int bad_files = 0;
  for (const auto& file : TRY(expand(session, flags))) {
    const auto added = add_file(session, file, ns, world);
    if (added) continue;
    session.err << "Error(s) adding files: " << added.error().message() << "\n";
    ++bad_files;
  }
  if (!flags.is_everywhere && flags.is_kube_used) world.only_namespace = ns;
  const std::string target = flags.is_everywhere ? "all namespaces" : "namespace: " + ns;
  auto messages = analyze(world);
  std::erase_if(messages, [&](const Message& each) {
    return each.severity < showing || is_suppressed(each, flags.suppressed);
  });
  TRY(print_messages(session, flags, messages));
  const bool is_failing = std::any_of(messages.begin(), messages.end(), [&](const Message& each) {
    return each.severity >= failing;
  });
  if (is_failing) {
    session.out.flush();
    session.err << "Error: Analyzers found issues when analyzing " << target
                << ".\nSee https://istio.io/latest/docs/reference/config/analysis for more "
                   "information about causes and resolutions.\n";
    session.exit_status = kFoundIssues;
  } else if (messages.empty() && bad_files == 0 && flags.output == "log") {
    // Files alone are named; a cluster is named by its namespace.
    session.err << "✔ No validation issues found when analyzing "
                << (flags.is_kube_used || flags.files.empty() ? target : join(flags.files, "\n"))
                << ".\n";
  }
  if (bad_files > 0) session.exit_status = kBadInput;
  return {};
}

Result<> validate_files(Session& session, const std::vector<std::string>& files) {
  if (files.empty()) return invalid("at least one file must be given with --filename");
  int wrong = 0;
  for (const auto& file : files) {
    const std::string text = TRY(read_input(session, file));
    int of_file = 0;
    const auto documents = data::parse_yaml_stream(text);
    if (!documents) {
      session.err << "Error: " << file << ": " << documents.error().message() << "\n";
      ++wrong;
      continue;
    }
    for (const auto& document : documents.value()) {
      const mesh::Issues issues = mesh::validate(document.value);
      const std::string where = std::string(kube::kind_of(document.value)) + "/" +
                                std::string(kube::namespace_of(document.value)) + "/" +
                                std::string(kube::name_of(document.value));
      for (const auto& warning : issues.warnings)
        session.err << "Warning: " << where << ": " << warning << "\n";
      for (const auto& error : issues.errors)
        session.err << "Error: " << file << ":" << document.line << ": " << where << ": " << error
                    << "\n";
      of_file += static_cast<int>(issues.errors.size());
    }
    if (of_file == 0) session.out << "\"" << file << "\" is valid\n";
    wrong += of_file;
  }
  if (wrong > 0)
    return invalid(std::to_string(wrong) + " error" + (wrong > 1 ? "s" : "") +
                   " occurred: see above");
  return {};
}

}  // namespace

void add_analyze_commands(CLI::App& app, Session& session) {
  auto* command =
      app.add_subcommand("analyze", "Analyze Istio configuration and print validation messages");
  auto flags = std::make_shared<AnalyzeFlags>();
  command->add_option(
      "files", flags->files,
      "Files or directories to analyze, on top of the cluster or with --use-kube=false alone");
  command->add_flag("-k,--use-kube,!--no-use-kube", flags->is_kube_used,
                    "Use the live cluster; --use-kube=false does not");
  command->add_flag("-A,--all-namespaces", flags->is_everywhere, "Analyze all namespaces");
  command->add_flag("-R,--recursive", flags->is_recursive, "Go into directories");
  command->add_flag("-L,--list-analyzers", flags->is_listing, "List the analyzers");
  command->add_flag("-v,--verbose", flags->is_verbose, "Say more");
  command->add_flag("--color,!--no-color", flags->is_colored, "Colour");
  command->add_flag("--ignore-unknown", flags->are_unknown_ignored,
                    "Do not complain about unparseable files");
  command->add_option("-S,--suppress", flags->suppressed, "CODE=RESOURCE to leave out")
      ->allow_extra_args(false);
  command->add_option("-o,--output", flags->output, "log, json or yaml")->capture_default_str();
  command
      ->add_option("--failure-threshold", flags->failure_threshold,
                   "Lowest severity with a non-zero exit status")
      ->capture_default_str();
  command->add_option("--output-threshold", flags->output_threshold, "Lowest severity to show")
      ->capture_default_str();
  command->add_option("--meshConfigFile", flags->mesh_config, "Accepted for compatibility");
  command->add_option("--timeout", flags->timeout, "Accepted for compatibility");
  command->add_option("-r,--revision", flags->revision, "Accepted for compatibility");
  on_run(*command, session, [&session, flags] { return analyze_all(session, *flags); });

  auto* validate =
      app.add_subcommand("validate", "Validate Istio policy and rules files")->alias("v");
  auto files = std::make_shared<std::vector<std::string>>();
  validate->add_option("-f,--filename", *files, "Files to validate")->allow_extra_args(false);
  on_run(*validate, session, [&session, files] { return validate_files(session, *files); });
}

}  // namespace lateen::cli
