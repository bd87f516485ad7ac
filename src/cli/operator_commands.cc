// operator init, remove and dump: the in-cluster operator itself.
#include "base/strings.h"
#include "chart/chart.h"
#include "cli/istioctl.h"
#include "cli/progress.h"
#include "data/yaml.h"
#include "install/applier.h"
#include "install/version.h"

namespace lateen::cli {
namespace {

struct OperatorFlags {
  std::string file;
  std::string hub{install::kHub};
  std::string tag{install::kVersion};
  std::vector<std::string> pull_secrets;
  std::string operator_ns = "operator-namespace-unset";
  std::string watched = "istio-system";
  std::string manifests;
  std::string revision;
  std::string output = "yaml";
  bool is_forced = false;
  bool is_dry_run = false;
};

std::string deployment_name(const OperatorFlags& flags) {
  return "istio-operator" + (flags.revision.empty() ? "" : "-" + flags.revision);
}

Result<std::vector<Json>> render_operator(const OperatorFlags& flags) {
  install::Charts charts(flags.manifests);
  const chart::Chart* chart = TRY(charts.find("istio-operator"));
  Json values = data::JsonObject();
  data::set(values, {"hub"}, Json(flags.hub));
  data::set(values, {"tag"}, Json(flags.tag));
  data::set(values, {"operatorNamespace"}, Json(flags.operator_ns));
  data::set(values, {"watchedNamespaces"}, Json(flags.watched));
  data::set(values, {"revision"}, Json(flags.revision));
  data::JsonArray secrets;
  for (const auto& each : flags.pull_secrets) secrets.emplace_back(each);
  data::set(values, {"imagePullSecrets"}, std::move(secrets));
  chart::RenderOptions options;
  options.release = {"istio", flags.operator_ns};
  std::vector<Json> objects;
  for (auto& each : TRY(chart->render(values, options))) objects.push_back(std::move(each.object));
  return objects;
}

void label_component(Json& object, const OperatorFlags& flags) {
  kube::set_label(object, "operator.istio.io/component", "IstioOperator");
  kube::set_label(object, "operator.istio.io/managed", "Reconcile");
  kube::set_label(object, "operator.istio.io/version", install::kVersion);
  if (!flags.revision.empty()) kube::set_label(object, "istio.io/rev", flags.revision);
}

Result<> wait_ready(kube::Client& client, const kube::Key& deployment, Progress& progress) {
  for (int i = 0; i < 6000; ++i) {
    const Json live = TRY(client.get(kube::resources::deployments(), deployment));
    const std::string why = install::waits_for(live);
    if (why.empty()) return {};
    progress.waiting("Istio operator", {why});
    progress.pause();
  }
  return Error(Code::kDeadlineExceeded, "Deployment/" + deployment.to_string() +
                                            " is not ready after 5m; see `kubectl -n " +
                                            deployment.ns + " describe pod`");
}

Result<> init(Session& session, const OperatorFlags& flags) {
  const auto objects = TRY(render_operator(flags));
  if (flags.is_dry_run) {
    for (const Json& object : objects) session.out << data::dump_yaml(object) << "---\n";
    return {};
  }
  kube::Client* client = TRY(session.client());
  const kube::Key deployment{flags.operator_ns, deployment_name(flags)};
  const auto existing = client->get(kube::resources::deployments(), deployment);
  if (!existing && existing.error().code() != Code::kNotFound) return Error(existing.error());
  const std::string image = flags.hub + "/operator:" + flags.tag;
  if (existing)
    session.out << "Operator controller is already installed in " << flags.operator_ns
                << " namespace.\n";
  session.out << (existing ? "Upgrading" : "Installing")
              << " operator controller in namespace: " << flags.operator_ns
              << " using image: " << image << "\n";
  session.out << "Operator controller will watch namespaces: " << flags.watched << "\n"
              << std::flush;

  // An IstioOperator that is wrong must not leave half an installation behind: read it first.
  Json own;
  if (!flags.file.empty())
    own = TRY(install::parse_operators(TRY(read_input(session, flags.file))).at(flags.file));
  Progress progress(session);
  progress.waiting("Istio operator", {});
  TRY(install::ensure_namespace(*client, flags.operator_ns));
  for (Json object : objects) {
    label_component(object, flags);
    TRY(install::apply_object(*client, std::move(object)));
  }
  TRY(wait_ready(*client, deployment, progress));
  progress.done("Istio operator");
  if (!own.is_null()) {
    if (data::get_string(own, {"metadata", "namespace"}).empty())
      data::set(own, {"metadata", "namespace"}, Json(session.istio_ns));
    if (data::get_string(own, {"metadata", "name"}).empty())
      data::set(own, {"metadata", "name"}, "istiocontrolplane");
    TRY(install::ensure_namespace(*client, std::string(kube::namespace_of(own))));
    TRY(install::apply_object(*client, own));
    progress.done("Istio operator CRDs");
  }
  session.out << session.mark_good() << " Installation complete\n";
  return {};
}

Result<> remove(Session& session, const OperatorFlags& flags) {
  kube::Client* client = TRY(session.client());
  const kube::Key deployment{flags.operator_ns, deployment_name(flags)};
  const auto existing = client->get(kube::resources::deployments(), deployment);
  if (!existing && existing.error().code() != Code::kNotFound) return Error(existing.error());
  if (!existing) {
    session.out << "Operator controller is not installed in " << flags.operator_ns
                << " namespace (no Deployment detected).\n";
    if (!flags.is_forced) return invalid("Aborting, use --force to override.");
  }
  session.out << "Removing Istio operator...\n" << std::flush;
  std::string selector = "operator.istio.io/component=IstioOperator";
  selector += flags.revision.empty() ? ",!istio.io/rev" : ",istio.io/rev=" + flags.revision;
  for (const Json& object : TRY(install::find_managed(*client, selector))) {
    TRY(install::remove_object(*client, object));
    session.out << "  Removed " << install::identity(object) << ".\n";
  }
  session.out << session.mark_good() << " Removal complete\n";
  return {};
}

void add_common(CLI::App& command, OperatorFlags& flags) {
  flags.operator_ns = "istio-operator";
  command
      .add_option("--operatorNamespace", flags.operator_ns, "Namespace of the operator controller")
      ->capture_default_str();
  command.add_option("-r,--revision", flags.revision, "Target revision for the operator");
  command.add_flag("--dry-run", flags.is_dry_run, "Only print what would be done");
}

void add_images(CLI::App& command, OperatorFlags& flags) {
  command.add_option("--hub", flags.hub, "Registry of the operator's image")->capture_default_str();
  command.add_option("--tag", flags.tag, "Tag of the operator's image")->capture_default_str();
  command.add_option("--imagePullSecrets", flags.pull_secrets, "Secrets for pulling the image")
      ->delimiter(',');
  command
      .add_option("--watchedNamespaces", flags.watched,
                  "Namespaces the controller watches, comma-separated; empty for all")
      ->capture_default_str();
  command.add_option("-d,--manifests,--charts", flags.manifests,
                     "Directory of charts and profiles");
}

}  // namespace

void add_operator_commands(CLI::App& app, Session& session) {
  auto* group = app.add_subcommand("operator", "Commands related to Istio operator controller");
  group->require_subcommand(1);

  auto* initialise =
      group->add_subcommand("init", "Installs the Istio operator controller in the cluster");
  auto for_init = std::make_shared<OperatorFlags>();
  add_common(*initialise, *for_init);
  add_images(*initialise, *for_init);
  initialise->add_option("-f,--filename", for_init->file,
                         "An IstioOperator to apply once the operator runs");
  on_run(*initialise, session, [&session, for_init] { return init(session, *for_init); });

  auto* removed =
      group->add_subcommand("remove", "Removes the Istio operator controller from the cluster");
  auto for_remove = std::make_shared<OperatorFlags>();
  add_common(*removed, *for_remove);
  removed->add_flag("--force", for_remove->is_forced, "Proceed even when no controller is found");
  on_run(*removed, session, [&session, for_remove] { return remove(session, *for_remove); });

  auto* dump = group->add_subcommand("dump", "Dumps the Istio operator controller manifest");
  auto for_dump = std::make_shared<OperatorFlags>();
  add_common(*dump, *for_dump);
  add_images(*dump, *for_dump);
  dump->add_option("-o,--output", for_dump->output, "json or yaml")->capture_default_str();
  on_run(*dump, session, [&session, for_dump]() -> Result<> {
    for (const Json& object : TRY(render_operator(*for_dump))) {
      session.out << TRY(format_as(object, for_dump->output))
                  << (for_dump->output == "yaml" ? "---\n" : "");
    }
    return {};
  });
}

}  // namespace lateen::cli
