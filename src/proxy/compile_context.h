// What compiling a listener needs from the server. Main thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "proxy/log/access_log.h"
#include "proxy/secret/tls_source.h"
#include "proxy/worker/shared.h"

namespace google::protobuf {
class Any;
}

namespace envoy::config::trace::v3 {
class Tracing_Http;
}

namespace lateen::proxy {

class Worker;

struct CompileContext {
  LogFiles* logs = nullptr;
  Shared* shared = nullptr;
  Worker* main = nullptr;  // calls that all workers share go out from here; null in some tests
  bool is_inbound = false;
  bool is_outbound = false;
  bool is_overload_bypassed = false;
  std::string listener_name;
  std::string stat_prefix;  // of the connection manager whose filters are compiled
  std::string filter_name;  // as configured: routes name their settings by it
  const envoy::config::trace::v3::Tracing_Http* tracer = nullptr;  // of the bootstrap; null: none
  // Collects what must be delivered before the listener can serve.
  std::vector<std::string>* route_names = nullptr;
  std::vector<std::shared_ptr<TlsSource>>* tls_sources = nullptr;
  // Resources of the extension discovery service, by name; null when not delivered.
  std::function<const google::protobuf::Any*(const std::string& name)> find_extension;
};

}  // namespace lateen::proxy
