// Assembles the command line from its families of verbs.
#include "cli/istioctl.h"

#include <algorithm>

namespace lateen::cli {
namespace {

void add_global_flags(CLI::App& app, Session& session) {
  // Given twice, the last counts, as with upstream's flags.
  app.add_option("-c,--kubeconfig", session.kubeconfig, "Kubernetes configuration file")
      ->take_last();
  app.add_option("--context", session.context, "Kubernetes configuration context")->take_last();
  app.add_option("-n,--namespace", session.ns, "Kubernetes namespace")->take_last();
  app.add_option("-i,--istioNamespace", session.istio_ns, "Istio system namespace")
      ->take_last()
      ->capture_default_str();
}

}  // namespace

int run_istioctl(const std::vector<std::string>& arguments, Session& session) {
  CLI::App app(
      "Istio configuration command line utility for service operators to debug and diagnose their "
      "mesh.",
      "istioctl");
  app.require_subcommand(1);
  app.fallthrough();
  add_global_flags(app, session);
  add_install_commands(app, session);
  add_manifest_commands(app, session);
  add_operator_commands(app, session);
  add_version_command(app, session);
  add_proxy_status_command(app, session);
  add_proxy_config_commands(app, session);
  add_dashboard_commands(app, session);
  add_analyze_commands(app, session);
  add_tag_commands(app, session);
  add_inject_command(app, session);
  add_admin_command(app, session);
  add_remote_commands(app, session);
  add_bug_report_command(app, session);
  add_experimental_commands(app, session);
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error, session.out, session.err);
    session.err << "Error: " << error.what() << "\nRun 'istioctl --help' for usage.\n";
    return 1;
  }
  session.out.flush();
  return session.exit_status;
}

}  // namespace lateen::cli
