// version: this program's, the control planes' and the proxies'.
#include <map>

#include "base/strings.h"
#include "cli/control_plane.h"
#include "cli/istioctl.h"
#include "install/version.h"

namespace lateen::cli {
namespace {

struct VersionFlags {
  bool is_short = true;
  bool is_remote = true;
  std::string output;
  std::string revision;
};

Json client_version() {
  Json out = data::JsonObject();
  data::set(out, {"version"}, Json(install::kVersion));
  data::set(out, {"tag"}, Json(install::kVersion));
  data::set(out, {"status"}, "Clean");
  return out;
}

// "version" answers of istiod are either plain text or a JSON object.
std::string version_in(const std::string& body) {
  if (auto parsed = data::parse_json(body); parsed && parsed->is_object()) {
    for (const auto path : {std::initializer_list<std::string_view>{"version"},
                            {"clientVersion", "version"},
                            {"Info", "version"}}) {
      if (const auto text = data::get_string(*parsed, path); !text.empty())
        return std::string(text);
    }
  }
  std::string text(trim(body));
  // 1.24.0-COMMIT-Clean
  return text.substr(0, text.find('-'));
}

std::map<std::string, int> proxy_versions(const std::vector<IstiodAnswer>& syncs) {
  std::map<std::string, int> counts;
  for (const auto& answer : syncs) {
    const auto parsed = data::parse_json(answer.body);
    if (!parsed) continue;
    const data::JsonArray* proxies = parsed.value().if_array();
    for (const Json& proxy : proxies != nullptr ? *proxies : data::JsonArray()) {
      std::string version(data::get_string(proxy, {"istio_version"}));
      ++counts[version.empty() ? "unknown" : version];
    }
  }
  return counts;
}

Result<> print_version(Session& session, const VersionFlags& flags) {
  Json all = data::JsonObject();
  data::set(all, {"clientVersion"}, client_version());
  std::vector<IstiodAnswer> planes, syncs;
  if (flags.is_remote) {
    auto found = ask_istiods(session, "/version", flags.revision);
    if (found) planes = *std::move(found);
    else session.err << "Istio is not present in the cluster: " << found.error().message() << "\n";
    if (!planes.empty()) {
      if (auto states = ask_istiods(session, "/debug/syncz", flags.revision))
        syncs = *std::move(states);
    }
  }
  std::map<std::string, std::string> by_pod;
  std::map<std::string, int> distinct;
  for (const auto& each : planes) {
    by_pod[each.pod] = version_in(each.body);
    ++distinct[by_pod[each.pod]];
    Json entry = data::JsonObject();
    data::set(entry, {"Component"}, "pilot");
    data::set(entry, {"Revision"}, Json(each.revision));
    data::set(entry, {"Info", "version"}, Json(by_pod[each.pod]));
    auto& list = (*all.if_object())["meshVersion"];
    if (!list.is_array()) list.emplace_array();
    list.if_array()->push_back(std::move(entry));
  }
  const auto counts = proxy_versions(syncs);
  if (!flags.output.empty()) {
    data::JsonArray proxies;
    for (const auto& [version, count] : counts)
      proxies.push_back(data::JsonObject{{"IstioVersion", version}, {"Count", count}});
    if (!planes.empty()) data::set(all, {"dataPlaneVersion"}, std::move(proxies));
    session.out << TRY(format_as(all, flags.output));
    return {};
  }
  session.out << "client version: " << install::kVersion << "\n";
  if (planes.empty()) return {};
  if (distinct.size() == 1)
    session.out << "control plane version: " << distinct.begin()->first << "\n";
  else
    for (const auto& each : planes)
      session.out << "pilot version: " << by_pod[each.pod] << " (revision " << each.revision
                  << ")\n";
  std::vector<std::string> texts;
  for (const auto& [version, count] : counts)
    texts.push_back(version + " (" + std::to_string(count) + " proxies)");
  session.out << "data plane version: " << (texts.empty() ? "none" : join(texts, ", ")) << "\n";
  return {};
}

}  // namespace

void add_version_command(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand("version", "Prints out build version information");
  auto flags = std::make_shared<VersionFlags>();
  command->add_flag("-s,--short,!--no-short", flags->is_short, "One line each");
  command->add_flag("--remote,!--no-remote", flags->is_remote,
                    "Also ask the cluster; --remote=false does not");
  command->add_option("-o,--output", flags->output, "json or yaml");
  command->add_option("-r,--revision", flags->revision, "Only this revision's control plane");
  on_run(*command, session, [&session, flags] { return print_version(session, *flags); });
}

}  // namespace lateen::cli
