#include "cli/proxy_admin.h"

#include "kube/port_forward.h"

namespace lateen::cli {
namespace {

std::string proxy_of(const data::Json& pod) {
  return "proxy of pod " + kube::key_of(pod).to_string();
}

}  // namespace

Result<std::string> proxy_page(kube::Client& client, const data::Json& pod, int port,
                               const std::string& path) {
  auto reply = TRY(kube::pod_get(client, kube::key_of(pod), port, path).at(proxy_of(pod)));
  if (reply.status != 200)
    return unavailable(proxy_of(pod) + " answered " + std::to_string(reply.status) + " to " + path);
  return std::move(reply.body);
}

Result<data::Json> proxy_json(kube::Client& client, const data::Json& pod, int port,
                              const std::string& path) {
  return data::parse_json(TRY(proxy_page(client, pod, port, path))).at(proxy_of(pod));
}

}  // namespace lateen::cli
