// The agent's port 15020: readiness, merged metrics, rewritten application probes, drain and quit.
// Lives on the loop.
#pragma once

#include <map>
#include <memory>

#include "agent/options.h"
#include "http/server.h"

namespace lateen::agent {

// A kubelet probe that injection moved here (ISTIO_KUBE_APP_PROBERS).
struct AppProbe {
  enum class Kind : unsigned char { kHttp, kTcp } kind = Kind::kHttp;
  int port = 0;
  std::string path = "/";
  std::string host;
  bool is_tls = false;
  std::vector<std::pair<std::string, std::string>> headers;
  milliseconds limit{1'000};
};
Result<std::map<std::string, AppProbe>> parse_app_probers(std::string_view json);

class StatusServer final : public http::Service {
 public:
  struct Hooks {
    Function<void()> quit;   // POST /quitquitquit
    Function<void()> drain;  // POST /drain
    // How often the proxy was started. A proxy that was ready once stays so while it lives, and is
    // not asked again unless told to drain; without this it always is.
    Function<int()> proxy_starts;
  };
  static Result<std::unique_ptr<StatusServer>> start(event::Loop& loop, const Options& options,
                                                     Hooks hooks);
  ~StatusServer() override;
  void handle(http::Exchange& exchange, http::Request request, http::Done done) override;

  // From now on readiness says no: the pod is going away.
  void set_draining() { is_draining_ = true; }

 private:
  StatusServer(event::Loop& loop, const Options& options, Hooks hooks);
  void answer_ready(http::Exchange& exchange, http::Done done);
  void answer_metrics(http::Exchange& exchange, const http::Request& request, http::Done done);
  void answer_probe(http::Exchange& exchange, const http::Request& request, const AppProbe& probe,
                    http::Done done);

  event::Loop& loop_;
  const Options& options_;
  Hooks hooks_;
  std::map<std::string, AppProbe> probes_;
  bool was_ready_ = false;
  int ready_start_ = -1;  // the start of the proxy that was ready
  bool is_draining_ = false;
  bool is_told_to_drain_ = false;  // the proxy says when it does
  std::unique_ptr<http::Server> server_;
};

// What the proxy's stats must say before the pod may get traffic: workers started, and CDS and LDS
// taken once (any answer counts: a refused config is an update too). Empty when ready, else what is
// missing.
std::string not_ready_reason(std::string_view stats);

}  // namespace lateen::agent
