// Rules of virtual services that are never reached: behind one that takes everything, or with
// matches that earlier rules have.
#include <fmt/core.h>

#include "mesh/analyze/catalog.h"

namespace lateen::mesh {
namespace {

using data::get_string;
using data::Json;

std::string rule_name(const Json& rule, std::size_t index) {
  const auto name = get_string(rule, {"name"});
  return name.empty() ? "#" + std::to_string(index) : "\"" + std::string(name) + "\"";
}

// Equal texts, equal matches; a match's name is no part of it.
std::string fingerprint(Json match) {
  data::erase(match, {"name"});
  return data::dump_json(match);
}

// A match by prefix, for which a shorter prefix before it may take everything.
struct PrefixMatch {
  std::string rule, name, prefix;
  const Json* match;
};

// The text of an exact or other match, for comparing.
std::string text_of(const Json& match) {
  for (const std::string_view kind : {"exact", "prefix", "regex"}) {
    const auto text = get_string(match, {kind});
    if (!text.empty()) return std::string(text);
  }
  return {};
}

// Whether the earlier value takes all that the later takes; without one, it takes everything.
bool takes(std::string_view earlier, std::string_view later) {
  return earlier.empty() || earlier == later;
}

bool takes_all(const Json& earlier, const Json& later, std::string_view field) {
  const auto& a = data::get_object(earlier, {field});
  const auto& b = data::get_object(later, {field});
  if (a.size() != b.size()) return false;
  for (const auto& entry : a) {
    const Json* other = b.if_contains(entry.key());
    if (other == nullptr || !takes(text_of(entry.value()), text_of(*other))) return false;
  }
  return true;
}

bool covers(const PrefixMatch& earlier, const PrefixMatch& later) {
  const Json &a = *earlier.match, &b = *later.match;
  if (earlier.prefix == later.prefix || !later.prefix.starts_with(earlier.prefix)) return false;
  if (data::get_int(a, {"port"}) != data::get_int(b, {"port"})) return false;
  for (const std::string_view field : {"method", "authority"}) {
    const Json *own = data::find(a, {field}), *other = data::find(b, {field});
    const Json none;
    if (!takes(text_of(own == nullptr ? none : *own), text_of(other == nullptr ? none : *other)))
      return false;
  }
  return takes_all(a, b, "headers") && takes_all(a, b, "queryParams") &&
         takes_all(a, b, "withoutHeaders");
}

class RuleCheck {
 public:
  RuleCheck(Catalog& catalog, const Analysed<VirtualService>& config)
      : catalog_(catalog), config_(config) {}

  void check(std::string_view protocol) {
    const auto& rules = data::get_array(config_.source->value, {"spec", protocol});
    std::map<std::string, std::string> seen;  // fingerprint to rule
    std::vector<PrefixMatch> prefixes;
    bool is_after_all = false;
    for (std::size_t i = 0; i < rules.size(); ++i) {
      const std::string name = rule_name(rules[i], i);
      const auto& matches = data::get_array(rules[i], {"match"});
      if (matches.empty()) {
        if (is_after_all) report_unreachable(name, "only the last rule can have no matches");
        is_after_all = true;
        continue;
      }
      std::size_t duplicates = 0;
      for (std::size_t m = 0; m < matches.size(); ++m) {
        if (is_after_all) {
          report_unreachable(name, "route without matches defined before");
          continue;
        }
        const std::string match = rule_name(matches[m], m);
        const auto [first, is_new] = seen.emplace(fingerprint(matches[m]), name);
        if (!is_new) {
          ++duplicates;
          report_ineffective(name, match, first->second);
          continue;
        }
        const auto prefix = get_string(matches[m], {"uri", "prefix"});
        if (!prefix.empty()) prefixes.push_back({name, match, std::string(prefix), &matches[m]});
      }
      if (duplicates == matches.size()) report_unreachable(name, "all matches used by prior rules");
    }
    report_covered(rules, prefixes);
  }

 private:
  void report_covered(const data::JsonArray& rules, std::vector<PrefixMatch>& prefixes) {
    // Here matches and the earlier rule are told by their numbers.
    for (PrefixMatch& each : prefixes) {
      for (std::size_t i = 0; i < rules.size(); ++i) {
        const auto& matches = data::get_array(rules[i], {"match"});
        for (std::size_t m = 0; m < matches.size(); ++m) {
          if (&matches[m] == each.match) each.name = std::to_string(i) + "#" + std::to_string(m);
        }
      }
    }
    for (std::size_t a = 0; a < prefixes.size(); ++a) {
      for (std::size_t b = a + 1; b < prefixes.size(); ++b) {
        if (!covers(prefixes[a], prefixes[b])) continue;
        const auto number = [](const PrefixMatch& each) {
          return each.name.substr(each.name.find('#'));
        };
        report_ineffective(
            prefixes[b].rule, number(prefixes[b]) + " of prefix " + prefixes[b].prefix,
            number(prefixes[a]) + " of prefix " + prefixes[a].prefix + " on " + prefixes[a].rule);
      }
    }
  }

  void report_unreachable(const std::string& rule, std::string_view why) {
    catalog_.add(config_, "IST0130",
                 fmt::format("VirtualService rule {} not used ({}).", rule, why));
  }

  void report_ineffective(const std::string& rule, const std::string& match,
                          const std::string& earlier) {
    catalog_.add(config_, "IST0131",
                 fmt::format("VirtualService rule {} match {} is not used (duplicate/overlapping "
                             "match in rule {}).",
                             rule, match, earlier));
  }

  Catalog& catalog_;
  const Analysed<VirtualService>& config_;
};

}  // namespace

void analyze_virtual_services(Catalog& catalog) {
  for (const auto& config : catalog.virtual_services) {
    for (const std::string_view protocol : {"http", "tls", "tcp"})
      RuleCheck(catalog, config).check(protocol);
  }
}

}  // namespace lateen::mesh
