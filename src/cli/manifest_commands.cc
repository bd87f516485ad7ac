// manifest generate and diff, profile list, dump and diff: what an installation would be, without a
// cluster.
#include <algorithm>
#include <fstream>
#include <map>

#include "base/strings.h"
#include "cli/iop_flags.h"
#include "cli/istioctl.h"
#include "cli/text_diff.h"
#include "data/yaml.h"
#include "install/manifest.h"
#include "kube/object.h"

namespace lateen::cli {
namespace {

struct GenerateFlags {
  IopFlags iop;
  std::string output_directory;
  std::vector<std::string> components;
  bool is_dry_run = false;
};

Result<> generate(Session& session, const GenerateFlags& flags) {
  install::Charts charts(flags.iop.manifests);
  const Json iop = TRY(flags.iop.load(session));
  const install::Plan plan = TRY(install::make_plan(charts, iop));
  std::map<std::string, std::string> by_part;
  for (const auto& manifest : TRY(install::render(charts, plan))) {
    const std::string part(install::to_string(manifest.part));
    const bool is_wanted =
        flags.components.empty() ||
        std::find(flags.components.begin(), flags.components.end(), part) != flags.components.end();
    if (!is_wanted) continue;
    std::string text;
    for (const Json& object : manifest.objects) text += data::dump_yaml(object) + "---\n";
    by_part[part] += text;
    if (flags.output_directory.empty()) session.out << text;
  }
  if (flags.output_directory.empty()) return {};
  for (const auto& [part, text] : by_part) {
    const std::string path = flags.output_directory + "/" + part + ".yaml";
    std::ofstream file(path);
    file << text;
    if (!file) return invalid("cannot write " + path + ": does the directory exist?");
    session.out << "Writing manifest to " << path << "\n";
  }
  return {};
}

std::map<std::string, Json> by_identity(const std::vector<Json>& objects) {
  std::map<std::string, Json> out;
  for (const Json& object : objects) {
    out[std::string(kube::kind_of(object)) + ":" + std::string(kube::namespace_of(object)) + ":" +
        std::string(kube::name_of(object))] = object;
  }
  return out;
}

Result<> diff_manifests(Session& session, const std::string& first, const std::string& second) {
  const auto a =
      by_identity(TRY(data::parse_yaml_documents(TRY(read_input(session, first))).at(first)));
  const auto b =
      by_identity(TRY(data::parse_yaml_documents(TRY(read_input(session, second))).at(second)));
  std::string differences;
  for (const auto& [key, object] : a) {
    const auto other = b.find(key);
    if (other == b.end()) {
      differences += "\nObject " + key + " is missing in B\n";
      continue;
    }
    if (data::equal(object, other->second)) continue;
    differences += "\nObject " + key + " has diffs:\n\n" +
                   text_diff(data::dump_yaml(object), data::dump_yaml(other->second));
  }
  for (const auto& [key, object] : b) {
    if (!a.contains(key)) differences += "\nObject " + key + " is missing in A\n";
  }
  if (differences.empty()) {
    session.out << "Manifests are identical\n";
    return {};
  }
  session.out << "Differences in manifests are:\n" << differences;
  session.exit_status = 1;
  return {};
}

Result<Json> profile_spec(Session& session, IopFlags flags, const std::string& profile) {
  if (!profile.empty()) flags.sets.push_back("profile=" + profile);
  install::Charts charts(flags.manifests);
  Json out = TRY(
      data::parse_json(R"({"apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator"})"));
  data::set(out, {"spec"}, TRY(install::make_plan(charts, TRY(flags.load(session)))).spec);
  return out;
}

// "a.b=c" lines, sorted, as --set takes them.
void flatten(const Json& value, const std::string& path, std::vector<std::string>& out) {
  if (const auto* object = value.if_object()) {
    for (const auto& member : *object) {
      flatten(member.value(),
              path + (path.empty() ? "" : ".") + replace_all(member.key(), ".", "\\."), out);
    }
  } else if (const auto* list = value.if_array()) {
    for (std::size_t i = 0; i < list->size(); ++i)
      flatten((*list)[i], path + "[" + std::to_string(i) + "]", out);
  } else {
    out.push_back(path + "=" +
                  (value.is_string() ? std::string(*value.if_string()) : data::dump_json(value)));
  }
}

struct DumpFlags {
  IopFlags iop;
  std::string profile;
  std::string path;
  std::string output = "yaml";
};

Result<> dump_profile(Session& session, const DumpFlags& flags) {
  if (!flags.profile.empty() && !flags.iop.files.empty())
    return invalid("cannot specify both profile name and filename flag");
  Json shown = TRY(profile_spec(session, flags.iop, flags.profile));
  if (!flags.path.empty()) {
    const Json* found = data::find_dotted(*data::find(shown, {"spec"}), flags.path);
    if (found == nullptr) return not_found("config path " + flags.path + " is not in this profile");
    shown = Json(*found);
  }
  if (flags.output == "flags") {
    std::vector<std::string> lines;
    const Json* spec = data::find(shown, {"spec"});
    flatten(spec != nullptr ? *spec : shown, "", lines);
    std::sort(lines.begin(), lines.end());
    session.out << join(lines, "\n") << "\n";
    return {};
  }
  session.out << TRY(format_as(shown, flags.output));
  return {};
}

}  // namespace

void add_manifest_commands(CLI::App& app, Session& session) {
  auto* manifest = app.add_subcommand("manifest", "Commands related to Istio manifests");
  manifest->require_subcommand(1);
  auto* generated = manifest->add_subcommand("generate", "Generates an Istio install manifest");
  auto flags = std::make_shared<GenerateFlags>();
  flags->iop.add_to(*generated);
  generated->add_option("-o,--output", flags->output_directory,
                        "Directory for one file per component");
  generated->add_option("--component", flags->components, "Only these components")->delimiter(',');
  generated->add_flag("--dry-run", flags->is_dry_run,
                      "Accepted; generating never changes a cluster");
  on_run(*generated, session, [&session, flags] { return generate(session, *flags); });

  add_install_command(*manifest, session, "install", kInstallHelp);

  auto* compared = manifest->add_subcommand("diff", "Compare manifests and generate diff");
  auto pair = std::make_shared<std::pair<std::string, std::string>>();
  compared->add_option("A", pair->first)->required();
  compared->add_option("B", pair->second)->required();
  on_run(*compared, session,
         [&session, pair] { return diff_manifests(session, pair->first, pair->second); });

  auto* profile = app.add_subcommand("profile", "Commands related to Istio configuration profiles");
  profile->require_subcommand(1);
  auto* list = profile->add_subcommand("list", "Lists available Istio configuration profiles");
  auto directory = std::make_shared<std::string>();
  list->add_option("-d,--manifests,--charts", *directory, "Directory of charts and profiles");
  on_run(*list, session, [&session, directory]() -> Result<> {
    session.out << "Istio configuration profiles:\n";
    for (const auto& name : install::Charts(*directory).profile_names())
      session.out << "    " << name << "\n";
    return {};
  });

  auto* dump = profile->add_subcommand("dump", "Dumps an Istio configuration profile");
  auto dumped = std::make_shared<DumpFlags>();
  dumped->iop.add_to(*dump);
  dump->add_option("profile", dumped->profile, "Name of the profile");
  dump->add_option("-p,--config-path", dumped->path, "Only this part, as in components.pilot");
  dump->add_option("-o,--output", dumped->output, "json, yaml or flags")->capture_default_str();
  on_run(*dump, session, [&session, dumped] { return dump_profile(session, *dumped); });

  auto* difference = profile->add_subcommand("diff", "Diffs two Istio configuration profiles");
  auto both = std::make_shared<std::pair<std::string, std::string>>();
  difference->add_option("A", both->first)->required();
  difference->add_option("B", both->second)->required();
  on_run(*difference, session, [&session, both]() -> Result<> {
    const std::string a = data::dump_yaml(TRY(profile_spec(session, {}, both->first)));
    const std::string b = data::dump_yaml(TRY(profile_spec(session, {}, both->second)));
    if (a == b) {
      session.out << "Profiles are identical\n";
      return {};
    }
    session.out << "The difference between profiles:\n" << text_diff(a, b);
    session.exit_status = 1;
    return {};
  });
}

}  // namespace lateen::cli
