// experimental authz check: the AuthorizationPolicies that a proxy has loaded.
#include <map>
#include <set>

#include "base/strings.h"
#include "cli/explain/choices.h"
#include "cli/explain/world.h"
#include "cli/istioctl.h"
#include "cli/proxy_admin.h"

namespace lateen::cli {
namespace {

constexpr const char* kNothing = "_anonymous_match_nothing_";  // rules that match no request

struct Policies {
  std::map<std::string, std::set<std::string>> names;   // by action
  std::map<std::string, std::set<std::int64_t>> rules;  // by name

  void add(const std::string& action, const std::string& name, std::int64_t rule) {
    names[action].insert(name);
    rules[name].insert(rule);
  }

  void add_all(const Json* list, const std::string& action, bool is_custom_only) {
    const Json* policies = list == nullptr ? nullptr : member(*list, "policies");
    if (policies == nullptr || !policies->is_object()) return;
    for (const auto& entry : *policies->if_object()) {
      const std::string_view key = entry.key();
      explain::PolicyName policy;
      if (is_custom_only && !key.starts_with("istio-ext-authz-")) continue;
      if (explain::parse_policy_name(key, policy))
        add(action, policy.name + "." + policy.ns, policy.rule);
    }
  }

  void add_filter(const Json& config) {
    const Json* rules_of = member(config, "rules");
    const std::string action(rules_of == nullptr ? "ALLOW"
                                                 : text_at(*rules_of, {"action"}, "ALLOW"));
    add_all(rules_of, action, false);
    add_all(member(config, "shadow_rules"), "CUSTOM", true);
    const Json* policies = rules_of == nullptr ? nullptr : member(*rules_of, "policies");
    const bool is_empty =
        policies == nullptr || !policies->is_object() || policies->if_object()->empty();
    if (is_empty) add(action, kNothing, 0);
  }
};

void add_filters(const data::JsonArray& filters, Policies& out) {
  for (const Json& filter : filters) {
    const Json* config = member(filter, "typed_config");
    if (config == nullptr) continue;
    const auto type = text_at(*config, {"@type"});
    if (type.ends_with(".rbac.v3.RBAC")) out.add_filter(*config);
    if (type.ends_with(".HttpConnectionManager"))
      add_filters(list_at(*config, {"http_filters"}), out);
  }
}

struct Flags {
  std::string pod, file;
  int admin_port = kProxyAdminPort;
};

Result<Json> dump_of(Session& session, const Flags& flags) {
  if (!flags.file.empty())
    return data::parse_json(TRY(read_input(session, flags.file))).at(flags.file);
  if (flags.pod.empty()) return invalid("check requires only pod name or --file");
  const Json pod = TRY(find_pod(session, flags.pod));
  kube::Client* client = TRY(session.client());
  return explain::by_forward(*client, flags.admin_port)(pod, "/config_dump");
}

Result<> check(Session& session, const Flags& flags) {
  const Json dump = TRY(dump_of(session, flags));
  Policies found;
  for (const Json& listener : listeners_in(dump)) {
    for (const Json& chain : list_at(listener, {"filter_chains"}))
      add_filters(list_at(chain, {"filters"}), found);
  }
  std::vector<std::vector<std::string>> rows = {{"ACTION", "AuthorizationPolicy", "RULES"}};
  for (const char* action : {"DENY", "ALLOW", "LOG", "CUSTOM"}) {
    for (const std::string& name : found.names[action])
      rows.push_back({action, name, std::to_string(found.rules[name].size())});
  }
  session.out << format_table(rows, 3);
  return {};
}

}  // namespace

void add_authz_command(CLI::App& app, Session& session) {
  auto* group = app.add_subcommand("authz", "Inspect Istio AuthorizationPolicy");
  group->require_subcommand(1);
  auto* command = group->add_subcommand("check", "Check AuthorizationPolicy applied in the pod.");
  auto flags = std::make_shared<Flags>();
  command->add_option("pod", flags->pod, "NAME[.NAMESPACE] or deployment/NAME");
  command->add_option("-f,--file", flags->file, "A config dump file instead of a pod");
  command->add_option("--proxy-admin-port", flags->admin_port, "The proxy's admin port")
      ->capture_default_str();
  on_run(*command, session, [&session, flags] { return check(session, *flags); });
}

}  // namespace lateen::cli
