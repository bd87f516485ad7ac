// install.istio.io's InstallStatus as JSON.
#include "operator/status.h"

#include <algorithm>

namespace lateen::op {
namespace {

std::string_view to_string(Status::Level level) {
  switch (level) {
    case Status::Level::kHealthy: return "HEALTHY";
    case Status::Level::kReconciling: return "RECONCILING";
    case Status::Level::kError: return "ERROR";
  }
  return "";
}

}  // namespace

Status Status::mistake(std::string message) {
  Status status;
  status.mistake_ = std::move(message);
  return status;
}

void Status::set(install::Part part, Level level, std::string message) {
  parts_[std::string(install::to_string(part))] = {level, std::move(message)};
}

Status::Level Status::overall() const {
  Level worst = mistake_.empty() ? Level::kHealthy : Level::kError;
  for (const auto& [name, entry] : parts_) worst = std::max(worst, entry.level);
  return worst;
}

data::Json Status::to_json() const {
  data::Json out = data::JsonObject();
  data::set(out, {"status"}, data::Json(to_string(overall())));
  if (!mistake_.empty()) data::set(out, {"message"}, data::Json(mistake_));
  for (const auto& [name, entry] : parts_) {
    data::set(out, {"componentStatus", name, "status"}, data::Json(to_string(entry.level)));
    if (entry.message.empty()) continue;
    data::set(out, {"componentStatus", name, entry.level == Level::kError ? "error" : "message"},
              data::Json(entry.message));
    if (entry.level == Level::kError && mistake_.empty())
      data::set(out, {"message"}, data::Json(name + ": " + entry.message));
  }
  return out;
}

}  // namespace lateen::op
