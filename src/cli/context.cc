// One client per run of the program.
#include "cli/context.h"

namespace lateen::cli {

Result<> Context::load() {
  if (client_ != nullptr) return {};
  auto config = kube::load_kubeconfig(kubeconfig, kube_context);
  if (!config && kubeconfig.empty()) {
    if (auto inside = kube::in_cluster_config()) config = std::move(inside);
  }
  if (!config) {
    return Error(
        config.error().code(),
        config.error().message() +
            " (is the cluster up? `lateen up` writes ~/.kube/config; --kubeconfig names another)");
  }
  config_namespace_ = config->ns;
  client_ = TRY(kube::connect(*config));
  return {};
}

Result<kube::Client*> Context::client() {
  TRY(load());
  return client_.get();
}

Result<std::string> Context::effective_namespace() {
  if (!ns.empty()) return ns;
  TRY(load());
  return config_namespace_.empty() ? std::string("default") : config_namespace_;
}

}  // namespace lateen::cli
