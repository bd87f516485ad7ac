// What a proxy's loaded configuration chooses for a request: filter chain, route, verdict of RBAC.
// Pure, on a config dump's JSON.
#pragma once

#include <string>
#include <vector>

#include "cli/explain/matchers.h"

namespace lateen::cli::explain {

// A connection as listener filters see it.
struct Connection {
  std::string ip;  // original destination
  int port = 0;
  std::string sni;
  std::string transport = "raw_buffer";  // or "tls"
  std::vector<std::string> alpn;         // offered, or found by looking
};
// The chain that Envoy's order of matching takes: port, address, SNI, transport, ALPN. Null: none,
// the connection is closed.
const Json* choose_chain(const Json& listener, const Connection& connection);

struct RouteChoice {
  const Json* host = nullptr;   // virtual host; null: the answer is 404
  std::string domain;           // of it, that matched
  const Json* route = nullptr;  // null: the answer is 404
  std::size_t index = 0;
  bool is_certain = true;                // false: routes before it may match as well
  std::vector<std::string> passed_over;  // why not those before: "\"name\": …"
};
RouteChoice choose_route(const Json& route_config, const Request& request);

struct Destination {
  std::string cluster;
  std::int64_t percent = 100;
};
// Clusters of a route's action, or of a TCP proxy's configuration.
std::vector<Destination> destinations_of(const Json& action);

// One RBAC filter's verdict.
struct RbacVerdict {
  Answer is_allowed = Answer::kYes;
  bool is_asked = false;  // it has rules
  bool is_deny = false;   // whether it says who may not, rather than who may
  std::string policy;     // "ns[default]-policy[name]-rule[0]" that decided; empty: none matched
  std::vector<std::string> others;  // names of all its policies
};
RbacVerdict judge(const Json& rules, const Request& request);

// "ns[a]-policy[b]-rule[0]" apart; false for other names.
struct PolicyName {
  std::string ns, name;
  std::int64_t rule = 0;
};
bool parse_policy_name(std::string_view text, PolicyName& out);

}  // namespace lateen::cli::explain
