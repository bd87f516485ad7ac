// Picking the filter chain: Envoy's order of criteria, each narrowing to the most specific that
// matches, no backtracking (config.listener.v3.FilterChainMatch).

#include <algorithm>

#include "base/strings.h"
#include "proxy/listener/config.h"

namespace lateen::proxy {
namespace {

constexpr int kNoMatch = -2;
constexpr int kUnset = -1;

int best_prefix(const std::vector<net::Cidr>& ranges, const net::Ip& ip) {
  if (ranges.empty()) return kUnset;
  int best = kNoMatch;
  for (const auto& range : ranges)
    if (range.contains(ip)) best = std::max(best, range.prefix_bits());
  return best;
}

int server_name_score(const std::vector<std::string>& names, const std::string& wanted) {
  if (names.empty()) return kUnset;
  int best = kNoMatch;
  for (const auto& name : names) {
    if (name == wanted) return 1 << 20;
    if (name.starts_with("*.") && wanted.size() > name.size() - 1 &&
        wanted.ends_with(std::string_view(name).substr(1)))
      best = std::max(best, static_cast<int>(name.size()));
    if (name == "*") best = std::max(best, 0);
  }
  return best;
}

int protocol_score(const std::vector<std::string>& protocols,
                   const std::vector<std::string>& offered) {
  if (protocols.empty()) return kUnset;
  // The client's order counts: its first protocol that any chain knows.
  for (std::size_t i = 0; i < offered.size(); ++i)
    if (std::find(protocols.begin(), protocols.end(), offered[i]) != protocols.end())
      return 1000 - static_cast<int>(i);
  return kNoMatch;
}

int source_type_score(ChainMatch::Source source, const ChainFacts& facts) {
  if (source == ChainMatch::Source::kAny) return kUnset;
  const bool is_local = facts.remote.is_unix() || facts.remote.ip().is_loopback() ||
                        facts.remote.ip() == facts.local.ip();
  return is_local == (source == ChainMatch::Source::kSameIpOrLoopback) ? 1 : kNoMatch;
}

int port_score(const std::vector<std::uint16_t>& ports, std::uint16_t port) {
  if (ports.empty()) return kUnset;
  return std::find(ports.begin(), ports.end(), port) != ports.end() ? 1 : kNoMatch;
}

template <typename Score>
void narrow(std::vector<const FilterChainRef*>& candidates, Score score) {
  int best = kNoMatch;
  for (const auto* chain : candidates) best = std::max(best, score((*chain)->match));
  if (best == kNoMatch) return candidates.clear();
  std::erase_if(candidates,
                [&](const FilterChainRef* chain) { return score((*chain)->match) != best; });
}

}  // namespace

bool PortPredicate::matches(std::uint16_t port) const {
  switch (kind) {
    case Kind::kNever: return false;
    case Kind::kAlways: return true;
    case Kind::kRange: return port >= first && port < last;
    case Kind::kNot: return !parts[0].matches(port);
    case Kind::kAny:
      return std::any_of(parts.begin(), parts.end(),
                         [&](const auto& part) { return part.matches(port); });
    case Kind::kAll:
      return std::all_of(parts.begin(), parts.end(),
                         [&](const auto& part) { return part.matches(port); });
  }
  return false;
}

bool ListenerConfig::has_chain(const FilterChain& chain) const {
  return fallback.get() == &chain ||
         std::any_of(chains.begin(), chains.end(),
                     [&](const FilterChainRef& one) { return one.get() == &chain; });
}

FilterChainRef ListenerConfig::find_chain(const ChainFacts& facts) const {
  std::vector<const FilterChainRef*> candidates;
  candidates.reserve(chains.size());
  for (const auto& chain : chains) candidates.push_back(&chain);
  narrow(candidates, [&](const ChainMatch& match) {
    if (!match.destination_port) return kUnset;
    return *match.destination_port == facts.local.port() ? 1 : kNoMatch;
  });
  narrow(candidates, [&](const ChainMatch& match) {
    return best_prefix(match.destinations, facts.local.ip());
  });
  narrow(candidates, [&](const ChainMatch& match) {
    return server_name_score(match.server_names, facts.server_name);
  });
  narrow(candidates, [&](const ChainMatch& match) {
    if (match.transport_protocol.empty()) return kUnset;
    return match.transport_protocol == facts.transport_protocol ? 1 : kNoMatch;
  });
  narrow(candidates, [&](const ChainMatch& match) {
    return protocol_score(match.application_protocols, facts.application_protocols);
  });
  narrow(candidates, [&](const ChainMatch& match) {
    return best_prefix(match.direct_sources, facts.direct_remote.ip());
  });
  narrow(candidates,
         [&](const ChainMatch& match) { return source_type_score(match.source_type, facts); });
  narrow(candidates,
         [&](const ChainMatch& match) { return best_prefix(match.sources, facts.remote.ip()); });
  narrow(candidates, [&](const ChainMatch& match) {
    return port_score(match.source_ports, facts.remote.port());
  });
  return candidates.empty() ? fallback : *candidates.front();
}

}  // namespace lateen::proxy
