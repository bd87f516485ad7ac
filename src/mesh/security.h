// security.istio.io: PeerAuthentication, RequestAuthentication, AuthorizationPolicy.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mesh/config.h"
#include "mesh/virtual_service.h"

namespace lateen::mesh {

enum class MtlsMode : unsigned char { kUnset, kDisable, kPermissive, kStrict };
std::string_view to_string(MtlsMode mode);

// Policies attach by labels, or to named objects (Gateway API).
struct TargetRef {
  std::string group, kind, name;
};

struct PeerAuthentication {
  Labels selector;
  MtlsMode mode = MtlsMode::kUnset;
  std::map<int, MtlsMode> ports;
};

struct JwtRule {
  struct Header {
    std::string name, prefix;
  };
  struct ClaimHeader {
    std::string header, claim;
  };
  std::string issuer;
  std::vector<std::string> audiences;
  std::string jwks_uri, jwks;
  std::vector<Header> from_headers;
  std::vector<std::string> from_params, from_cookies;
  std::string output_payload_header;
  bool forwards_token = false;
  std::vector<ClaimHeader> output_claims;
  std::vector<std::string> space_delimited_claims;  // beside scope and permission
  bool is_required = false;                         // presence: REQUIRED
};
struct RequestAuthentication {
  Labels selector;
  std::vector<TargetRef> targets;
  std::vector<JwtRule> rules;
};

struct AuthorizationPolicy {
  enum class Action : unsigned char { kAllow, kDeny, kAudit, kCustom };
  struct Source {
    std::vector<std::string> principals, not_principals, request_principals, not_request_principals,
        namespaces, not_namespaces, service_accounts, not_service_accounts, ip_blocks,
        not_ip_blocks, remote_ip_blocks, not_remote_ip_blocks, trust_domains, not_trust_domains;
  };
  struct Operation {
    std::vector<std::string> hosts, not_hosts, ports, not_ports, methods, not_methods, paths,
        not_paths;
  };
  struct Condition {
    std::string key;
    std::vector<std::string> values, not_values;
  };
  struct Rule {
    std::vector<Source> from;
    std::vector<Operation> to;
    std::vector<Condition> when;
  };
  Labels selector;
  std::vector<TargetRef> targets;
  Action action = Action::kAllow;
  std::string provider;
  std::vector<Rule> rules;
};

void read_spec(Reader& reader, PeerAuthentication& spec);
void read_spec(Reader& reader, RequestAuthentication& spec);
void read_spec(Reader& reader, AuthorizationPolicy& spec);
void check_spec(const Meta& meta, const PeerAuthentication& spec, Issues& issues);
void check_spec(const Meta& meta, const RequestAuthentication& spec, Issues& issues);
void check_spec(const Meta& meta, const AuthorizationPolicy& spec, Issues& issues);
void read_targets(Reader& reader, std::vector<TargetRef>& out);

}  // namespace lateen::mesh
