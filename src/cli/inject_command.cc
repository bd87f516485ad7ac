// kube-inject: workloads of a file with the sidecar put in, by asking the cluster's own injection
// webhook.
#include "base/strings.h"
#include "cli/control_plane.h"
#include "cli/istioctl.h"
#include "data/yaml.h"
#include "http/blocking_client.h"
#include "kube/patch.h"
#include "kube/port_forward.h"

namespace lateen::cli {
namespace {

constexpr int kWebhookPort = 15017;

struct InjectFlags {
  std::string file;
  std::string output;
  std::string revision;
};

// Where a workload's pod template is; null for kinds without one.
Json* template_of(Json& object) {
  const auto kind = kube::kind_of(object);
  if (kind == "Pod") return &object;
  if (kind == "CronJob") return data::find(object, {"spec", "jobTemplate", "spec", "template"});
  const bool has_template = kind == "Deployment" || kind == "ReplicaSet" || kind == "StatefulSet" ||
                            kind == "DaemonSet" || kind == "Job" || kind == "ReplicationController";
  return has_template ? data::find(object, {"spec", "template"}) : nullptr;
}

class Injector {
 public:
  Injector(std::unique_ptr<kube::PortForwarder> forward, std::shared_ptr<const tls::Context> tls)
      : forward_(std::move(forward)), http_({std::move(tls), false, {}}) {}

  Result<Json> inject(const Json& pod, const std::string& ns) {
    Json review = TRY(data::parse_json(
        R"({"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"kube-inject","operation":"CREATE",
      "kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"}}})"));
    data::set(review, {"request", "namespace"}, Json(ns));
    data::set(review, {"request", "object"}, pod);
    http::PlainRequest request;
    request.method = "POST";
    request.url = "https://127.0.0.1:" + std::to_string(forward_->local_port()) + "/inject";
    request.headers = {{"content-type", "application/json"}};
    request.body = data::dump_json(review);
    const auto reply = TRY(http_.call(request).at("injection webhook"));
    if (reply.status != 200)
      return invalid("the injection webhook answered " + std::to_string(reply.status) + ": " +
                     std::string(trim(reply.body)).substr(0, 300));
    const Json answer = TRY(data::parse_json(reply.body).at("injection webhook"));
    if (!data::get_bool(answer, {"response", "allowed"}))
      return invalid("the injection webhook refused: " +
                     std::string(data::get_string(answer, {"response", "status", "message"},
                                                  "no reason given")));
    const auto patch = data::get_string(answer, {"response", "patch"});
    if (patch.empty()) return pod;
    return kube::json_patch(pod, TRY(data::parse_json(TRY(base64_decode(patch)))));
  }

 private:
  std::unique_ptr<kube::PortForwarder> forward_;
  http::BlockingClient http_;
};

Result<> inject_file(Session& session, const InjectFlags& flags) {
  if (flags.file.empty()) return invalid("filename not specified (see --filename or -f)");
  auto documents =
      TRY(data::parse_yaml_documents(TRY(read_input(session, flags.file))).at(flags.file));
  const auto pods = TRY(istiod_pods(session, flags.revision));
  if (pods.empty())
    return not_found("no running istiod in namespace " + session.istio_ns + " to inject with");
  auto forward = TRY(
      kube::PortForwarder::start(*TRY(session.client()), kube::key_of(pods[0]), kWebhookPort, 0));
  tls::Options options;
  options.is_untrusted_accepted =
      true;  // The tunnel is the API server's; the certificate is for istiod's service name.
  Injector injector(std::move(forward),
                    TRY(tls::Context::make(tls::Context::Role::kClient, options)));
  const std::string ns = TRY(session.effective_namespace());
  std::string out;
  for (Json& object : documents) {
    if (Json* pod = template_of(object)) {
      Json asked = *pod;
      data::set(asked, {"apiVersion"}, "v1");
      data::set(asked, {"kind"}, "Pod");
      if (kube::name_of(asked).empty())
        data::set(asked, {"metadata", "name"}, Json(kube::name_of(object)));
      const std::string of(
          kube::namespace_of(object).empty() ? ns : std::string(kube::namespace_of(object)));
      Json injected = TRY(injector.inject(asked, of).at(std::string(kube::kind_of(object)) + " " +
                                                        std::string(kube::name_of(object))));
      if (pod != &object) {
        for (const std::string_view key : {"apiVersion", "kind"}) data::erase(injected, {key});
        data::erase(injected, {"metadata", "name"});
      }
      *pod = std::move(injected);
    }
    out += data::dump_yaml(object) + "---\n";
  }
  session.out << out;
  return {};
}

}  // namespace

void add_inject_command(CLI::App& app, Session& session) {
  auto* command =
      app.add_subcommand("kube-inject", "Inject Istio sidecar into Kubernetes pod resources");
  auto flags = std::make_shared<InjectFlags>();
  command->add_option("-f,--filename", flags->file, "Workloads as YAML; - for standard input");
  command->add_option("-r,--revision", flags->revision, "The istiod of this revision");
  on_run(*command, session, [&session, flags] { return inject_file(session, *flags); });
}

}  // namespace lateen::cli
