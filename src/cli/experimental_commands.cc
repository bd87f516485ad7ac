// experimental (x): describe a pod, precheck, and the verbs that moved out of it; completion.
#include <algorithm>

#include "base/strings.h"
#include "cli/istioctl.h"
#include "install/applier.h"
#include "kube/selector.h"
#include "mesh/hostname.h"

namespace lateen::cli {
namespace {

Result<std::vector<Json>> list_of(kube::Client& client, const kube::Resource& resource,
                                  const std::string& ns) {
  auto list = client.list(resource, ns);
  if (!list && list.error().code() == Code::kNotFound) return std::vector<Json>();
  if (!list) return std::move(list).error().at("listing " + resource.plural);
  return std::vector<Json>(data::get_array(*list, {"items"}).begin(),
                           data::get_array(*list, {"items"}).end());
}

kube::Resource istio(std::string_view plural, std::string_view kind) {
  return {"networking.istio.io", "v1", std::string(plural), std::string(kind), true};
}

// Every label of the selector is the object's.
bool labels_match(const data::JsonObject& selector, const Json& object) {
  const auto& labels = kube::labels_of(object);
  return std::all_of(selector.begin(), selector.end(), [&](const auto& wanted) {
    const Json* found = labels.if_contains(wanted.key());
    return found != nullptr && *found == wanted.value();
  });
}

std::string full_name(std::string_view host, std::string_view ns) {
  return mesh::resolve_host(host, ns, "cluster.local");
}

void describe_containers(Session& session, const Json& pod) {
  session.out << "Pod: " << kube::name_of(pod);
  if (kube::namespace_of(pod) != "default") session.out << "." << kube::namespace_of(pod);
  session.out << "\n   Pod Revision: "
              << (kube::annotation(pod, "istio.io/rev").empty()
                      ? std::string(kube::label(pod, "istio.io/rev"))
                      : std::string(kube::annotation(pod, "istio.io/rev")))
              << "\n";
  std::string ports;
  bool is_meshed = false;
  for (const std::string_view list : {"containers", "initContainers"}) {
    for (const Json& container : data::get_array(pod, {"spec", list})) {
      const std::string name(data::get_string(container, {"name"}));
      is_meshed = is_meshed || name == "istio-proxy";
      for (const Json& port : data::get_array(container, {"ports"})) {
        ports += (ports.empty() ? "" : ", ") +
                 std::to_string(data::get_int(port, {"containerPort"})) +
                 (name == "istio-proxy" ? " (istio-proxy)" : " (" + name + ")");
      }
    }
  }
  session.out << "   Pod Ports: " << (ports.empty() ? "none" : ports) << "\n";
  if (!is_meshed)
    session.out << "WARNING: " << kube::name_of(pod) << " is not part of mesh; no Istio sidecar\n";
  if (kube::label(pod, "app").empty())
    session.out << "Suggestion: add 'app' label to pod for Istio telemetry.\n";
  if (kube::label(pod, "version").empty())
    session.out << "Suggestion: add 'version' label to pod for Istio telemetry.\n";
  session.out << "--------------------\n";
}

Result<> describe_pod(Session& session, const std::string& text) {
  const Json pod = TRY(find_pod(session, text));
  kube::Client* client = TRY(session.client());
  const std::string ns(kube::namespace_of(pod));
  describe_containers(session, pod);
  for (const Json& service : TRY(list_of(*client, kube::resources::services(), ns))) {
    const auto& selector = data::get_object(service, {"spec", "selector"});
    if (selector.empty() || !labels_match(selector, pod)) continue;
    session.out << "Service: " << kube::name_of(service) << "\n";
    for (const Json& port : data::get_array(service, {"spec", "ports"})) {
      const Json* target = data::find(port, {"targetPort"});
      session.out << "   Port: " << data::get_string(port, {"name"}) << " "
                  << data::get_int(port, {"port"}) << "/"
                  << data::get_string(port, {"protocol"}, "TCP") << " targets pod port "
                  << (target == nullptr     ? std::to_string(data::get_int(port, {"port"}))
                      : target->is_string() ? std::string(*target->if_string())
                                            : data::dump_json(*target))
                  << "\n";
    }
    const std::string full = full_name(kube::name_of(service), ns);
    for (const Json& rule :
         TRY(list_of(*client, istio("destinationrules", "DestinationRule"), ""))) {
      if (full_name(data::get_string(rule, {"spec", "host"}), kube::namespace_of(rule)) != full)
        continue;
      session.out << "DestinationRule: " << kube::name_of(rule) << " for \""
                  << data::get_string(rule, {"spec", "host"}) << "\"\n";
      std::string matching, others;
      for (const Json& subset : data::get_array(rule, {"spec", "subsets"})) {
        std::string& list =
            labels_match(data::get_object(subset, {"labels"}), pod) ? matching : others;
        list += (list.empty() ? "" : ",") + std::string(data::get_string(subset, {"name"}));
      }
      if (!matching.empty()) session.out << "   Matching subsets: " << matching << "\n";
      if (!others.empty()) session.out << "      (Non-matching subsets " << others << ")\n";
    }
    for (const Json& virtual_service :
         TRY(list_of(*client, istio("virtualservices", "VirtualService"), ""))) {
      for (const std::string_view protocol : {"http", "tls", "tcp"}) {
        int routes = 0;
        for (const Json& rule : data::get_array(virtual_service, {"spec", protocol})) {
          for (const Json& route : data::get_array(rule, {"route"}))
            routes += full_name(data::get_string(route, {"destination", "host"}),
                                kube::namespace_of(virtual_service)) == full;
        }
        if (routes > 0)
          session.out << "VirtualService: " << kube::name_of(virtual_service) << "\n   " << routes
                      << " " << to_lower(protocol) << " route(s)\n";
      }
    }
  }
  return {};
}

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
  auto* describe =
      group->add_subcommand("describe", "Describe resource and related Istio configuration")
          ->alias("des");
  describe->require_subcommand(1);
  auto* pod =
      describe->add_subcommand("pod", "Describe pods and their Istio configuration")->alias("po");
  auto name = std::make_shared<std::string>();
  pod->add_option("pod", *name, "NAME[.NAMESPACE]")->required();
  on_run(*pod, session, [&session, name] { return describe_pod(session, *name); });
  add_precheck_command(*group, session);

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
