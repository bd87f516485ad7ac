// install, upgrade, uninstall and verify-install: a control plane from the command line, without
// the operator.
#include <algorithm>
#include <map>

#include "base/strings.h"
#include "cli/iop_flags.h"
#include "cli/istioctl.h"
#include "cli/progress.h"
#include "data/yaml.h"
#include "install/applier.h"
#include "install/version.h"

namespace lateen::cli {
namespace {

const kube::Resource& iop_resource() {
  static const kube::Resource kResource{"install.istio.io", "v1alpha1", "istiooperators",
                                        "IstioOperator", true};
  return kResource;
}

struct InstallFlags {
  IopFlags iop;
  std::string timeout = "5m0s";
  bool is_confirmed = false;
  bool is_dry_run = false;
  bool is_verified = false;
};

std::string parts_of(const install::Plan& plan) {
  std::vector<std::string> names;
  for (const auto& each : install::enabled_components(plan)) {
    const std::string name = "\"" + std::string(install::user_facing(each.part)) + "\"";
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return join(names, " ");
}

// Keeps what was installed, so that uninstall, verify-install and the next install know it.
Result<> save_state(kube::Client& client, const install::Plan& plan, Json iop) {
  const std::string name = "installed-state" + (plan.revision.empty() ? "" : "-" + plan.revision);
  data::set(iop, {"metadata", "name"}, Json(name));
  data::set(iop, {"metadata", "namespace"}, Json(plan.ns));
  data::set(iop, {"spec"}, plan.spec);
  kube::set_annotation(iop, "install.istio.io/ignoreReconcile", "true");
  const auto saved = install::apply_object(client, iop);
  // Without the operator's CRD there is nowhere to keep it, which hurts nobody.
  if (!saved && saved.error().code() != Code::kNotFound) return Error(saved.error());
  return {};
}

Result<> verify(Session& session, install::Charts& charts, const install::Plan& plan);

Result<> install_all(Session& session, const InstallFlags& flags) {
  install::Charts charts(flags.iop.manifests);
  Json iop = TRY(flags.iop.load(session));
  if (data::get_string(iop, {"metadata", "name"}).empty()) {
    data::set(
        iop, {"metadata", "name"},
        Json("installed-state" + (flags.iop.revision.empty() ? "" : "-" + flags.iop.revision)));
  }
  const install::Plan plan = TRY(install::make_plan(charts, iop));
  const auto manifests = TRY(install::render(charts, plan));
  const nanoseconds limit = TRY(parse_duration(flags.timeout).at("--readiness-timeout"));
  if (!flags.is_dry_run && !flags.is_confirmed) {
    const std::string parts = parts_of(plan);
    const std::string question = "This will install the Istio " + std::string(install::kVersion) +
                                 " profile \"" + plan.profile + "\"" +
                                 (parts.empty() ? "" : " (with components: " + parts + ")") +
                                 " into the cluster. Proceed? (y/N)";
    if (!session.confirm(question)) {
      session.out << "Cancelled.\n";
      session.exit_status = 1;
      return {};
    }
  }
  if (flags.is_dry_run) {
    for (const auto& each : manifests) {
      for (const Json& object : each.objects)
        session.out << "would apply " << install::identity(object) << "\n";
    }
    return {};
  }
  kube::Client* client = TRY(session.client());
  Progress progress(session);
  install::Part current = install::Part::kBase;
  install::ApplyProgress report;
  report.started = [&](install::Part part) {
    current = part;
    progress.waiting(std::string(install::user_facing(part)), {});
  };
  report.waiting = [&](install::Part part, const std::vector<std::string>& what) {
    progress.waiting(std::string(install::user_facing(part)), what);
  };
  report.done = [&](install::Part part) { progress.done(std::string(install::user_facing(part))); };
  const auto applied = install::apply_manifests(
      *client, plan, manifests, std::chrono::duration_cast<milliseconds>(limit), report);
  if (!applied) {
    progress.failed(std::string(install::user_facing(current)), applied.error().message());
    return Error(applied.error()).at("failed to install manifests");
  }
  TRY(save_state(*client, plan, iop));
  session.out << session.mark_good() << " Installation complete\n";
  return flags.is_verified ? verify(session, charts, plan) : Result<>();
}

struct UninstallFlags {
  IopFlags iop;
  bool is_purge = false;
  bool is_confirmed = false;
  bool is_dry_run = false;
  bool is_verbose = false;
};

std::vector<std::string> gateways_among(const std::vector<Json>& objects) {
  std::vector<std::string> names;
  for (const Json& object : objects) {
    if (kube::kind_of(object) == "Deployment" &&
        kube::name_of(object).find("gateway") != std::string_view::npos)
      names.emplace_back(kube::name_of(object));
  }
  return names;
}

Result<std::vector<Json>> doomed_objects(Session& session, kube::Client& client,
                                         const UninstallFlags& flags) {
  if (flags.is_purge) {
    std::vector<Json> all = TRY(install::find_managed(
        client, "operator.istio.io/component,operator.istio.io/component!=IstioOperator"));
    return all;
  }
  std::string revision = flags.iop.revision;
  if (!flags.iop.files.empty()) {
    install::Charts charts(flags.iop.manifests);
    revision = TRY(install::make_plan(charts, TRY(flags.iop.load(session)))).revision;
  }
  if (revision.empty()) revision = "default";
  return install::find_managed(
      client,
      "operator.istio.io/component,operator.istio.io/component!=Base,operator.istio.io/"
      "component!=IstioOperator,istio.io/rev=" +
          revision);
}

Result<> uninstall(Session& session, const UninstallFlags& flags) {
  if (flags.iop.revision.empty() && flags.iop.files.empty() && !flags.is_purge) {
    return invalid(
        "at least one of the --revision (or --set revision=<revision>), --filename or --purge "
        "flags must be set");
  }
  kube::Client* client = TRY(session.client());
  const auto doomed = TRY(doomed_objects(session, *client, flags));
  if (doomed.empty()) {
    session.out << "No resources will be pruned.\n";
    return {};
  }
  std::string question;
  if (flags.is_purge) question = "All Istio resources will be pruned from the cluster\n";
  if (flags.is_verbose) {
    question += "The following resources will be pruned from the cluster:\n";
    for (const Json& object : doomed) question += "  " + install::identity(object) + "\n";
  }
  if (const auto gateways = gateways_among(doomed); !gateways.empty() && !flags.is_purge) {
    question += "You are about to remove the following gateways: " + join(gateways, ", ") +
                ". To avoid downtime, please quit this command and reinstall the gateway(s) with a "
                "revision that is not being removed from the cluster.\n";
  }
  if (!flags.is_confirmed && !flags.is_dry_run && !question.empty() &&
      !session.confirm(question + "Proceed? (y/N)")) {
    session.out << "Cancelled.\n";
    session.exit_status = 1;
    return {};
  }
  for (const Json& object : doomed) {
    if (!flags.is_dry_run) TRY(install::remove_object(*client, object));
    session.out << "  Removed " << install::identity(object) << ".\n";
  }
  if (!flags.is_dry_run) {
    const std::string revision = flags.iop.revision;
    const std::string saved =
        "installed-state" + (revision.empty() || revision == "default" ? "" : "-" + revision);
    const auto removed = client->remove(iop_resource(), {session.istio_ns, saved});
    if (!removed && removed.error().code() != Code::kNotFound) return Error(removed.error());
  }
  session.out << session.mark_good() << " Uninstall complete\n";
  return {};
}

Result<> verify(Session& session, install::Charts& charts, const install::Plan& plan) {
  kube::Client* client = TRY(session.client());
  int crds = 0, deployments = 0, failures = 0;
  for (const auto& manifest : TRY(install::render(charts, plan))) {
    for (const Json& object : manifest.objects) {
      const std::string kind(kube::kind_of(object));
      const std::string line =
          kind + ": " + std::string(kube::name_of(object)) + "." +
          std::string(kube::namespace_of(object).empty() ? plan.ns : kube::namespace_of(object));
      const auto resource = client->resource_for(kube::api_version_of(object), kind);
      const auto live = resource ? client->get(*resource, kube::key_of(object))
                                 : Result<Json>(Error(resource.error()));
      const std::string why = live ? install::waits_for(*live) : live.error().message();
      if (!why.empty()) {
        session.out << session.mark_bad() << " " << line << ": " << why << "\n";
        ++failures;
        continue;
      }
      session.out << session.mark_good() << " " << line << " checked successfully\n";
      crds += kind == "CustomResourceDefinition";
      deployments += kind == "Deployment";
    }
  }
  session.out << "Checked " << crds << " custom resource definitions\nChecked " << deployments
              << " Istio Deployments\n";
  if (failures > 0)
    return invalid("Istio installation failed: " + std::to_string(failures) +
                   " resources are missing or not ready");
  session.out << session.mark_good() << " Istio is installed and verified successfully\n";
  return {};
}

Result<> verify_installed(Session& session, const IopFlags& flags) {
  install::Charts charts(flags.manifests);
  if (!flags.files.empty())
    return verify(session, charts, TRY(install::make_plan(charts, TRY(flags.load(session)))));
  kube::Client* client = TRY(session.client());
  auto list = client->list(iop_resource(), session.istio_ns);
  if (!list)
    return invalid("could not load IstioOperator from cluster: " + list.error().message() +
                   ". Use --filename");
  const std::string wanted = flags.revision == "default" ? "" : flags.revision;
  for (const Json& iop : data::get_array(*list, {"items"})) {
    if (data::get_string(iop, {"spec", "revision"}) != wanted) continue;
    return verify(session, charts, TRY(install::make_plan(charts, iop)));
  }
  return not_found("no IstioOperator of revision \"" + (wanted.empty() ? "default" : wanted) +
                   "\" in namespace " + session.istio_ns + ". Use --filename");
}

}  // namespace

CLI::App* add_install_command(CLI::App& app, Session& session, const std::string& name,
                              const std::string& help) {
  auto* command = app.add_subcommand(name, help);
  auto flags = std::make_shared<InstallFlags>();
  flags->iop.add_to(*command);
  command->add_option("--readiness-timeout", flags->timeout, "Longest wait for each component")
      ->capture_default_str();
  command->add_flag("-y,--skip-confirmation", flags->is_confirmed, "Do not ask");
  command->add_flag("--dry-run", flags->is_dry_run, "Change nothing");
  command->add_flag("--verify", flags->is_verified, "Verify after installing");
  on_run(*command, session, [&session, flags] { return install_all(session, *flags); });
  return command;
}

void add_install_commands(CLI::App& app, Session& session) {
  add_install_command(app, session, "install", kInstallHelp)->alias("apply");
  add_install_command(app, session, "upgrade", "Upgrade Istio control plane in-place");

  auto* removal = app.add_subcommand("uninstall", "Uninstall Istio from a cluster");
  auto flags = std::make_shared<UninstallFlags>();
  flags->iop.add_to(*removal);
  removal->add_flag("--purge", flags->is_purge, "Remove every control plane and what they share");
  removal->add_flag("-y,--skip-confirmation", flags->is_confirmed, "Do not ask");
  removal->add_flag("--dry-run", flags->is_dry_run, "Change nothing");
  removal->add_flag("-v,--verbose", flags->is_verbose, "List what will be removed");
  on_run(*removal, session, [&session, flags] { return uninstall(session, *flags); });

  auto* verified = app.add_subcommand("verify-install", "Verifies Istio Installation Status");
  auto iop = std::make_shared<IopFlags>();
  iop->add_to(*verified);
  on_run(*verified, session, [&session, iop] { return verify_installed(session, *iop); });
}

}  // namespace lateen::cli
