#include "mesh/security.h"

#include <set>

#include "base/strings.h"
#include "mesh/check.h"
#include "mesh/hostname.h"

namespace lateen::mesh {
namespace {

MtlsMode read_mode(Reader& reader) {
  return reader.choice<MtlsMode>("mode",
                                 {{"UNSET", MtlsMode::kUnset},
                                  {"DISABLE", MtlsMode::kDisable},
                                  {"PERMISSIVE", MtlsMode::kPermissive},
                                  {"STRICT", MtlsMode::kStrict}},
                                 MtlsMode::kUnset);
}

void read_selector(Reader& reader, Labels& out) {
  reader.object("selector", [&](Reader& r) { out = r.map("matchLabels"); });
}

void read_source(Reader& reader, AuthorizationPolicy::Source& out) {
  out.principals = reader.texts("principals");
  out.not_principals = reader.texts("notPrincipals");
  out.request_principals = reader.texts("requestPrincipals");
  out.not_request_principals = reader.texts("notRequestPrincipals");
  out.namespaces = reader.texts("namespaces");
  out.not_namespaces = reader.texts("notNamespaces");
  out.service_accounts = reader.texts("serviceAccounts");
  out.not_service_accounts = reader.texts("notServiceAccounts");
  out.ip_blocks = reader.texts("ipBlocks");
  out.not_ip_blocks = reader.texts("notIpBlocks");
  out.remote_ip_blocks = reader.texts("remoteIpBlocks");
  out.not_remote_ip_blocks = reader.texts("notRemoteIpBlocks");
  out.trust_domains = reader.texts("trustDomains");
  out.not_trust_domains = reader.texts("notTrustDomains");
}

void read_operation(Reader& reader, AuthorizationPolicy::Operation& out) {
  out.hosts = reader.texts("hosts");
  out.not_hosts = reader.texts("notHosts");
  out.ports = reader.texts("ports");
  out.not_ports = reader.texts("notPorts");
  out.methods = reader.texts("methods");
  out.not_methods = reader.texts("notMethods");
  out.paths = reader.texts("paths");
  out.not_paths = reader.texts("notPaths");
}

void read_jwt_rule(Reader& reader, JwtRule& out) {
  out.issuer = reader.text("issuer");
  out.audiences = reader.texts("audiences");
  out.jwks_uri = reader.text("jwksUri");
  if (out.jwks_uri.empty()) out.jwks_uri = reader.text("jwks_uri");
  out.jwks = reader.text("jwks");
  reader.each("fromHeaders", [&](Reader& r) {
    out.from_headers.push_back({r.text("name"), r.text("prefix")});
  });
  out.from_params = reader.texts("fromParams");
  out.from_cookies = reader.texts("fromCookies");
  out.output_payload_header = reader.text("outputPayloadToHeader");
  out.forwards_token = reader.flag("forwardOriginalToken");
  reader.each("outputClaimToHeaders", [&](Reader& r) {
    out.output_claims.push_back({r.text("header"), r.text("claim")});
  });
  reader.unused("timeout", "the control plane fetches keys, and gives up after 5 seconds");
  out.space_delimited_claims = reader.texts("spaceDelimitedClaims");
  out.is_required =
      reader.choice<bool>("presence", {{"OPTIONAL", false}, {"REQUIRED", true}}, false);
}

}  // namespace

std::string_view to_string(MtlsMode mode) {
  switch (mode) {
    case MtlsMode::kDisable: return "DISABLE";
    case MtlsMode::kPermissive: return "PERMISSIVE";
    case MtlsMode::kStrict: return "STRICT";
    case MtlsMode::kUnset: break;
  }
  return "UNSET";
}

void read_targets(Reader& reader, std::vector<TargetRef>& out) {
  const auto read = [&](Reader& r) {
    out.push_back({r.text("group"), r.text("kind"), r.text("name")});
    r.unused("namespace", "a policy is for objects of its own namespace");
  };
  reader.object("targetRef", read);
  reader.each("targetRefs", read);
}

void read_spec(Reader& reader, PeerAuthentication& spec) {
  read_selector(reader, spec.selector);
  reader.object("mtls", [&](Reader& r) { spec.mode = read_mode(r); });
  reader.each_entry("portLevelMtls", [&](const std::string& name, Reader& r) {
    const auto port = parse_int(name);
    if (!port || *port < 1 || *port > 65535) return r.error("", "port must be a number");
    spec.ports[static_cast<int>(*port)] = read_mode(r);
  });
}

void read_spec(Reader& reader, RequestAuthentication& spec) {
  read_selector(reader, spec.selector);
  read_targets(reader, spec.targets);
  reader.each("jwtRules", [&](Reader& r) { read_jwt_rule(r, spec.rules.emplace_back()); });
}

void read_spec(Reader& reader, AuthorizationPolicy& spec) {
  read_selector(reader, spec.selector);
  read_targets(reader, spec.targets);
  using Action = AuthorizationPolicy::Action;
  spec.action = reader.choice<Action>("action",
                                      {{"ALLOW", Action::kAllow},
                                       {"DENY", Action::kDeny},
                                       {"AUDIT", Action::kAudit},
                                       {"CUSTOM", Action::kCustom}},
                                      Action::kAllow);
  reader.object("provider", [&](Reader& r) { spec.provider = r.text("name"); });
  reader.each("rules", [&](Reader& item) {
    AuthorizationPolicy::Rule& rule = spec.rules.emplace_back();
    item.each("from", [&](Reader& from) {
      AuthorizationPolicy::Source& source = rule.from.emplace_back();
      from.object("source", [&](Reader& r) { read_source(r, source); });
    });
    item.each("to", [&](Reader& to) {
      AuthorizationPolicy::Operation& operation = rule.to.emplace_back();
      to.object("operation", [&](Reader& r) { read_operation(r, operation); });
    });
    item.each("when", [&](Reader& r) {
      rule.when.push_back({r.text("key"), r.texts("values"), r.texts("notValues")});
    });
  });
}

void check_spec(const Meta&, const PeerAuthentication& spec, Issues& issues) {
  check_labels("spec.selector.matchLabels", spec.selector, issues);
  if (!spec.ports.empty() && spec.selector.empty()) {
    issues.error(
        "spec.portLevelMtls: mtls for ports needs a selector: it holds for a workload, "
        "not for a namespace");
  }
}

void check_spec(const Meta&, const RequestAuthentication& spec, Issues& issues) {
  check_labels("spec.selector.matchLabels", spec.selector, issues);
  for (std::size_t i = 0; i < spec.rules.size(); ++i) {
    const JwtRule& rule = spec.rules[i];
    const std::string path = "spec.jwtRules[" + std::to_string(i) + "]";
    if (rule.issuer.empty()) issues.error(path + ".issuer: must be set");
    if (!rule.jwks_uri.empty() && !rule.jwks_uri.starts_with("http://") &&
        !rule.jwks_uri.starts_with("https://")) {
      issues.error(path + ".jwksUri: \"" + rule.jwks_uri + "\" must be an http or https URL");
    }
    if (!rule.jwks.empty()) {
      const auto keys = data::parse_json(rule.jwks);
      if (!keys || data::find(*keys, {"keys"}) == nullptr) {
        issues.error(path + ".jwks: must be a JSON Web Key Set: {\"keys\": [...]}");
      }
      if (!rule.jwks_uri.empty()) issues.warn(path + ".jwksUri: not used, since jwks is set");
    }
    for (const JwtRule::Header& header : rule.from_headers) {
      if (header.name.empty()) issues.error(path + ".fromHeaders.name: must be non-empty");
    }
  }
}

namespace {

using Texts = std::vector<std::string>;

void check_blocks(const std::string& path, const Texts& blocks, Issues& issues) {
  for (const std::string& block : blocks) {
    if (!is_cidr_or_ip(block)) {
      issues.error(path + ": \"" + block + "\" is not an IP address or CIDR range");
    }
  }
}

void check_condition(const std::string& path, const AuthorizationPolicy::Condition& condition,
                     Issues& issues) {
  static const std::set<std::string_view> kPlain = {"source.ip",
                                                    "remote.ip",
                                                    "source.namespace",
                                                    "source.principal",
                                                    "source.serviceAccount",
                                                    "source.trustDomain",
                                                    "request.auth.principal",
                                                    "request.auth.audiences",
                                                    "request.auth.presenter",
                                                    "destination.ip",
                                                    "destination.port",
                                                    "connection.sni"};
  const std::string& key = condition.key;
  const bool is_known = kPlain.count(key) > 0 || key.starts_with("request.headers[") ||
                        key.starts_with("request.auth.claims[") ||
                        key.starts_with("experimental.envoy.filters.");
  if (key.empty()) {
    issues.error(path + ".key: must be set");
  } else if (!is_known) {
    issues.error(path + ".key: unknown attribute \"" + key + "\"");
  }
  if (condition.values.empty() && condition.not_values.empty()) {
    issues.error(path + ": at least one of values or notValues must be set");
  }
}

void check_rule(const std::string& path, const AuthorizationPolicy::Rule& rule, Issues& issues) {
  for (const AuthorizationPolicy::Source& s : rule.from) {
    check_blocks(path + ".from.source.ipBlocks", s.ip_blocks, issues);
    check_blocks(path + ".from.source.notIpBlocks", s.not_ip_blocks, issues);
    check_blocks(path + ".from.source.remoteIpBlocks", s.remote_ip_blocks, issues);
    check_blocks(path + ".from.source.notRemoteIpBlocks", s.not_remote_ip_blocks, issues);
    const bool is_empty =
        s.principals.empty() && s.not_principals.empty() && s.request_principals.empty() &&
        s.not_request_principals.empty() && s.namespaces.empty() && s.not_namespaces.empty() &&
        s.service_accounts.empty() && s.not_service_accounts.empty() && s.ip_blocks.empty() &&
        s.not_ip_blocks.empty() && s.remote_ip_blocks.empty() && s.not_remote_ip_blocks.empty() &&
        s.trust_domains.empty() && s.not_trust_domains.empty();
    if (is_empty) {
      issues.error(path + ".from.source: must have at least one field");
    }
  }
  for (const AuthorizationPolicy::Operation& o : rule.to) {
    const bool is_empty = o.hosts.empty() && o.not_hosts.empty() && o.ports.empty() &&
                          o.not_ports.empty() && o.methods.empty() && o.not_methods.empty() &&
                          o.paths.empty() && o.not_paths.empty();
    if (is_empty) issues.error(path + ".to.operation: must have at least one field");
    for (const Texts* ports : {&o.ports, &o.not_ports}) {
      for (const std::string& port : *ports) {
        const auto number = parse_int(port);
        check_port(path + ".to.operation.ports", number.value_or(0), issues);
      }
    }
  }
  for (const AuthorizationPolicy::Condition& condition : rule.when) {
    check_condition(path + ".when", condition, issues);
  }
}

}  // namespace

void check_spec(const Meta&, const AuthorizationPolicy& spec, Issues& issues) {
  check_labels("spec.selector.matchLabels", spec.selector, issues);
  using Action = AuthorizationPolicy::Action;
  if (spec.action == Action::kCustom && spec.provider.empty()) {
    issues.error("spec.provider.name: must be set for action CUSTOM");
  }
  if (spec.action != Action::kCustom && !spec.provider.empty()) {
    issues.error("spec.provider: is only for action CUSTOM");
  }
  if (spec.action == Action::kDeny && spec.rules.empty()) {
    issues.error(
        "spec.rules: a DENY policy without rules never matches; use \"rules: [{}]\" to "
        "deny everything");
  }
  if (!spec.selector.empty() && !spec.targets.empty()) {
    issues.error("spec: only one of selector and targetRefs can be set");
  }
  for (std::size_t i = 0; i < spec.rules.size(); ++i) {
    check_rule("spec.rules[" + std::to_string(i) + "]", spec.rules[i], issues);
  }
}

}  // namespace lateen::mesh
