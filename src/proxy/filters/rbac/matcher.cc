// Each oneof arm of Permission and Principal is one small node class.
#include "proxy/filters/rbac/matcher.h"

#include <algorithm>

#include "base/strings.h"
#include "envoy/config/rbac/v3/rbac.pb.h"
#include "proxy/match/header_matcher.h"
#include "proxy/match/metadata_matcher.h"
#include "proxy/match/string_matcher.h"
#include "proxy/route/compile.h"
#include "xds/any.h"

namespace lateen::proxy {
namespace {

using envoy::config::rbac::v3::Permission;
using envoy::config::rbac::v3::Principal;
using NodePtr = std::unique_ptr<RbacNode>;

constexpr int kMaxDepth = 64;

template <typename Predicate>
class Lambda final : public RbacNode {
 public:
  explicit Lambda(Predicate predicate) : predicate_(std::move(predicate)) {}
  bool matches(const RbacSubject& subject) const override { return predicate_(subject); }

 private:
  Predicate predicate_;
};
template <typename Predicate>
NodePtr node(Predicate predicate) {
  return std::make_unique<Lambda<Predicate>>(std::move(predicate));
}

class All final : public RbacNode {
 public:
  explicit All(std::vector<NodePtr> parts) : parts_(std::move(parts)) {}
  bool matches(const RbacSubject& subject) const override {
    return std::all_of(parts_.begin(), parts_.end(),
                       [&](const auto& part) { return part->matches(subject); });
  }

 private:
  std::vector<NodePtr> parts_;
};
class Any final : public RbacNode {
 public:
  explicit Any(std::vector<NodePtr> parts) : parts_(std::move(parts)) {}
  bool matches(const RbacSubject& subject) const override {
    return std::any_of(parts_.begin(), parts_.end(),
                       [&](const auto& part) { return part->matches(subject); });
  }

 private:
  std::vector<NodePtr> parts_;
};
class Not final : public RbacNode {
 public:
  explicit Not(NodePtr part) : part_(std::move(part)) {}
  bool matches(const RbacSubject& subject) const override { return !part_->matches(subject); }

 private:
  NodePtr part_;
};

Error unsupported(const char* what, const std::string& name) {
  return Error(Code::kUnimplemented,
               std::string("RBAC ") + what + " \"" + name + "\" is not supported", Blame::kConfig);
}

template <typename Range>
Result<net::Cidr> range_of(const Range& config) {
  const net::Ip ip = TRY(net::Ip::parse(config.address_prefix()).at("RBAC address range"));
  const int bits = config.has_prefix_len() ? static_cast<int>(config.prefix_len().value()) : 0;
  if (bits > (ip.is_v4() ? 32 : 128))
    return invalid("RBAC address range: prefix length " + std::to_string(bits), Blame::kConfig);
  return net::Cidr(ip, bits);
}

Result<NodePtr> header_node(const envoy::config::route::v3::HeaderMatcher& config) {
  auto matcher = TRY(HeaderMatcher::compile(config));
  return node([matcher = std::move(matcher)](const RbacSubject& s) {
    return s.request != nullptr && matcher.matches(*s.request);
  });
}

// The path without query and fragment, as Envoy's url_path matches it.
Result<NodePtr> path_node(const envoy::type::matcher::v3::PathMatcher& config) {
  auto matcher = TRY(StringMatcher::compile(config.path()));
  return node([matcher = std::move(matcher)](const RbacSubject& s) {
    return s.request != nullptr &&
           matcher.matches(s.request->path.substr(0, s.request->path.find_first_of("?#")));
  });
}

template <typename Config>
Result<NodePtr> metadata_node(const Config& config) {
  auto matcher = TRY(MetadataMatcher::compile(config));
  return node([matcher = std::move(matcher)](const RbacSubject& s) {
    return matcher.matches(s.info.metadata);
  });
}

bool is_in_range(const net::Cidr& range, const net::Address& address) {
  return !address.is_unix() && range.contains(address.ip().unmapped());
}

template <typename Config, typename Compile>
Result<std::vector<NodePtr>> compile_all(const Config& configs, Compile compile, int depth) {
  if (depth > kMaxDepth) return invalid("RBAC rules are nested too deep", Blame::kConfig);
  std::vector<NodePtr> parts;
  for (const auto& config : configs) parts.push_back(TRY(compile(config, depth + 1)));
  return parts;
}

Result<NodePtr> compile_permission(const Permission& config, int depth) {
  switch (config.rule_case()) {
    case Permission::kAndRules:
      return NodePtr(
          new All(TRY(compile_all(config.and_rules().rules(), compile_permission, depth))));
    case Permission::kOrRules:
      return NodePtr(
          new Any(TRY(compile_all(config.or_rules().rules(), compile_permission, depth))));
    case Permission::kNotRule:
      if (depth > kMaxDepth) return invalid("RBAC rules are nested too deep", Blame::kConfig);
      return NodePtr(new Not(TRY(compile_permission(config.not_rule(), depth + 1))));
    case Permission::kAny: return node([any = config.any()](const RbacSubject&) { return any; });
    case Permission::kHeader: return header_node(config.header());
    case Permission::kUrlPath: return path_node(config.url_path());
    case Permission::kDestinationIp: {
      const net::Cidr range = TRY(range_of(config.destination_ip()));
      return node([range](const RbacSubject& s) { return is_in_range(range, s.connection.local); });
    }
    case Permission::kDestinationPort:
      return node([port = config.destination_port()](const RbacSubject& s) {
        return s.connection.local.port() == port;
      });
    case Permission::kDestinationPortRange:
      return node([begin = config.destination_port_range().start(),
                   end = config.destination_port_range().end()](const RbacSubject& s) {
        return s.connection.local.port() >= begin && s.connection.local.port() < end;
      });
    case Permission::kMetadata: return metadata_node(config.metadata());
    case Permission::kSourcedMetadata:
      return metadata_node(config.sourced_metadata().metadata_matcher());
    case Permission::kRequestedServerName: {
      auto matcher = TRY(StringMatcher::compile(config.requested_server_name()));
      return node([matcher = std::move(matcher)](const RbacSubject& s) {
        return matcher.matches(s.connection.sni);
      });
    }
    case Permission::kMatcher: return unsupported("permission", config.matcher().name());
    case Permission::kUriTemplate: {
      const auto path = TRY(read_uri_template(config.uri_template().typed_config()));
      auto regex = TRY(Regex::compile(path.regex));
      return node([regex = std::move(regex)](const RbacSubject& s) {
        return s.request != nullptr &&
               regex.matches_all(s.request->path.substr(0, s.request->path.find_first_of("?#")));
      });
    }
    case Permission::RULE_NOT_SET:
      return invalid("an RBAC permission says nothing", Blame::kConfig);
  }
  return unsupported("permission", "unknown");
}

// The names a peer is known by, in Envoy's order: URI SANs, DNS SANs, the subject.
Result<NodePtr> authenticated_node(const Principal::Authenticated& config) {
  if (!config.has_principal_name())
    return node([](const RbacSubject& s) {
      return s.connection.tls != nullptr && s.connection.tls->has_peer_certificate;
    });
  auto matcher = TRY(StringMatcher::compile(config.principal_name()));
  return node([matcher = std::move(matcher)](const RbacSubject& s) {
    const net::TlsInfo* tls = s.connection.tls;
    if (tls == nullptr || !tls->has_peer_certificate) return false;
    const auto fits = [&](const std::string& name) { return matcher.matches(name); };
    if (!tls->peer_uri_sans.empty())
      return std::any_of(tls->peer_uri_sans.begin(), tls->peer_uri_sans.end(), fits);
    if (!tls->peer_dns_sans.empty())
      return std::any_of(tls->peer_dns_sans.begin(), tls->peer_dns_sans.end(), fits);
    return fits(tls->peer_subject);
  });
}

// "io.istio.peer_principal" and such: what the peer's certificate says, as filter state.
Result<NodePtr> filter_state_node(const envoy::type::matcher::v3::FilterStateMatcher& config) {
  if (!config.has_string_match()) return unsupported("filter state matcher", config.key());
  auto matcher = TRY(StringMatcher::compile(config.string_match()));
  return node([key = config.key(), matcher = std::move(matcher)](const RbacSubject& s) {
    if (key == "io.istio.peer_principal") {
      const net::TlsInfo* tls = s.connection.tls;
      return tls != nullptr && std::any_of(tls->peer_uri_sans.begin(), tls->peer_uri_sans.end(),
                                           [&](const auto& name) { return matcher.matches(name); });
    }
    const auto at = s.info.state.find(key);
    return at != s.info.state.end() && matcher.matches(at->second);
  });
}

Result<NodePtr> compile_principal(const Principal& config, int depth) {
  switch (config.identifier_case()) {
    case Principal::kAndIds:
      return NodePtr(new All(TRY(compile_all(config.and_ids().ids(), compile_principal, depth))));
    case Principal::kOrIds:
      return NodePtr(new Any(TRY(compile_all(config.or_ids().ids(), compile_principal, depth))));
    case Principal::kNotId:
      if (depth > kMaxDepth) return invalid("RBAC rules are nested too deep", Blame::kConfig);
      return NodePtr(new Not(TRY(compile_principal(config.not_id(), depth + 1))));
    case Principal::kAny: return node([any = config.any()](const RbacSubject&) { return any; });
    case Principal::kAuthenticated: return authenticated_node(config.authenticated());
    case Principal::kSourceIp:
    case Principal::kDirectRemoteIp: {
      const bool is_direct = config.identifier_case() == Principal::kDirectRemoteIp;
      const net::Cidr range =
          TRY(range_of(is_direct ? config.direct_remote_ip() : config.source_ip()));
      return node(
          [range](const RbacSubject& s) { return is_in_range(range, s.connection.direct_remote); });
    }
    case Principal::kRemoteIp: {
      const net::Cidr range = TRY(range_of(config.remote_ip()));
      return node([range](const RbacSubject& s) {
        return is_in_range(range, s.info.remote ? *s.info.remote : s.connection.remote);
      });
    }
    case Principal::kHeader: return header_node(config.header());
    case Principal::kUrlPath: return path_node(config.url_path());
    case Principal::kMetadata: return metadata_node(config.metadata());
    case Principal::kSourcedMetadata:
      return metadata_node(config.sourced_metadata().metadata_matcher());
    case Principal::kFilterState: return filter_state_node(config.filter_state());
    case Principal::IDENTIFIER_NOT_SET:
      return invalid("an RBAC principal says nothing", Blame::kConfig);
    default: return unsupported("principal", "custom");
  }
}

}  // namespace

Result<std::shared_ptr<const RbacRules>> RbacRules::compile(
    const envoy::config::rbac::v3::RBAC& config) {
  auto rules = std::make_shared<RbacRules>();
  switch (config.action()) {
    case envoy::config::rbac::v3::RBAC::ALLOW: rules->action_ = Action::kAllow; break;
    case envoy::config::rbac::v3::RBAC::DENY: rules->action_ = Action::kDeny; break;
    case envoy::config::rbac::v3::RBAC::LOG: rules->action_ = Action::kLog; break;
    default: return unsupported("action", std::to_string(config.action()));
  }
  std::vector<std::string> names;
  for (const auto& [name, policy] : config.policies()) names.push_back(name);
  std::sort(names.begin(), names.end());
  for (const auto& name : names) {
    const auto& policy = config.policies().at(name);
    auto permissions =
        TRY(compile_all(policy.permissions(), compile_permission, 0).at("policy " + name));
    auto principals =
        TRY(compile_all(policy.principals(), compile_principal, 0).at("policy " + name));
    std::optional<CelExpression> condition;
    if (policy.has_condition())
      condition = TRY(CelExpression::compile(policy.condition()).at("condition of policy " + name));
    else if (policy.has_checked_condition())
      condition = TRY(CelExpression::compile(policy.checked_condition().expr())
                          .at("condition of policy " + name));
    rules->policies_.push_back({name, std::make_unique<Any>(std::move(permissions)),
                                std::make_unique<Any>(std::move(principals)),
                                std::move(condition)});
  }
  return std::shared_ptr<const RbacRules>(std::move(rules));
}

Result<std::shared_ptr<const RbacRules>> RbacRules::compile(
    const ::xds::type::matcher::v3::Matcher& config) {
  using envoy::config::rbac::v3::RBAC;
  auto rules = std::make_shared<RbacRules>();
  const auto action = [&](const google::protobuf::Any& any) -> Result<std::size_t> {
    const auto from = TRY(xds::unpack<envoy::config::rbac::v3::Action>(any));
    rules->tree_actions_.push_back({from.name(), from.action() == RBAC::ALLOW  ? Action::kAllow
                                                 : from.action() == RBAC::DENY ? Action::kDeny
                                                                               : Action::kLog});
    return rules->tree_actions_.size() - 1;
  };
  rules->tree_ = TRY(MatchTree::compile(config, action).at("RBAC matcher"));
  return std::shared_ptr<const RbacRules>(std::move(rules));
}

RbacRules::Decision RbacRules::decide(const RbacSubject& subject) const {
  if (tree_) {
    const auto found = tree_->find({subject.connection, subject.info, subject.request});
    if (!found) return {false, {}};
    const TreeAction& action = tree_actions_[*found];
    return {action.action != Action::kDeny, action.name};
  }
  for (const Policy& policy : policies_) {
    if (!policy.permissions->matches(subject) || !policy.principals->matches(subject)) continue;
    if (policy.condition && !policy.condition->matches(subject.info, subject.request)) continue;
    return {action_ != Action::kDeny, policy.name};
  }
  return {action_ != Action::kAllow, {}};
}

std::string rbac_details(std::string_view policy) {
  std::string details = "rbac_access_denied_matched_policy[";
  details += policy.empty() ? "none" : policy;
  details += "]";
  std::replace(details.begin(), details.end(), ' ', '_');
  return details;
}

}  // namespace lateen::proxy
