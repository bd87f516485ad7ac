// Reading IstioOperators from files and flags.
#include "cli/iop_flags.h"

namespace lateen::cli {

void IopFlags::add_to(CLI::App& command) {
  command
      .add_option("-f,--filename", files, "Path to a file with an IstioOperator; later ones win")
      ->allow_extra_args(false);
  command
      .add_option("-s,--set", sets, "Override one setting: PATH=VALUE, as in --set profile=demo")
      ->allow_extra_args(false);
  command.add_option("-r,--revision", revision, "Target control plane revision");
  command.add_option("-d,--manifests,--charts", manifests,
                     "Directory of charts and profiles to use instead of the built-in ones");
  command.add_flag("--force", is_forced, "Proceed even with validation errors");
}

Result<Json> IopFlags::load(Session& session) const {
  Json iop = TRY(data::parse_json(
      R"({"apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator", "metadata": {}, "spec": {}})"));
  for (const auto& file : files) {
    const std::string text = TRY(read_input(session, file));
    install::overlay_operator(iop, TRY(install::parse_operators(text).at(file)));
  }
  for (const auto& set : sets) TRY(install::set_flag(iop, set));
  if (!revision.empty()) data::set(iop, {"spec", "revision"}, Json(revision));
  if (data::get_string(iop, {"metadata", "namespace"}).empty())
    data::set(iop, {"metadata", "namespace"}, Json(session.istio_ns));
  return iop;
}

}  // namespace lateen::cli
