// Walks a request from a pod to where it ends, through what the proxies on its way have loaded.
#pragma once

#include "cli/explain/choices.h"
#include "cli/explain/target.h"

namespace lateen::cli::explain {

struct Question {
  Json source;  // the pod
  std::string destination;
  std::string method = "GET", path = "/";
  std::map<std::string, std::string> headers;  // lower-case names
};
// Fails when the destination's name means nothing, or the source's proxy cannot be asked.
Result<Report> explain(World& world, const Question& question);

// TLS as a proxy or an application speaks it to one endpoint.
struct Wire {
  enum class Mode : unsigned char { kPlain, kMutual, kOther };
  Mode mode = Mode::kPlain;
  std::string sni;
  std::vector<std::string> server_names;  // SANs, one of which the server must have; empty: any
};

// Who has the request, on which way, and how far it is.
struct Hop {
  const Json* pod = nullptr;
  const Loaded* loaded = nullptr;  // null: no proxy
  std::int64_t percent = 100;
  int depth = 0;
};

// The walk's state and its parts: walk.cc leaves the source, outbound.cc follows routes and
// clusters, inbound.cc enters the destination.
class Walk {
 public:
  Walk(World& world, Report& report) : world_(world), report_(report) {}

  Result<> leave(const Json& pod, const Target& target, Request request);

 private:
  void leave_without_proxy(const Hop& hop, const Target& target, const Request& request);
  void leave_sidecar(const Hop& hop, const Target& target, const Request& request);
  void leave_gateway(const Hop& hop, const Target& target, const Request& request);

  // outbound.cc
  void follow_chain(const Hop& hop, const Json& chain, Request request);
  void follow_http(const Hop& hop, const Json& config, Request request);
  void follow_route(const Hop& hop, const Json& route, Request request);
  void to_cluster(const Hop& hop, const std::string& name, const Request& request);
  void to_endpoints(const Hop& hop, const Json& cluster, const Request& request);
  void explain_missing_cluster(const Hop& hop, const std::string& name);
  void explain_no_endpoints(const std::string& cluster, Step& step);

  // inbound.cc
  void arrive(const Hop& hop, const Json& pod, int port, const Wire& wire, Request request);
  void enter_chain(const Hop& hop, const Json& chain, int port, const Request& request);
  bool check_wire(const Hop& hop, const Json& chain, int port, const Wire& wire);
  // What the filters before the router, or before the TCP proxy, say; false: the request ended.
  bool pass_filters(Hop& hop, const data::JsonArray& filters, const Request& request);
  void ask_authorizer(const Hop& hop, const Json& check, const RbacVerdict& custom);
  bool pass_jwt(const Hop& hop, const Json& config, const Request& request);
  void note_unloaded_policies(const Hop& hop, const std::vector<std::string>& loaded);

  Step& step(const Json& pod, std::string stage, std::string subject,
             Outcome outcome = Outcome::kPass);
  void end(const Hop& hop, std::string at, Outcome outcome, std::string reason = {});

  World& world_;
  Report& report_;
  bool is_certain_ = true;  // on the way being walked
};

constexpr int kMostHops = 5;          // gateways on the way
constexpr std::size_t kMostPods = 8;  // that one cluster's walk goes to

// The HTTP connection manager, or the TCP proxy, of a chain; null when it has none.
const Json* find_filter(const Json& chain, std::string_view type);
// The objects that metadata names: the Istio config, and with it or without, the service.
std::vector<ObjectRef> objects_of(const Json& resource);

}  // namespace lateen::cli::explain
