// A proxy's admin pages, over a port-forward to its pod.
#pragma once

#include <string>

#include "kube/client.h"

namespace lateen::cli {

inline constexpr int kProxyAdminPort = 15000;

// What the pod's proxy answers to GET `path` on `port`. No answer, or another status than 200, is
// an error that names the pod.
Result<std::string> proxy_page(kube::Client& client, const data::Json& pod, int port,
                               const std::string& path);
// The same, of a page that is JSON.
Result<data::Json> proxy_json(kube::Client& client, const data::Json& pod, int port,
                              const std::string& path);

}  // namespace lateen::cli
