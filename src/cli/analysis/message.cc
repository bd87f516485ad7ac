// Message formats of istioctl analyze.
#include "cli/analysis/message.h"

#include "base/strings.h"

namespace lateen::cli {

std::string_view to_string(Severity severity) {
  switch (severity) {
    case Severity::kInfo: return "Info";
    case Severity::kWarning: return "Warning";
    case Severity::kError: return "Error";
  }
  return "";
}

bool parse_severity(std::string_view text, Severity& out) {
  for (const Severity each : {Severity::kInfo, Severity::kWarning, Severity::kError}) {
    if (!iequals(text, to_string(each))) continue;
    out = each;
    return true;
  }
  return false;
}

std::string to_line(const Message& message) {
  std::string out = std::string(to_string(message.severity)) + " [" + message.code + "]";
  if (!message.origin.empty())
    out += " (" + message.origin + (message.place.empty() ? "" : " " + message.place) + ")";
  return out + " " + message.text;
}

Json to_json(const Message& message) {
  Json out = data::JsonObject();
  data::set(out, {"code"}, Json(message.code));
  data::set(out, {"documentationUrl"},
            Json("https://istio.io/latest/docs/reference/config/analysis/" +
                 to_lower(message.code) + "/"));
  data::set(out, {"level"}, Json(to_string(message.severity)));
  data::set(out, {"message"}, Json(message.text));
  if (!message.origin.empty()) data::set(out, {"origin"}, Json(message.origin));
  if (!message.place.empty()) data::set(out, {"reference"}, Json(message.place));
  return out;
}

}  // namespace lateen::cli
