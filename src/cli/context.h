// What every verb of istioctl shares: global flags, the connection to the cluster, where output
// goes.
#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "kube/client.h"

namespace lateen::cli {

// A verb registers itself on the CLI11 app and sets `run` from its callback; the root runs it after
// parsing.
struct Context {
  // The streams outlive it.
  Context(std::ostream& out_stream, std::ostream& err_stream) : out(out_stream), err(err_stream) {}

  std::ostream& out;
  std::ostream& err;
  std::string kubeconfig;                        // -c, --kubeconfig
  std::string kube_context;                      // --context
  std::string ns;                                // -n, --namespace; empty: the context's
  std::string istio_namespace = "istio-system";  // -i, --istioNamespace
  std::function<Result<int>()> run;              // exit status

  // Connects on first use. The error says how to point at a cluster.
  Result<kube::Client*> client();
  // The namespace to act in: `ns`, the kubeconfig context's, or "default".
  Result<std::string> effective_namespace();

 private:
  Result<> load();
  std::unique_ptr<kube::Client> client_;
  std::string config_namespace_;
};

}  // namespace lateen::cli
