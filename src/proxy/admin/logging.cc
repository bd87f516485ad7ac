// /logging: levels of all scopes or of single ones, as Envoy's page takes and shows them.

#include "base/log_scopes.h"
#include "base/strings.h"
#include "proxy/admin/admin.h"

namespace lateen::proxy {
namespace {

constexpr std::pair<std::string_view, log::Level> kLevels[] = {
    {"trace", log::Level::kDebug},    {"debug", log::Level::kDebug}, {"info", log::Level::kInfo},
    {"warning", log::Level::kWarn},   {"warn", log::Level::kWarn},   {"error", log::Level::kError},
    {"critical", log::Level::kError}, {"off", log::Level::kNone}};

// Envoy's scopes that istioctl and people name, and those of this proxy's own lines.
constexpr std::string_view kScopes[] = {
    "admin",   "cds",           "client",  "config",   "connection", "dns",
    "filter",  "forward_proxy", "grpc",    "hc",       "health",     "health_checker",
    "http",    "http2",         "init",    "jwt",      "lds",        "listener",
    "lua",     "main",          "misc",    "overload", "pool",       "rbac",
    "restart", "router",        "runtime", "secret",   "stats",      "testing",
    "tracing", "upstream",      "xds"};

std::optional<log::Level> level_of(std::string_view word) {
  for (const auto& [name, level] : kLevels)
    if (name == word) return level;
  return std::nullopt;
}

bool is_scope(std::string_view name) {
  for (const auto one : kScopes)
    if (one == name) return true;
  return false;
}

std::string_view word_of(log::Level level) {
  switch (level) {
    case log::Level::kDebug: return "debug";
    case log::Level::kInfo: return "info";
    case log::Level::kWarn: return "warning";
    case log::Level::kError: return "error";
    default: return "off";
  }
}

}  // namespace

bool apply_log_levels(const std::vector<std::pair<std::string, std::string>>& query) {
  std::vector<std::pair<std::string, log::Level>> wanted;
  for (const auto& [name, value] : query) {
    if (name == "level") {
      const auto level = level_of(value);
      if (!level) return false;
      log::set_all_levels(*level);
      continue;
    }
    const auto add = [&](std::string_view scope, std::string_view word) {
      const auto level = level_of(word);
      if (!level || !is_scope(scope)) return false;
      wanted.emplace_back(scope, *level);
      return true;
    };
    if (name != "paths") {
      if (!add(name, value)) return false;
      continue;
    }
    for (const auto part : split(value, ',')) {
      const auto pair = split_once(part, ":");
      if (!pair || !add(pair->first, pair->second)) return false;
    }
  }
  for (const auto& [scope, level] : wanted) log::set_scope_level(scope, level);
  return true;
}

std::string log_levels_text() {
  const auto own = log::scope_levels();
  std::string out = "active loggers:\n";
  for (const auto scope : kScopes) {
    const auto found = own.find(std::string(scope));
    out += "  " + std::string(scope) + ": " +
           std::string(word_of(found == own.end() ? log::default_level() : found->second)) + "\n";
  }
  return out;
}

}  // namespace lateen::proxy
