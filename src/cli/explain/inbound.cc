// The destination's side: its filter chain, mutual TLS, tokens and policies.
#include <algorithm>
#include <ctime>
#include <set>

#include "base/strings.h"
#include "cli/explain/walk.h"
#include "cli/proxy_tables_text.h"

namespace lateen::cli::explain {
namespace {

Connection connection_of(const Wire& wire, const Request& request, const std::string& ip,
                         int port) {
  Connection out{ip, port};
  if (wire.mode == Wire::Mode::kPlain) {
    if (request.is_http) out.alpn = {"http/1.1"};
    return out;
  }
  out.transport = "tls";
  out.sni = wire.sni;
  if (wire.mode == Wire::Mode::kOther) out.alpn = {"h2", "http/1.1"};
  else if (request.is_http) out.alpn = {"istio-http/1.1", "istio", "http/1.1"};
  else out.alpn = {"istio-peer-exchange", "istio"};
  return out;
}

// The HTTP or network filter's own configuration, its name's end telling which it is.
const Json* config_of(const Json& filter, std::string_view type) {
  const Json* config = member(filter, "typed_config");
  return config != nullptr && text_at(*config, {"@type"}).find(type) != std::string_view::npos
             ? config
             : nullptr;
}

bool allows_missing(const Json& requirement) {
  if (member(requirement, "allow_missing") != nullptr ||
      member(requirement, "allow_missing_or_failed") != nullptr)
    return true;
  for (const auto list : {"requires_any", "requires_all"}) {
    const auto& parts = list_at(requirement, {list, "requirements"});
    if (parts.empty()) continue;
    const auto pass = [](const Json& each) { return allows_missing(each); };
    return std::string_view(list) == "requires_any" ? std::any_of(parts.begin(), parts.end(), pass)
                                                    : std::all_of(parts.begin(), parts.end(), pass);
  }
  return false;
}

std::vector<ObjectRef> policies_of(const std::vector<std::string>& names) {
  std::vector<ObjectRef> out;
  for (const std::string& each : names) {
    PolicyName policy;
    if (!parse_policy_name(each, policy)) continue;
    ObjectRef ref{"AuthorizationPolicy", policy.ns, policy.name};
    if (std::find(out.begin(), out.end(), ref) == out.end()) out.push_back(std::move(ref));
  }
  return out;
}

std::string rule_text(const std::string& policy) {
  PolicyName name;
  if (!parse_policy_name(policy, name)) return "\"" + policy + "\"";
  return "rule " + std::to_string(name.rule) + " of " + name.ns + "/" + name.name;
}

std::string who_text(const Request& request) {
  return request.source_principal.empty() ? "a client without a certificate"
                                          : request.source_principal;
}

}  // namespace

void Walk::arrive(const Hop& hop, const Json& pod, int port, const Wire& wire, Request request) {
  Hop here = hop;
  here.pod = &pod;
  here.loaded = nullptr;
  ++here.depth;
  const std::string name = pod_name(pod);
  request.destination_ip = data::get_string(pod, {"status", "podIP"});
  request.destination_port = port;
  if (wire.mode == Wire::Mode::kPlain) request.source_principal.clear();
  if (wire.mode != Wire::Mode::kPlain) request.sni = wire.sni;
  if (here.depth > kMostHops) return end(here, name, Outcome::kMaybe, "too many hops: a loop?");
  const auto excluded = kube::annotation(pod, "traffic.sidecar.istio.io/excludeInboundPorts");
  const bool is_past = lists_port(excluded, port);
  if (!has_proxy(pod) || is_past) {
    Step& bare = step(pod, "sidecar",
                      is_past ? "port " + std::to_string(port) + " goes past it"
                              : "none: nothing secures or checks what it gets",
                      Outcome::kNote);
    bare.why = is_past ? std::vector<std::string>{"annotation traffic.sidecar.istio.io/"
                                                  "excludeInboundPorts: " + std::string(excluded)}
                       : why_no_proxy(world_, pod);
    if (wire.mode == Wire::Mode::kMutual) {
      bare.outcome = Outcome::kStop;
      return end(here, name, Outcome::kStop,
                 "mTLS mismatch: the client speaks mutual TLS, there is no sidecar to end it");
    }
    return end(here, name, Outcome::kPass);
  }
  const auto loaded = world_.loaded(pod);
  if (!loaded) {
    step(pod, "proxy", "does not answer", Outcome::kMaybe).why = {loaded.error().message()};
    return end(here, name, Outcome::kMaybe, "its proxy cannot be asked");
  }
  here.loaded = *loaded;
  const Json* listener = here.loaded->listener("0.0.0.0_" + std::to_string(port));
  if (!is_gateway(pod) || listener == nullptr) listener = here.loaded->listener("virtualInbound");
  if (listener == nullptr) {
    step(pod, "listener", "none for port " + std::to_string(port), Outcome::kStop).why = {
        "the proxy has not got its configuration (istioctl proxy-status)"};
    return end(here, name, Outcome::kStop, "no listener for port " + std::to_string(port));
  }
  step(pod, "listener", std::string(text_at(*listener, {"name"})));
  const Json* chain =
      choose_chain(*listener, connection_of(wire, request, request.destination_ip, port));
  if (chain == nullptr) {
    const PeerRule rule = peer_rule_for(world_, pod, port);
    Step& refused = step(pod, "mTLS", "no filter chain takes the connection", Outcome::kStop);
    refused.why = {"the client speaks " +
                   std::string(wire.mode == Wire::Mode::kPlain ? "plain text" : "TLS") +
                   ", the server is " + rule.mode + " " + rule.level};
    if (!rule.from.name.empty()) refused.objects = {rule.from};
    return end(here, name, Outcome::kStop, "mTLS mismatch: " + refused.why.front());
  }
  if (!check_wire(here, *chain, port, wire)) return;
  enter_chain(here, *chain, port, request);
}

bool Walk::check_wire(const Hop& hop, const Json& chain, int port, const Wire& wire) {
  const Json& pod = *hop.pod;
  const PeerRule rule = peer_rule_for(world_, pod, port);
  const Json* socket = walk(chain, {"transport_socket", "typed_config"});
  const bool ends_tls =
      socket != nullptr && text_at(*socket, {"@type"}).ends_with("DownstreamTlsContext");
  Step& found = step(pod, "mTLS", rule.mode + " " + rule.level);
  if (!rule.from.name.empty()) found.objects = {rule.from};
  const auto refuse = [&](const std::string& why) {
    found.outcome = Outcome::kStop;
    found.why.push_back(why);
    end(hop, pod_name(pod), Outcome::kStop, "mTLS mismatch: " + why);
    return false;
  };
  if (wire.mode == Wire::Mode::kMutual && !ends_tls)
    return refuse("the client speaks mutual TLS, the server takes port " + std::to_string(port) +
                  " as plain text");
  if (wire.mode == Wire::Mode::kPlain && ends_tls)
    return refuse("the client speaks plain text, the server wants TLS");
  if (wire.mode == Wire::Mode::kPlain) {
    found.why.push_back("the client speaks plain text and has no identity");
    if (rule.mode == "STRICT") {
      found.outcome = Outcome::kMaybe;
      is_certain_ = false;
      found.why.push_back(
          "the proxy takes it still: it has not got the policy yet (istioctl "
          "proxy-status)");
    }
    return true;
  }
  if (wire.mode == Wire::Mode::kOther) return true;
  const std::string server =
      "spiffe://" + hop.loaded->trust_domain + "/ns/" + std::string(kube::namespace_of(pod)) +
      "/sa/" + std::string(data::get_string(pod, {"spec", "serviceAccountName"}, "default"));
  if (!wire.server_names.empty() && std::find(wire.server_names.begin(), wire.server_names.end(),
                                              server) == wire.server_names.end())
    return refuse("the server is " + server + ", the client wants " +
                  join(wire.server_names, " or "));
  found.why.push_back("both prove themselves; the server is " + server);
  return true;
}

void Walk::enter_chain(const Hop& hop, const Json& chain, int port, const Request& request) {
  if (is_gateway(*hop.pod)) return follow_chain(hop, chain, request);
  Hop here = hop;
  const Json* http = find_filter(chain, ".HttpConnectionManager");
  Request seen = request;
  seen.is_http = http != nullptr;
  Step& taken =
      step(*hop.pod, "filter chain",
           std::string(text_at(chain, {"name"})) + (http != nullptr ? ", HTTP" : ", TCP"));
  taken.why = {describe_chain_match(chain)};
  const auto& filters =
      http != nullptr ? list_at(*http, {"http_filters"}) : list_at(chain, {"filters"});
  if (!pass_filters(here, filters, seen)) return;
  std::string cluster;
  if (http != nullptr) {
    if (const Json* routes = member(*http, "route_config")) {
      const RouteChoice choice = choose_route(*routes, seen);
      const Json* action = choice.route == nullptr ? nullptr : member(*choice.route, "route");
      if (action != nullptr) cluster = text_at(*action, {"cluster"});
    }
  } else if (const Json* tcp = find_filter(chain, ".TcpProxy")) {
    cluster = text_at(*tcp, {"cluster"});
  }
  Step& last = step(*hop.pod, "application", "port " + std::to_string(port));
  if (!cluster.empty()) last.why = {"by cluster " + cluster};
  const Json* ready = kube::condition(*hop.pod, "Ready");
  if (ready != nullptr && data::get_string(*ready, {"status"}) != "True") {
    last.outcome = Outcome::kMaybe;
    is_certain_ = false;
    last.why.push_back("the pod is not ready");
  }
  end(here, pod_name(*hop.pod), Outcome::kPass);
}

// `custom`: what the CUSTOM policies' rules say; allowed means that none is about the request.
void Walk::ask_authorizer(const Hop& hop, const Json& check, const RbacVerdict& custom) {
  std::string whom(text_at(check, {"grpc_service", "envoy_grpc", "cluster_name"}));
  if (whom.empty()) whom = text_at(check, {"http_service", "server_uri", "cluster"});
  const bool is_asked = custom.is_allowed != Answer::kYes;
  Step& said = step(*hop.pod, "authorization",
                    is_asked ? "an external authorizer decides: " + whom
                             : std::string("no CUSTOM policy is about the request"),
                    is_asked ? Outcome::kMaybe : Outcome::kPass);
  said.objects = policies_of(
      is_asked && !custom.policy.empty() ? std::vector<std::string>{custom.policy} : custom.others);
}

bool Walk::pass_filters(Hop& hop, const data::JsonArray& filters, const Request& request) {
  std::vector<std::string> loaded;
  RbacVerdict custom;
  bool is_judged = false;
  for (const Json& filter : filters) {
    if (const Json* jwt = config_of(filter, ".JwtAuthentication")) {
      if (!pass_jwt(hop, *jwt, request)) return false;
    }
    if (const Json* check = config_of(filter, ".ExtAuthz")) ask_authorizer(hop, *check, custom);
    const Json* rbac = config_of(filter, ".rbac.v3.RBAC");
    if (rbac == nullptr) continue;
    if (const Json* shadow = member(*rbac, "shadow_rules")) {
      const RbacVerdict verdict = judge(*shadow, request);
      loaded.insert(loaded.end(), verdict.others.begin(), verdict.others.end());
      // The rules of CUSTOM policies only say whether somebody else is to be asked.
      if (text_at(*rbac, {"shadow_rules_stat_prefix"}).find("ext_authz") != std::string_view::npos)
        custom = verdict;
    }
    const Json* rules = member(*rbac, "rules");
    if (rules == nullptr) continue;
    const RbacVerdict verdict = judge(*rules, request);
    loaded.insert(loaded.end(), verdict.others.begin(), verdict.others.end());
    if (!verdict.is_asked) continue;
    is_judged = true;
    const bool is_allowed = verdict.is_allowed == Answer::kYes;
    std::string subject;
    if (verdict.is_deny) {
      subject = is_allowed ? "no DENY policy matches" : "denied by " + rule_text(verdict.policy);
    } else {
      subject = is_allowed ? "allowed by " + rule_text(verdict.policy)
                           : "no ALLOW policy matches, and where there is one, the rest is denied";
    }
    if (verdict.is_allowed == Answer::kUnknown)
      subject = "depends on what is not known here: " + rule_text(verdict.policy);
    Step& said = step(*hop.pod, "authorization", subject,
                      is_allowed                               ? Outcome::kPass
                      : verdict.is_allowed == Answer::kUnknown ? Outcome::kMaybe
                                                               : Outcome::kStop);
    said.why = {"for " + who_text(request)};
    if (request.claims)
      said.why.push_back("the token's claims are believed here; the proxy verifies them");
    const bool is_decided = !verdict.policy.empty();
    said.objects =
        policies_of(is_decided ? std::vector<std::string>{verdict.policy} : verdict.others);
    if (verdict.is_allowed == Answer::kNo) {
      note_unloaded_policies(hop, loaded);
      end(hop, pod_name(*hop.pod), Outcome::kStop,
          request.is_http ? "403 RBAC: access denied: " + subject : "RBAC: closed: " + subject);
      return false;
    }
  }
  const bool is_checking_side = hop.depth > 0 || is_gateway(*hop.pod);
  if (is_checking_side && !is_judged)
    step(*hop.pod, "authorization", "no policy is loaded: everybody may");
  if (is_checking_side) note_unloaded_policies(hop, loaded);
  return true;
}

bool Walk::pass_jwt(const Hop& hop, const Json& config, const Request& request) {
  std::string issuers;
  bool is_known = false;
  const std::string issuer =
      request.claims ? std::string(data::get_string(*request.claims, {"iss"})) : "";
  if (const Json* providers = member(config, "providers");
      providers != nullptr && providers->is_object()) {
    for (const auto& entry : *providers->if_object()) {
      const std::string each(text_at(entry.value(), {"issuer"}));
      issuers += (issuers.empty() ? "" : ", ") + each;
      is_known = is_known || each == issuer;
    }
  }
  std::string problem, subject = "a token of " + issuer + " is verified";
  if (!request.claims) {
    subject = "no token, and none is needed";
    for (const Json& rule : list_at(config, {"rules"})) {
      const Json* needs = member(rule, "requires");
      if (needs != nullptr && !allows_missing(*needs)) problem = "a token is required";
    }
  } else if (!is_known) {
    problem = "nobody trusts the issuer \"" + issuer + "\"";
  } else if (const auto expiry = data::get_int(*request.claims, {"exp"});
             expiry != 0 && expiry < std::time(nullptr)) {
    problem = "the token has expired";
  }
  Step& said = step(*hop.pod, "authentication", problem.empty() ? subject : problem,
                    problem.empty() ? Outcome::kPass : Outcome::kStop);
  said.why = {"tokens of " + issuers + " are accepted"};
  for (const Json& each :
       world_.all(istio_security("requestauthentications", "RequestAuthentication"))) {
    const bool is_near = kube::namespace_of(each) == kube::namespace_of(*hop.pod) ||
                         kube::namespace_of(each) == world_.root_ns();
    if (is_near && selects(data::get_object(each, {"spec", "selector", "matchLabels"}), *hop.pod))
      said.objects.push_back({"RequestAuthentication", std::string(kube::namespace_of(each)),
                              std::string(kube::name_of(each))});
  }
  if (problem.empty()) return true;
  end(hop, pod_name(*hop.pod), Outcome::kStop, "401: " + problem);
  return false;
}

void Walk::note_unloaded_policies(const Hop& hop, const std::vector<std::string>& loaded) {
  const std::vector<ObjectRef> known = policies_of(loaded);
  for (const Json& each :
       world_.all(istio_security("authorizationpolicies", "AuthorizationPolicy"))) {
    const ObjectRef ref{"AuthorizationPolicy", std::string(kube::namespace_of(each)),
                        std::string(kube::name_of(each))};
    const bool is_near = ref.ns == kube::namespace_of(*hop.pod) || ref.ns == world_.root_ns();
    const bool is_attached = data::find(each, {"spec", "targetRefs"}) != nullptr ||
                             data::find(each, {"spec", "targetRef"}) != nullptr;
    if (!is_near || is_attached || data::get_string(each, {"spec", "action"}) == "AUDIT" ||
        !selects(data::get_object(each, {"spec", "selector", "matchLabels"}), *hop.pod) ||
        std::find(known.begin(), known.end(), ref) != known.end())
      continue;
    Step& missing = step(*hop.pod, "authorization", "a policy that selects the pod is not loaded",
                         Outcome::kNote);
    missing.why = {"it has not come yet, or none of its rules is about this kind of traffic"};
    missing.objects = {ref};
  }
}

}  // namespace lateen::cli::explain
