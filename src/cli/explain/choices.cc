#include "cli/explain/choices.h"

#include <algorithm>
#include <functional>

#include "base/strings.h"

namespace lateen::cli::explain {
namespace {

using Chains = std::vector<const Json*>;

bool lists(const data::JsonArray& list, std::string_view wanted) {
  return std::any_of(list.begin(), list.end(),
                     [&](const Json& each) { return data::as_string(each) == wanted; });
}

const data::JsonArray& of_match(const Json& chain, std::string_view name) {
  return list_at(chain, {"filter_chain_match", name});
}

// The chains with the highest score; a negative score leaves a chain out.
Chains best(const Chains& chains, const std::function<int(const Json&)>& score_of) {
  Chains out;
  int top = 0;
  for (const Json* chain : chains) {
    const int score = score_of(*chain);
    if (score < 0 || score < top) continue;
    if (score > top) out.clear();
    top = score;
    out.push_back(chain);
  }
  return out;
}

int score_address(const Json& chain, const std::string& ip) {
  const auto& ranges = of_match(chain, "prefix_ranges");
  if (ranges.empty()) return 0;
  int score = -1;
  for (const Json& range : ranges) {
    if (is_in_range(range, ip))
      score = std::max(score, 1 + static_cast<int>(number_at(range, {"prefix_len"})));
  }
  return score;
}

int score_name(const Json& chain, const std::string& sni) {
  const auto& names = of_match(chain, "server_names");
  if (names.empty()) return 0;
  int score = -1;
  for (const Json& each : names) {
    const std::string name = to_lower(data::as_string(each));
    if (name == to_lower(sni)) score = std::max(score, 1'000);
    else if (name.starts_with("*.") && to_lower(sni).ends_with(name.substr(1)))
      score = std::max(score, static_cast<int>(name.size()));
  }
  return score;
}

int score_protocol(const Json& chain, const std::vector<std::string>& offered) {
  const auto& protocols = of_match(chain, "application_protocols");
  if (protocols.empty()) return 0;
  for (std::size_t i = 0; i < offered.size(); ++i) {
    if (lists(protocols, offered[i])) return 1'000 - static_cast<int>(i);
  }
  return -1;
}

std::string without_port(const std::string& authority) {
  const auto colon = authority.rfind(':');
  if (colon == std::string::npos || authority.ends_with(']')) return authority;
  return authority.substr(0, colon);
}

// Exact before "*.suffix" before "prefix.*" before "*", longer ones first.
int score_domain(std::string_view domain, const std::string& authority) {
  const std::string name = to_lower(domain);
  if (name == authority) return 100'000;
  if (name == "*") return 1;
  if (name.starts_with("*") && authority.size() >= name.size() &&
      authority.ends_with(name.substr(1)))
    return 50'000 + static_cast<int>(name.size());
  if (name.ends_with("*") && authority.size() >= name.size() &&
      authority.starts_with(name.substr(0, name.size() - 1)))
    return 10'000 + static_cast<int>(name.size());
  return 0;
}

}  // namespace

const Json* choose_chain(const Json& listener, const Connection& connection) {
  Chains chains;
  for (const Json& chain : list_at(listener, {"filter_chains"})) chains.push_back(&chain);
  chains = best(chains, [&](const Json& chain) {
    const auto port = number_at(chain, {"filter_chain_match", "destination_port"});
    return port == 0 ? 0 : port == connection.port ? 1 : -1;
  });
  chains = best(chains, [&](const Json& chain) { return score_address(chain, connection.ip); });
  chains = best(chains, [&](const Json& chain) { return score_name(chain, connection.sni); });
  chains = best(chains, [&](const Json& chain) {
    const auto transport = text_at(chain, {"filter_chain_match", "transport_protocol"});
    return transport.empty() ? 0 : transport == connection.transport ? 1 : -1;
  });
  chains = best(chains, [&](const Json& chain) { return score_protocol(chain, connection.alpn); });
  if (!chains.empty()) return chains.front();
  return walk(listener, {"default_filter_chain"});
}

RouteChoice choose_route(const Json& route_config, const Request& request) {
  RouteChoice out;
  std::string authority = to_lower(request.authority);
  const Json* ignores = member(route_config, "ignore_port_in_host_matching");
  if (ignores != nullptr && ignores->is_bool() && *ignores->if_bool())
    authority = without_port(authority);
  int top = 0;
  for (const Json& host : list_at(route_config, {"virtual_hosts"})) {
    for (const Json& domain : list_at(host, {"domains"})) {
      const int score = score_domain(data::as_string(domain), authority);
      if (score <= top) continue;
      top = score;
      out.host = &host;
      out.domain = data::as_string(domain);
    }
  }
  if (out.host == nullptr) return out;
  std::size_t index = 0;
  for (const Json& route : list_at(*out.host, {"routes"})) {
    std::string why;
    const Json* match = member(route, "match");
    const Answer answer = match == nullptr ? Answer::kYes : match_route(*match, request, why);
    if (answer == Answer::kYes) {
      out.route = &route;
      out.index = index;
      return out;
    }
    const std::string name(text_at(route, {"name"}));
    out.passed_over.push_back("route " + std::to_string(index) +
                              (name.empty() ? "" : " \"" + name + "\"") + ": " + why);
    if (answer == Answer::kUnknown) out.is_certain = false;
    ++index;
  }
  return out;
}

std::vector<Destination> destinations_of(const Json& action) {
  if (const auto cluster = text_at(action, {"cluster"}); !cluster.empty())
    return {{std::string(cluster), 100}};
  std::int64_t total = 0;
  for (const Json& each : list_at(action, {"weighted_clusters", "clusters"}))
    total += number_at(each, {"weight"});
  std::vector<Destination> out;
  for (const Json& each : list_at(action, {"weighted_clusters", "clusters"})) {
    const auto weight = number_at(each, {"weight"});
    if (weight <= 0 || total <= 0) continue;
    out.push_back({std::string(text_at(each, {"name"})), (weight * 100 + total / 2) / total});
  }
  return out;
}

RbacVerdict judge(const Json& rules, const Request& request) {
  RbacVerdict out;
  const auto action = text_at(rules, {"action"}, "ALLOW");
  if (action == "LOG") return out;
  out.is_asked = true;
  out.is_deny = action == "DENY";
  Answer any = Answer::kNo;
  const Json* policies = member(rules, "policies");
  if (policies != nullptr && policies->is_object()) {
    for (const auto& entry : *policies->if_object()) {
      out.others.emplace_back(entry.key());
      Answer permitted = Answer::kNo, known = Answer::kNo;
      for (const Json& each : list_at(entry.value(), {"permissions"}))
        permitted = either(permitted, match_rule(each, request));
      for (const Json& each : list_at(entry.value(), {"principals"}))
        known = either(known, match_rule(each, request));
      const Answer matches = both(permitted, known);
      if (matches != Answer::kNo && any != Answer::kYes) out.policy = std::string(entry.key());
      any = either(any, matches);
    }
  }
  out.is_allowed = out.is_deny ? negated(any) : any;
  return out;
}

bool parse_policy_name(std::string_view text, PolicyName& out) {
  if (text.starts_with("istio-ext-authz-")) text.remove_prefix(16);
  const auto between = [&](std::string_view open) -> std::optional<std::string> {
    const auto at = text.find(open);
    if (at == std::string_view::npos) return std::nullopt;
    const auto end = text.find(']', at + open.size());
    if (end == std::string_view::npos) return std::nullopt;
    return std::string(text.substr(at + open.size(), end - at - open.size()));
  };
  const auto ns = between("ns["), name = between("-policy["), rule = between("-rule[");
  if (!ns || !name || !rule) return false;
  out = {*ns, *name, parse_int(*rule).value_or(0)};
  return true;
}

}  // namespace lateen::cli::explain
