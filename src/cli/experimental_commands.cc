// experimental (x): its families of verbs, and those that moved out of it; completion.
#include <cstdlib>

#include "base/strings.h"
#include "cli/control_plane.h"
#include "cli/istioctl.h"

namespace lateen::cli {
namespace {

// A shell's completion that asks for the verbs by `istioctl --help` is all that can be kept true
// without effort.
constexpr std::string_view kBash = R"(_istioctl() {
  local words verbs
  words="${COMP_WORDS[@]:1:COMP_CWORD-1}"
  verbs=$(istioctl $words --help 2>/dev/null | awk '/^(Subcommands|SUBCOMMANDS):/{on=1;next} on&&NF{print $1}')
  COMPREPLY=($(compgen -W "$verbs" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _istioctl istioctl
)";
constexpr std::string_view kZsh =
    "#compdef istioctl\nautoload -U +X bashcompinit && bashcompinit\n";

// What can be set by the environment instead of a flag.
Result<> list_defaults(Session& session) {
  struct Default {
    const char *flag, *variable, *value;
  };
  constexpr Default kDefaults[] = {{"authority", "ISTIOCTL_AUTHORITY", ""},
                                   {"cert-dir", "ISTIOCTL_CERT_DIR", ""},
                                   {"insecure", "ISTIOCTL_INSECURE", ""},
                                   {"istioNamespace", "ISTIOCTL_ISTIONAMESPACE", "istio-system"},
                                   {"plaintext", "ISTIOCTL_PLAINTEXT", ""},
                                   {"prefer-experimental", "ISTIOCTL_PREFER_EXPERIMENTAL", ""},
                                   {"xds-address", "ISTIOCTL_XDS_ADDRESS", ""},
                                   {"xds-port", "ISTIOCTL_XDS_PORT", "15012"}};
  std::vector<std::vector<std::string>> rows = {{"FLAG", "VALUE", "FROM"}};
  for (const Default& each : kDefaults) {
    const char* set = std::getenv(each.variable);
    rows.push_back({each.flag, set != nullptr ? set : each.value,
                    set != nullptr ? "$" + std::string(each.variable) : "default"});
  }
  session.out << format_table(rows);
  return {};
}

struct DebugFlags {
  std::string path, revision;
  bool is_list = false, is_all = false;
};

Json as_json(const std::string& body) {
  auto parsed = data::parse_json(body);
  return parsed ? *std::move(parsed) : Json(body);
}

Result<> print_debug(Session& session, const DebugFlags& flags) {
  if (flags.path.empty() && !flags.is_list)
    return invalid(
        "debug type is required, you can specify --list flag to list supported debug types");
  const std::string path = "/debug/" + (flags.is_list ? std::string("list") : flags.path);
  const auto answers = TRY(ask_istiods(session, path, flags.revision));
  if (flags.is_all) {
    data::JsonObject all;
    for (const IstiodAnswer& each : answers) all[each.pod] = as_json(each.body);
    session.out << data::dump_json_pretty(all, 2) << "\n";
    return {};
  }
  const Json first = as_json(answers.front().body);
  session.out << (first.is_string() ? answers.front().body : data::dump_json_pretty(first, 2))
              << "\n";
  return {};
}

}  // namespace

void add_experimental_commands(CLI::App& app, Session& session) {
  auto* group =
      app.add_subcommand("experimental", "Experimental commands that may be modified or deprecated")
          ->alias("x")
          ->alias("exp");
  group->require_subcommand(1);
  add_install_commands(*group, session);
  add_tag_commands(*group, session);
  add_proxy_status_command(*group, session);
  add_version_command(*group, session);
  add_explain_command(*group, session);
  add_describe_commands(*group, session);
  add_authz_command(*group, session);
  add_precheck_command(*group, session);
  add_injection_commands(*group, session);
  add_stats_commands(*group, session);
  add_workload_commands(*group, session);

  auto* config = group->add_subcommand("config", "Configure istioctl defaults");
  config->require_subcommand(1);
  on_run(*config->add_subcommand("list", "List istio configurable defaults"), session,
         [&session] { return list_defaults(session); });
  auto* debug = group->add_subcommand("internal-debug", "Retrieves the debug information of istio");
  auto flags = std::make_shared<DebugFlags>();
  debug->add_option("path", flags->path, "syncz, configz, config_dump?proxyID=POD.NAMESPACE, …");
  debug->add_option("-r,--revision", flags->revision, "Control plane revision");
  debug->add_flag("-L,--list", flags->is_list, "List all supported debug types.");
  debug->add_flag("--all", flags->is_all, "Ask all instances of istiod, not only one");
  on_run(*debug, session, [&session, flags] { return print_debug(session, *flags); });

  auto* completion = app.add_subcommand(
      "completion", "Generate the autocompletion script for the specified shell");
  completion->require_subcommand(1);
  for (const char* shell : {"bash", "zsh"}) {
    on_run(*completion->add_subcommand(shell, "Generate the autocompletion script"), session,
           [&session, shell]() -> Result<> {
             if (std::string_view(shell) == "zsh") session.out << kZsh;
             session.out << kBash;
             return {};
           });
  }
}

}  // namespace lateen::cli
