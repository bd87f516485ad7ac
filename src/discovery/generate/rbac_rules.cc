#include "discovery/generate/rbac_rules.h"

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "envoy/config/rbac/v3/rbac.pb.h"
#include "envoy/extensions/path/match/uri_template/v3/uri_template_match.pb.h"
#include "xds/any.h"

// Principals by source_ip and headers by exact_match are deprecated spellings that every proxy
// reads.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace lateen::discovery {
namespace {

namespace rbac = envoy::config::rbac::v3;
using envoy::config::core::v3::CidrRange;
using envoy::type::matcher::v3::MetadataMatcher;
using envoy::type::matcher::v3::StringMatcher;
using Texts = std::vector<std::string>;

constexpr const char* kJwtFilter = "envoy.filters.http.jwt_authn";

std::string quote_regex(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view("\\.+*?()|[]{}^$").find(c) != std::string_view::npos) out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

void set_regex(const std::string& regex, StringMatcher& out) {
  out.mutable_safe_regex()->set_regex(regex);
}

// "*" anything, "a*" prefix, "*a" suffix, else exact; `prefix` goes before the literal text.
void set_string(std::string_view value, std::string_view prefix, StringMatcher& out) {
  if (value == "*") return set_regex(".+", out);
  if (value.starts_with("*")) return out.set_suffix(std::string(value.substr(1)));
  if (value.ends_with("*")) {
    value.remove_suffix(1);
    return out.set_prefix(std::string(prefix) + std::string(value));
  }
  out.set_exact(std::string(prefix) + std::string(value));
}

bool set_cidr(std::string_view text, CidrRange& out) {
  const auto parts = split_once(text, "/");
  const std::string_view ip = parts ? parts->first : text;
  const std::uint32_t whole = ip.find(':') == std::string_view::npos ? 32 : 128;
  out.set_address_prefix(std::string(ip));
  const auto bits = parts ? parse_uint(parts->second) : std::optional<std::uint64_t>(whole);
  if (!bits || *bits > whole) return false;
  out.mutable_prefix_len()->set_value(static_cast<std::uint32_t>(*bits));
  return true;
}

void set_path(const Texts& keys, MetadataMatcher& out) {
  out.set_filter(kJwtFilter);
  out.add_path()->set_key("payload");
  for (const std::string& key : keys) out.add_path()->set_key(key);
}

// Claims are strings or lists of strings.
void add_claim(const Texts& keys, std::string_view value, rbac::Principal& out) {
  auto& either = *out.mutable_or_ids();
  MetadataMatcher& text = *either.add_ids()->mutable_metadata();
  set_path(keys, text);
  set_string(value, "", *text.mutable_value()->mutable_string_match());
  MetadataMatcher& list = *either.add_ids()->mutable_metadata();
  set_path(keys, list);
  set_string(value, "",
             *list.mutable_value()->mutable_list_match()->mutable_one_of()->mutable_string_match());
}

void set_request_principal(std::string_view value, rbac::Principal& out) {
  const std::size_t slash = value.rfind('/');
  std::string issuer(value.substr(0, slash));
  std::string subject =
      slash == std::string_view::npos ? "*" : std::string(value.substr(slash + 1));
  if (value == "*") issuer = subject = "*";
  if (slash == std::string_view::npos && value.starts_with("*") && value != "*") {
    subject = issuer;
    issuer = "*";
  }
  const auto add = [&](const char* claim, const std::string& wanted) {
    MetadataMatcher& match = *out.mutable_and_ids()->add_ids()->mutable_metadata();
    set_path({claim}, match);
    set_string(wanted, "", *match.mutable_value()->mutable_string_match());
  };
  add("iss", issuer);
  add("sub", subject);
}

void set_header(const std::string& name, std::string_view value, bool is_case_ignored,
                envoy::config::route::v3::HeaderMatcher& out) {
  out.set_name(name);
  if (value == "*") return out.set_present_match(true);
  StringMatcher& match = *out.mutable_string_match();
  set_string(value, "", match);
  if (is_case_ignored) match.set_ignore_case(true);
}

// ----- attributes: each turns one value into a principal or a permission
// --------------------------

using PrincipalMaker = void (*)(const std::string& key, const std::string& value,
                                const RuleContext& context, rbac::Principal& out);
using PermissionMaker = void (*)(const std::string& key, const std::string& value,
                                 rbac::Permission& out);

std::string in_brackets(std::string_view key) {
  const std::size_t open = key.find('[');
  const std::size_t close = key.rfind(']');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) return {};
  return std::string(key.substr(open + 1, close - open - 1));
}

// "cluster.local/ns/default/sa/a": of the mesh's trust domain ("cluster.local" always means it) the
// same workload has a name in each of the domain's aliases.
void principal_identity(const std::string&, const std::string& value, const RuleContext& context,
                        rbac::Principal& out) {
  const auto set = [](std::string_view name, rbac::Principal& to) {
    set_string(name, "spiffe://", *to.mutable_authenticated()->mutable_principal_name());
  };
  const auto parts = split_once(value, "/");
  const auto& domains = context.trust_domains;
  const bool is_ours = parts && !parts->first.starts_with("*") && !domains.empty() &&
                       (parts->first == "cluster.local" ||
                        std::find(domains.begin(), domains.end(), parts->first) != domains.end());
  if (!is_ours || (domains.size() == 1 && domains.front() == parts->first)) return set(value, out);
  std::set<std::string> names;
  for (const std::string& domain : domains) names.insert(domain + "/" + std::string(parts->second));
  for (const std::string& name : names) set(name, *out.mutable_or_ids()->add_ids());
}

void principal_namespace(const std::string&, const std::string& value, const RuleContext&,
                         rbac::Principal& out) {
  std::string regex = ".*/ns/";
  const auto parts = split(value, '*');
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) regex += ".*";
    regex += quote_regex(parts[i]);
  }
  set_regex(regex + "/.*", *out.mutable_authenticated()->mutable_principal_name());
}

void principal_service_account(const std::string&, const std::string& value,
                               const RuleContext& context, rbac::Principal& out) {
  const auto parts = split_once(value, "/");
  const std::string_view ns = parts ? parts->first : std::string_view(context.policy_ns);
  const std::string_view name = parts ? parts->second : std::string_view(value);
  set_regex("spiffe://.+/ns/" + quote_regex(ns) + "/(.+/|)sa/" + quote_regex(name) + "(/.+)?",
            *out.mutable_authenticated()->mutable_principal_name());
}

void principal_trust_domain(const std::string&, const std::string& value, const RuleContext&,
                            rbac::Principal& out) {
  const std::string domain = value == "*" ? "" : value + "/";
  out.mutable_authenticated()->mutable_principal_name()->set_prefix("spiffe://" + domain);
}

void principal_source_ip(const std::string&, const std::string& value, const RuleContext&,
                         rbac::Principal& out) {
  set_cidr(value, *out.mutable_direct_remote_ip());
}

void principal_remote_ip(const std::string&, const std::string& value, const RuleContext&,
                         rbac::Principal& out) {
  set_cidr(value, *out.mutable_remote_ip());
}

void principal_request(const std::string&, const std::string& value, const RuleContext&,
                       rbac::Principal& out) {
  set_request_principal(value, out);
}

void principal_audience(const std::string&, const std::string& value, const RuleContext&,
                        rbac::Principal& out) {
  add_claim({"aud"}, value, out);
}

void principal_presenter(const std::string&, const std::string& value, const RuleContext&,
                         rbac::Principal& out) {
  add_claim({"azp"}, value, out);
}

void principal_claim(const std::string& key, const std::string& value, const RuleContext&,
                     rbac::Principal& out) {
  Texts keys;
  for (const std::string_view part : split(replace_all(in_brackets(key), "][", "\x01"), '\x01')) {
    keys.emplace_back(part);
  }
  add_claim(keys, value, out);
}

void principal_header(const std::string& key, const std::string& value, const RuleContext&,
                      rbac::Principal& out) {
  set_header(in_brackets(key), value, false, *out.mutable_header());
}

void permission_host(const std::string&, const std::string& value, rbac::Permission& out) {
  set_header(":authority", value, true, *out.mutable_header());
}

void permission_method(const std::string&, const std::string& value, rbac::Permission& out) {
  set_header(":method", value, false, *out.mutable_header());
}

void permission_path(const std::string&, const std::string& value, rbac::Permission& out) {
  if (value.find("{*}") != std::string::npos || value.find("{**}") != std::string::npos) {
    envoy::extensions::path::match::uri_template::v3::UriTemplateMatchConfig config;
    config.set_path_template(replace_all(replace_all(value, "{**}", "**"), "{*}", "*"));
    out.mutable_uri_template()->set_name("uri-template");
    *out.mutable_uri_template()->mutable_typed_config() = xds::pack(config);
    return;
  }
  set_string(value, "", *out.mutable_url_path()->mutable_path());
}

void permission_port(const std::string&, const std::string& value, rbac::Permission& out) {
  out.set_destination_port(static_cast<std::uint32_t>(parse_uint(value).value_or(0)));
}

void permission_ip(const std::string&, const std::string& value, rbac::Permission& out) {
  set_cidr(value, *out.mutable_destination_ip());
}

void permission_sni(const std::string&, const std::string& value, rbac::Permission& out) {
  set_string(value, "", *out.mutable_requested_server_name());
}

// ----- rules -------------------------------------------------------------------------------------

// One source or the list of conditions: all must hold. False: nothing of it is left on this layer.
struct Principals {
  const RuleContext& context;
  rbac::Principal::Set& all;
  bool is_possible = true;

  void add(const std::string& key, const Texts& values, const Texts& not_values,
           PrincipalMaker make, bool is_http_only) {
    if (values.empty() && not_values.empty()) return;
    if (is_http_only && context.layer == RuleLayer::kTcp) {
      if (context.is_allow) is_possible = false;
      return;
    }
    if (!values.empty()) {
      auto& any = *all.add_ids()->mutable_or_ids();
      for (const std::string& value : values) make(key, value, context, *any.add_ids());
    }
    if (!not_values.empty()) {
      auto& any = *all.add_ids()->mutable_not_id()->mutable_or_ids();
      for (const std::string& value : not_values) make(key, value, context, *any.add_ids());
    }
  }
};

struct Permissions {
  const RuleContext& context;
  rbac::Permission::Set& all;
  bool is_possible = true;

  void add(const std::string& key, const Texts& values, const Texts& not_values,
           PermissionMaker make, bool is_http_only) {
    if (values.empty() && not_values.empty()) return;
    if (is_http_only && context.layer == RuleLayer::kTcp) {
      if (context.is_allow) is_possible = false;
      return;
    }
    if (!values.empty()) {
      auto& any = *all.add_rules()->mutable_or_rules();
      for (const std::string& value : values) make(key, value, *any.add_rules());
    }
    if (!not_values.empty()) {
      auto& any = *all.add_rules()->mutable_not_rule()->mutable_or_rules();
      for (const std::string& value : not_values) make(key, value, *any.add_rules());
    }
  }
};

bool add_source(const mesh::AuthorizationPolicy::Source& source, const RuleContext& context,
                rbac::Principal::Set& all) {
  Principals out{context, all};
  out.add("", source.principals, source.not_principals, principal_identity, false);
  out.add("", source.namespaces, source.not_namespaces, principal_namespace, false);
  out.add("", source.service_accounts, source.not_service_accounts, principal_service_account,
          false);
  out.add("", source.trust_domains, source.not_trust_domains, principal_trust_domain, false);
  out.add("", source.ip_blocks, source.not_ip_blocks, principal_source_ip, false);
  out.add("", source.remote_ip_blocks, source.not_remote_ip_blocks, principal_remote_ip, false);
  out.add("", source.request_principals, source.not_request_principals, principal_request, true);
  return out.is_possible;
}

struct Attribute {
  std::string_view key;  // the whole key, or with '[' at its end: the part before the bracket
  PrincipalMaker principal;
  PermissionMaker permission;
  bool is_http_only;
};
constexpr Attribute kAttributes[] = {
    {"source.ip", principal_source_ip, nullptr, false},
    {"remote.ip", principal_remote_ip, nullptr, false},
    {"source.namespace", principal_namespace, nullptr, false},
    {"source.serviceAccount", principal_service_account, nullptr, false},
    {"source.trustDomain", principal_trust_domain, nullptr, false},
    {"source.principal", principal_identity, nullptr, false},
    {"request.auth.principal", principal_request, nullptr, true},
    {"request.auth.audiences", principal_audience, nullptr, true},
    {"request.auth.presenter", principal_presenter, nullptr, true},
    {"request.auth.claims[", principal_claim, nullptr, true},
    {"request.headers[", principal_header, nullptr, true},
    {"destination.ip", nullptr, permission_ip, false},
    {"destination.port", nullptr, permission_port, false},
    {"connection.sni", nullptr, permission_sni, false},
};

const Attribute* find_attribute(std::string_view key) {
  for (const Attribute& attribute : kAttributes) {
    if (attribute.key.ends_with('[') ? key.starts_with(attribute.key) : key == attribute.key) {
      return &attribute;
    }
  }
  return nullptr;
}

bool add_operation(const mesh::AuthorizationPolicy::Operation& operation,
                   const RuleContext& context, rbac::Permission::Set& all) {
  Permissions out{context, all};
  out.add("", operation.hosts, operation.not_hosts, permission_host, true);
  out.add("", operation.methods, operation.not_methods, permission_method, true);
  out.add("", operation.paths, operation.not_paths, permission_path, true);
  out.add("", operation.ports, operation.not_ports, permission_port, false);
  return out.is_possible;
}

bool add_conditions(const mesh::AuthorizationPolicy::Rule& rule, const RuleContext& context,
                    rbac::Principal::Set& principals, rbac::Permission::Set& permissions) {
  Principals who{context, principals};
  Permissions what{context, permissions};
  for (const auto& condition : rule.when) {
    const Attribute* attribute = find_attribute(condition.key);
    if (attribute == nullptr) return false;  // validation refuses it; never widen a rule
    if (attribute->principal != nullptr) {
      who.add(condition.key, condition.values, condition.not_values, attribute->principal,
              attribute->is_http_only);
    } else {
      what.add(condition.key, condition.values, condition.not_values, attribute->permission,
               attribute->is_http_only);
    }
  }
  return who.is_possible && what.is_possible;
}

}  // namespace

void make_never(rbac::Policy& out) {
  out.add_permissions()->mutable_not_rule()->set_any(true);
  out.add_principals()->mutable_not_id()->set_any(true);
}

bool make_rbac_policy(const mesh::AuthorizationPolicy::Rule& rule, const RuleContext& context,
                      rbac::Policy& out) {
  // Conditions are part of every alternative.
  rbac::Principal::Set who;
  rbac::Permission::Set what;
  if (!add_conditions(rule, context, who, what)) return false;
  const std::size_t sources = std::max<std::size_t>(rule.from.size(), 1);
  for (std::size_t i = 0; i < sources; ++i) {
    rbac::Principal::Set all = who;
    if (i < rule.from.size() && !add_source(rule.from[i], context, all)) continue;
    rbac::Principal& principal = *out.add_principals();
    if (all.ids_size() == 0) {
      principal.mutable_and_ids()->add_ids()->set_any(true);
    } else {
      *principal.mutable_and_ids() = std::move(all);
    }
  }
  const std::size_t operations = std::max<std::size_t>(rule.to.size(), 1);
  for (std::size_t i = 0; i < operations; ++i) {
    rbac::Permission::Set all = what;
    if (i < rule.to.size() && !add_operation(rule.to[i], context, all)) continue;
    rbac::Permission& permission = *out.add_permissions();
    if (all.rules_size() == 0) {
      permission.mutable_and_rules()->add_rules()->set_any(true);
    } else {
      *permission.mutable_and_rules() = std::move(all);
    }
  }
  return out.principals_size() > 0 && out.permissions_size() > 0;
}

}  // namespace lateen::discovery
