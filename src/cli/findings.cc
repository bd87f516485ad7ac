#include "cli/findings.h"

#include "base/strings.h"

namespace lateen::cli {
namespace {

Json to_json(const mesh::Finding& finding) {
  Json out = data::JsonObject{
      {"code", finding.code},
      {"documentationUrl", "https://istio.io/latest/docs/reference/config/analysis/" +
                               to_lower(finding.code) + "/?ref=istioctl-analyze"},
      {"level", mesh::to_string(finding.level)},
      {"message", finding.message},
      {"origin", origin_of(finding)}};
  if (!finding.file.empty()) {
    data::set(out, {"reference"},
              Json(finding.file + (finding.line > 0 ? ":" + std::to_string(finding.line) : "")));
  }
  return out;
}

}  // namespace

std::string origin_of(const mesh::Finding& finding) {
  if (finding.object.empty()) return finding.kind;
  return finding.kind + " " + (finding.ns.empty() ? "" : finding.ns + "/") + finding.object;
}

bool parse_level(std::string_view text, mesh::Level& out) {
  for (const mesh::Level each : {mesh::Level::kInfo, mesh::Level::kWarning, mesh::Level::kError}) {
    if (!iequals(text, mesh::to_string(each))) continue;
    out = each;
    return true;
  }
  return false;
}

Result<> print_findings(Session& session, const std::string& output,
                        const std::vector<mesh::Finding>& findings) {
  if (output == "log") {
    for (const auto& each : findings) session.out << each.to_string() << "\n";
    return {};
  }
  data::JsonArray all;
  for (const auto& each : findings) all.push_back(to_json(each));
  session.out << TRY(format_as(Json(std::move(all)), output));
  return {};
}

}  // namespace lateen::cli
