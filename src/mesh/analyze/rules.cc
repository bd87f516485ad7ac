// Rules of virtual services that are never reached.
#include <fmt/core.h>

#include "mesh/analyze/catalog.h"

namespace lateen::mesh {
namespace {

std::string text_of(const std::optional<StringMatch>& match) {
  if (!match) return "-";
  return std::to_string(static_cast<int>(match->kind)) + match->value;
}

// Equal texts, equal matches.
std::string fingerprint(const HttpMatch& match) {
  std::string out = text_of(match.uri) + "|" + text_of(match.scheme) + "|" + text_of(match.method) +
                    "|" + text_of(match.authority) + "|" + std::to_string(match.port) + "|" +
                    match.source_namespace + (match.is_uri_case_ignored ? "|i" : "|");
  for (const auto* map : {&match.headers, &match.without_headers, &match.query_params}) {
    out += "#";
    for (const auto& [name, value] : *map) out += name + "=" + text_of(value) + ",";
  }
  for (const auto& [key, value] : match.source_labels) out += key + "=" + value + ";";
  for (const std::string& gateway : match.gateways) out += gateway + ";";
  return out;
}

std::string rule_name(const HttpRoute& route, std::size_t index) {
  return route.name.empty() ? "#" + std::to_string(index) : "\"" + route.name + "\"";
}

void check_routes(Catalog& catalog, const Analysed<VirtualService>& config) {
  const auto& routes = config.config.spec.http;
  std::map<std::string, std::string> seen;  // fingerprint to rule
  bool is_after_all = false;
  for (std::size_t i = 0; i < routes.size(); ++i) {
    const std::string name = rule_name(routes[i], i);
    if (is_after_all) {
      catalog.add(config, "IST0130",
                  fmt::format("VirtualService rule {} not used ({}).", name,
                              routes[i].match.empty() ? "only the last rule can have no matches"
                                                      : "follows a rule that matches everything"));
    }
    is_after_all = is_after_all || routes[i].match.empty();
    std::size_t duplicates = 0;
    for (std::size_t m = 0; m < routes[i].match.size(); ++m) {
      const auto [first, is_new] = seen.emplace(fingerprint(routes[i].match[m]), name);
      if (is_new) continue;
      ++duplicates;
      catalog.add(config, "IST0131",
                  fmt::format("VirtualService rule {} match #{} is not used (duplicate/overlapping "
                              "match in rule {}).",
                              name, m, first->second));
    }
    if (duplicates > 0 && duplicates == routes[i].match.size()) {
      catalog.add(
          config, "IST0130",
          fmt::format("VirtualService rule {} not used (all matches used by prior rules).", name));
    }
  }
}

}  // namespace

void analyze_virtual_services(Catalog& catalog) {
  for (const auto& config : catalog.virtual_services) check_routes(catalog, config);
}

}  // namespace lateen::mesh
