// Finding istiod and calling its debug port.
#include "cli/control_plane.h"

#include "kube/port_forward.h"

namespace lateen::cli {
namespace {
constexpr int kMonitoringPort = 15014;
}

Result<std::vector<Json>> istiod_pods(Session& session, const std::string& revision,
                                      const std::string& selector) {
  kube::Client* client = TRY(session.client());
  kube::ListOptions options;
  options.label_selector = "app=istiod" + (revision.empty() ? "" : ",istio.io/rev=" + revision) +
                           (selector.empty() ? "" : "," + selector);
  options.field_selector = "status.phase=Running";
  const Json list = TRY(client->list(kube::resources::pods(), session.istio_ns, options));
  std::vector<Json> pods;
  for (const Json& pod : data::get_array(list, {"items"})) {
    if (!kube::is_deleting(pod)) pods.push_back(pod);
  }
  return pods;
}

Result<std::vector<IstiodAnswer>> ask_istiods(Session& session, const std::string& path,
                                              const std::string& revision) {
  const auto pods = TRY(istiod_pods(session, revision));
  if (pods.empty())
    return not_found("no running Istio pods in namespace \"" + session.istio_ns + "\"");
  kube::Client* client = TRY(session.client());
  std::vector<IstiodAnswer> answers;
  for (const Json& pod : pods) {
    const auto reply = TRY(kube::pod_get(*client, kube::key_of(pod), kMonitoringPort, path)
                               .at("istiod " + kube::key_of(pod).to_string()));
    if (reply.status != 200) {
      return unavailable("istiod " + kube::key_of(pod).to_string() + " answered " +
                         std::to_string(reply.status) + " to " + path + ": " +
                         reply.body.substr(0, 200));
    }
    const auto label = kube::label(pod, "istio.io/rev");
    answers.push_back({std::string(kube::name_of(pod)),
                       label.empty() ? "default" : std::string(label), reply.body});
  }
  return answers;
}

}  // namespace lateen::cli
