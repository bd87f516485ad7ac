// The mesh's command line: istioctl's verbs, flags and output.
#pragma once

#include <istream>
#include <ostream>
#include <string>
#include <vector>

#include "cli/session.h"

namespace lateen::cli {

// Runs one command line (without the program's name) and returns the exit status. Never throws.
int run_istioctl(const std::vector<std::string>& arguments, Session& session);

// Each adds one family of verbs to the program. `session` outlives the app.
void add_install_commands(CLI::App& app,
                          Session& session);  // install, upgrade, uninstall, verify-install
// install under any name.
inline constexpr const char* kInstallHelp =
    "Applies an Istio manifest, installing or reconfiguring Istio on a cluster";
CLI::App* add_install_command(CLI::App& app, Session& session, const std::string& name,
                              const std::string& help);
void add_manifest_commands(CLI::App& app, Session& session);  // manifest, profile
void add_operator_commands(CLI::App& app, Session& session);  // operator init, remove, dump
void add_version_command(CLI::App& app, Session& session);
void add_proxy_status_command(CLI::App& app, Session& session);
void add_proxy_config_commands(CLI::App& app, Session& session);
void add_dashboard_commands(CLI::App& app, Session& session);
void add_analyze_commands(CLI::App& app, Session& session);  // analyze, validate
void add_tag_commands(CLI::App& app, Session& session);
void add_inject_command(CLI::App& app, Session& session);     // kube-inject
void add_describe_commands(CLI::App& app, Session& session);  // describe pod, service
void add_authz_command(CLI::App& app, Session& session);      // authz check
void add_precheck_command(CLI::App& app, Session& session);
void add_explain_command(CLI::App& app, Session& session);
void add_injection_commands(CLI::App& app, Session& session);  // check-inject, injector list
void add_stats_commands(CLI::App& app, Session& session);      // envoy-stats, metrics
void add_workload_commands(CLI::App& app, Session& session);   // workload group, entry
void add_admin_command(CLI::App& app, Session& session);       // admin log
void add_remote_commands(CLI::App& app, Session& session);  // create-remote-secret, remote-clusters
void add_bug_report_command(CLI::App& app, Session& session);
// Of proxy-config's group: ecds, rootca-compare.
void add_proxy_config_dumps(CLI::App& group, Session& session);
void add_experimental_commands(CLI::App& app, Session& session);

}  // namespace lateen::cli
