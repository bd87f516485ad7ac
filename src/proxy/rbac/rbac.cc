// Permissions say what is asked for, principals who asks; every rule of Envoy's that does not need
// CEL.

#include "proxy/rbac/rbac.h"

#include <algorithm>

#include "base/strings.h"
#include "envoy/config/rbac/v3/rbac.pb.h"
#include "envoy/extensions/path/match/uri_template/v3/uri_template_match.pb.h"
#include "envoy/type/matcher/v3/path.pb.h"
#include "proxy/match/header_matcher.h"
#include "proxy/rbac/metadata_matcher.h"
#include "proxy/route/compile.h"
#include "xds/any.h"
#include "xds/convert.h"

namespace lateen::proxy {
namespace {

namespace rbac = envoy::config::rbac::v3;
using Facts = RbacEngine::Facts;
using Matcher = RbacEngine::Matcher;

template <typename Rules, typename Compile>
Result<std::vector<Matcher>> compile_all(const Rules& rules, Compile compile) {
  std::vector<Matcher> made;
  for (const auto& rule : rules) made.push_back(TRY(compile(rule)));
  return made;
}

Matcher any_of(std::vector<Matcher> parts) {
  return [parts = std::move(parts)](const Facts& facts) {
    return std::any_of(parts.begin(), parts.end(),
                       [&](const Matcher& part) { return part(facts); });
  };
}
Matcher all_of(std::vector<Matcher> parts) {
  return [parts = std::move(parts)](const Facts& facts) {
    return std::all_of(parts.begin(), parts.end(),
                       [&](const Matcher& part) { return part(facts); });
  };
}
Matcher none_of(Matcher part) {
  return [part = std::move(part)](const Facts& facts) { return !part(facts); };
}

Result<Matcher> header_rule(const envoy::config::route::v3::HeaderMatcher& config) {
  auto matcher = TRY(HeaderMatcher::compile(config));
  return Matcher([matcher = std::move(matcher)](const Facts& facts) {
    return facts.request != nullptr && matcher.matches(*facts.request);
  });
}

Result<Matcher> path_rule(const envoy::type::matcher::v3::PathMatcher& config) {
  auto matcher = TRY(StringMatcher::compile(config.path()));
  return Matcher([matcher = std::move(matcher)](const Facts& facts) {
    if (facts.request == nullptr) return false;
    const std::string_view path = facts.request->path;
    return matcher.matches(path.substr(0, path.find_first_of("?#")));
  });
}

Result<Matcher> metadata_rule(const envoy::type::matcher::v3::MetadataMatcher& config) {
  auto matcher = TRY(MetadataMatcher::compile(config));
  return Matcher([matcher = std::move(matcher)](const Facts& facts) {
    return matcher.matches(facts.info.metadata);
  });
}

Result<Matcher> compile_permission(const rbac::Permission& rule) {
  using P = rbac::Permission;
  switch (rule.rule_case()) {
    case P::kAny: return Matcher([](const Facts&) { return true; });
    case P::kAndRules:
      return all_of(TRY(compile_all(rule.and_rules().rules(), compile_permission)));
    case P::kOrRules: return any_of(TRY(compile_all(rule.or_rules().rules(), compile_permission)));
    case P::kNotRule: return none_of(TRY(compile_permission(rule.not_rule())));
    case P::kHeader: return header_rule(rule.header());
    case P::kUrlPath: return path_rule(rule.url_path());
    case P::kMetadata: return metadata_rule(rule.metadata());
    case P::kDestinationIp: {
      const auto range = TRY(xds::to_cidr(rule.destination_ip()));
      return Matcher(
          [range](const Facts& facts) { return range.contains(facts.info.connection.local.ip()); });
    }
    case P::kDestinationPort:
      return Matcher([port = rule.destination_port()](const Facts& facts) {
        return facts.info.connection.local.port() == port;
      });
    case P::kDestinationPortRange:
      return Matcher([first = rule.destination_port_range().start(),
                      last = rule.destination_port_range().end()](const Facts& facts) {
        const int port = facts.info.connection.local.port();
        return port >= first && port < last;
      });
    case P::kRequestedServerName: {
      auto matcher = TRY(StringMatcher::compile(rule.requested_server_name()));
      return Matcher([matcher = std::move(matcher)](const Facts& facts) {
        return matcher.matches(facts.info.connection.sni);
      });
    }
    case P::kUriTemplate: {
      const auto text = TRY(compile_uri_template(rule.uri_template().typed_config()));
      auto regex = TRY(Regex::compile(text));
      return Matcher([regex = std::move(regex)](const Facts& facts) {
        if (facts.request == nullptr) return false;
        const std::string_view path = facts.request->path;
        return regex.matches_all(path.substr(0, path.find_first_of("?#")));
      });
    }
    default: return invalid("a permission rule that is not supported", Blame::kConfig);
  }
}

Matcher address_rule(net::Cidr range, bool is_direct, bool is_trusted) {
  return [range, is_direct, is_trusted](const Facts& facts) {
    const Connection& connection = facts.info.connection;
    const net::Address& address = is_direct                         ? connection.direct_remote
                                  : is_trusted && facts.info.remote ? *facts.info.remote
                                                                    : connection.remote;
    return !address.is_unix() && range.contains(address.ip().unmapped());
  };
}

Result<Matcher> authenticated_rule(const rbac::Principal::Authenticated& config) {
  std::optional<StringMatcher> matcher;
  if (config.has_principal_name()) matcher = TRY(StringMatcher::compile(config.principal_name()));
  return Matcher([matcher = std::move(matcher)](const Facts& facts) {
    const net::TlsInfo* tls = facts.info.connection.tls;
    if (tls == nullptr || !tls->has_peer_certificate) return false;
    if (!matcher) return true;
    // URI SANs, else DNS SANs, else the subject.
    const auto matches = [&](const std::string& name) { return matcher->matches(name); };
    if (!tls->peer_uri_sans.empty())
      return std::any_of(tls->peer_uri_sans.begin(), tls->peer_uri_sans.end(), matches);
    if (!tls->peer_dns_sans.empty())
      return std::any_of(tls->peer_dns_sans.begin(), tls->peer_dns_sans.end(), matches);
    return matches(tls->peer_subject);
  });
}

Result<Matcher> compile_principal(const rbac::Principal& rule) {
  using P = rbac::Principal;
  switch (rule.identifier_case()) {
    case P::kAny: return Matcher([](const Facts&) { return true; });
    case P::kAndIds: return all_of(TRY(compile_all(rule.and_ids().ids(), compile_principal)));
    case P::kOrIds: return any_of(TRY(compile_all(rule.or_ids().ids(), compile_principal)));
    case P::kNotId: return none_of(TRY(compile_principal(rule.not_id())));
    case P::kAuthenticated: return authenticated_rule(rule.authenticated());
    case P::kSourceIp: return address_rule(TRY(xds::to_cidr(rule.source_ip())), false, false);
    case P::kDirectRemoteIp:
      return address_rule(TRY(xds::to_cidr(rule.direct_remote_ip())), true, false);
    case P::kRemoteIp: return address_rule(TRY(xds::to_cidr(rule.remote_ip())), false, true);
    case P::kHeader: return header_rule(rule.header());
    case P::kUrlPath: return path_rule(rule.url_path());
    case P::kMetadata: return metadata_rule(rule.metadata());
    case P::kFilterState: {
      if (!rule.filter_state().has_string_match())
        return invalid("a filter state matcher of a kind that is not supported", Blame::kConfig);
      auto matcher = TRY(StringMatcher::compile(rule.filter_state().string_match()));
      return Matcher(
          [key = rule.filter_state().key(), matcher = std::move(matcher)](const Facts& facts) {
            // Istio's peer principal is the downstream certificate's here.
            if (key == "io.istio.peer_principal") {
              const net::TlsInfo* tls = facts.info.connection.tls;
              return tls != nullptr && !tls->peer_uri_sans.empty() &&
                     matcher.matches(tls->peer_uri_sans.front());
            }
            const auto found = facts.info.state.find(key);
            return found != facts.info.state.end() && matcher.matches(found->second);
          });
    }
    default: return invalid("a principal rule that is not supported", Blame::kConfig);
  }
}

}  // namespace

Result<RbacEngine> RbacEngine::compile(const rbac::RBAC& config) {
  RbacEngine made;
  if (config.action() == rbac::RBAC::DENY) made.action_ = Action::kDeny;
  if (config.action() == rbac::RBAC::LOG) made.action_ = Action::kLog;
  for (const auto& [name, policy] : config.policies()) {
    if (policy.has_condition() || policy.has_checked_condition())
      return invalid("policy " + name + ": CEL conditions are not supported", Blame::kConfig);
    Policy compiled;
    compiled.name = name;
    compiled.permission =
        any_of(TRY(compile_all(policy.permissions(), compile_permission).at("policy " + name)));
    compiled.principal =
        any_of(TRY(compile_all(policy.principals(), compile_principal).at("policy " + name)));
    made.policies_.push_back(std::move(compiled));
  }
  std::sort(made.policies_.begin(), made.policies_.end(),
            [](const Policy& a, const Policy& b) { return a.name < b.name; });
  return made;
}

RbacEngine::Verdict RbacEngine::judge(const Facts& facts) const {
  for (const Policy& policy : policies_)
    if (policy.permission(facts) && policy.principal(facts))
      return {action_ != Action::kDeny, policy.name};
  return {action_ != Action::kAllow, {}};
}

}  // namespace lateen::proxy
