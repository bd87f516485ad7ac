// Envoy's matchers, evaluated on their JSON form for one request that was only described: some
// answers stay unknown.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/envoy_dump.h"

namespace lateen::cli::explain {

enum class Answer : unsigned char { kNo, kYes, kUnknown };
Answer both(Answer a, Answer b);
Answer either(Answer a, Answer b);
Answer negated(Answer a);

// What is known of the request, and of the connection that brings it.
struct Request {
  std::string method = "GET";
  std::string authority;
  std::string path = "/";  // with the query
  bool is_http = true;
  bool is_tls = false;                         // the application itself speaks TLS
  std::map<std::string, std::string> headers;  // lower-case names
  std::string source_ip;
  std::string source_principal;  // "spiffe://…" once a proxy saw a certificate; empty: none
  std::string destination_ip;
  int destination_port = 0;
  std::string sni;
  std::optional<Json> claims;  // of the bearer token, not verified
};
// A header or pseudo header; nullopt when the request has none.
std::optional<std::string> header_of(const Request& request, std::string_view name);
std::string path_only(const Request& request);

Answer match_string(const Json& matcher, std::string_view value);
std::string describe_string(const Json& matcher);  // `exactly "jason"`, `a prefix "/api"`

Answer match_header(const Json& matcher, const Request& request);
std::string describe_header(const Json& matcher);
Answer match_metadata(const Json& matcher, const Request& request);
bool is_in_range(const Json& cidr, std::string_view ip);

// A route's match. `why` is set when it does not (or may not) match: the first part that differs.
Answer match_route(const Json& match, const Request& request, std::string& why);
// A permission or principal of RBAC.
Answer match_rule(const Json& rule, const Request& request);

}  // namespace lateen::cli::explain
