#include "cli/explain/report.h"

#include <algorithm>
#include <set>

#include "base/strings.h"

namespace lateen::cli::explain {
namespace {

std::string mark(Outcome outcome, bool is_coloured) {
  const auto painted = [&](const char* colour, const char* sign) {
    return is_coloured ? std::string("\033[") + colour + "m" + sign + "\033[0m" : std::string(sign);
  };
  switch (outcome) {
    case Outcome::kPass: return painted("32", "✔");
    case Outcome::kStop: return painted("31", "✘");
    case Outcome::kMaybe: return painted("33", "?");
    case Outcome::kNote: return "·";
  }
  return "·";
}

std::string_view word(Outcome outcome) {
  switch (outcome) {
    case Outcome::kPass: return "pass";
    case Outcome::kStop: return "stop";
    case Outcome::kMaybe: return "maybe";
    case Outcome::kNote: return "note";
  }
  return "note";
}

std::string text_of(const ObjectRef& object) {
  return object.kind + " " + (object.ns.empty() ? "" : object.ns + "/") + object.name;
}

// "virtual-service" is VirtualService.
std::string kind_of_path(std::string_view dashed) {
  std::string out;
  for (const auto part : split(dashed, '-')) {
    if (part.empty()) continue;
    out += static_cast<char>(std::toupper(static_cast<unsigned char>(part.front())));
    out += part.substr(1);
  }
  return out;
}

std::string text_of(const End& end) {
  std::string out;
  switch (end.outcome) {
    case Outcome::kStop: out = "fails at "; break;
    case Outcome::kMaybe: out = "depends at "; break;
    default: out = "arrives at "; break;
  }
  return out + end.at + (end.reason.empty() ? "" : ": " + end.reason);
}

}  // namespace

bool parse_config_path(std::string_view path, ObjectRef& out) {
  const auto parts = split(path, '/');
  // "", apis, group, version, namespaces, ns, kind, name
  if (parts.size() != 8 || parts[1] != "apis" || parts[4] != "namespaces") return false;
  out = {kind_of_path(parts[6]), std::string(parts[5]), std::string(parts[7])};
  return true;
}

Outcome Report::verdict() const {
  const auto has = [&](Outcome outcome) {
    return std::any_of(ends.begin(), ends.end(),
                       [&](const End& end) { return end.outcome == outcome; });
  };
  if (ends.empty()) return Outcome::kStop;
  if (has(Outcome::kMaybe) || (has(Outcome::kStop) && has(Outcome::kPass))) return Outcome::kMaybe;
  return has(Outcome::kStop) ? Outcome::kStop : Outcome::kPass;
}

std::string format_text(const Report& report, bool is_coloured) {
  std::string out = report.source + " -> " + report.destination + "   " + report.request + "\n";
  std::string where;
  for (const Step& step : report.steps) {
    if (step.where != where) out += "\n" + step.where + "\n";
    where = step.where;
    std::string stage = step.stage;
    stage.resize(std::max<std::size_t>(stage.size(), 15), ' ');
    out += "  " + mark(step.outcome, is_coloured) + " " + stage + " " + step.subject + "\n";
    const std::string margin(20, ' ');
    for (const std::string& line : step.why) out += margin + line + "\n";
    std::string from;
    for (const ObjectRef& object : step.objects)
      from += (from.empty() ? "" : ", ") + text_of(object);
    if (!from.empty()) out += margin + "from " + from + "\n";
  }
  const Outcome verdict = report.verdict();
  out += "\n" + mark(verdict, is_coloured) + " ";
  out += verdict == Outcome::kPass   ? "The request arrives."
         : verdict == Outcome::kStop ? "The request does not arrive."
                                     : "It depends.";
  out += "\n";
  for (const End& end : report.ends)
    out += "  " + std::to_string(end.percent) + " % " + text_of(end) + "\n";
  return out;
}

Json to_json(const Report& report) {
  data::JsonArray steps;
  for (const Step& step : report.steps) {
    data::JsonArray why, objects;
    for (const std::string& line : step.why) why.emplace_back(line);
    for (const ObjectRef& object : step.objects) {
      data::JsonObject one{{"kind", object.kind}, {"name", object.name}};
      if (!object.ns.empty()) one["namespace"] = object.ns;
      objects.push_back(std::move(one));
    }
    steps.push_back(data::JsonObject{{"where", step.where},
                                     {"stage", step.stage},
                                     {"subject", step.subject},
                                     {"outcome", word(step.outcome)},
                                     {"why", std::move(why)},
                                     {"objects", std::move(objects)}});
  }
  data::JsonArray ends;
  for (const End& end : report.ends) {
    ends.push_back(data::JsonObject{{"percent", end.percent},
                                    {"at", end.at},
                                    {"outcome", word(end.outcome)},
                                    {"reason", end.reason}});
  }
  return data::JsonObject{{"source", report.source},   {"destination", report.destination},
                          {"request", report.request}, {"verdict", word(report.verdict())},
                          {"steps", std::move(steps)}, {"ends", std::move(ends)}};
}

}  // namespace lateen::cli::explain
