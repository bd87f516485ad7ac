// Dates, durations, paths and URLs: the small remainder of sprig that charts reach for.
#include <ctime>

#include "base/clock.h"
#include "base/strings.h"
#include "chart/functions.h"

namespace lateen::chart {
namespace {

using Out = Result<Value>;

// Values carry a moment as seconds since 1970; charts only format it.
WallTime moment_of(const Value& value) {
  if (const auto* text = value.if_string()) {
    if (auto parsed = parse_rfc3339(*text)) return *parsed;
  }
  return WallTime(seconds(integer_or_zero(value)));
}

// Go's reference layout ("2006-01-02") turned into strftime's.
std::string strftime_layout(std::string_view layout) {
  static constexpr std::pair<std::string_view, std::string_view> kParts[] = {
      {"January", "%B"}, {"Monday", "%A"}, {"2006", "%Y"},     {"Jan", "%b"},
      {"Mon", "%a"},     {"MST", "UTC"},   {"-0700", "+0000"}, {"Z07:00", "Z"},
      {"01", "%m"},      {"02", "%d"},     {"15", "%H"},       {"03", "%I"},
      {"04", "%M"},      {"05", "%S"},     {"06", "%y"},       {"PM", "%p"}};
  std::string out;
  while (!layout.empty()) {
    bool is_found = false;
    for (const auto& [go, c] : kParts) {
      if (!layout.starts_with(go)) continue;
      out += c;
      layout.remove_prefix(go.size());
      is_found = true;
      break;
    }
    if (is_found) continue;
    out += layout[0] == '%' ? "%%" : std::string(1, layout[0]);
    layout.remove_prefix(1);
  }
  return out;
}

std::string format_date(const std::string& layout, WallTime moment) {
  const std::time_t at = std::chrono::duration_cast<seconds>(moment.time_since_epoch()).count();
  std::tm parts{};
  gmtime_r(&at, &parts);
  char text[256];
  return {text, std::strftime(text, sizeof text, strftime_layout(layout).c_str(), &parts)};
}

Out date(Call&, Arguments& a) { return format_date(TRY(text_argument(a, 0)), moment_of(a[1])); }
Out html_date(Call&, Arguments& a) { return format_date("2006-01-02", moment_of(a[0])); }

Out date_modify(Call&, Arguments& a) {
  const nanoseconds by = TRY(parse_duration(TRY(text_argument(a, 0))));
  return format_rfc3339(moment_of(a[1]) + by);
}

Out duration(Call&, Arguments& a) { return format_duration(seconds(integer_or_zero(a[0]))); }

std::string last_part(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  if (path.empty()) return ".";
  const auto slash = path.rfind('/');
  return std::string(slash == std::string_view::npos || path.size() == 1 ? path
                                                                         : path.substr(slash + 1));
}

std::string parent(std::string_view path) {
  const auto slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return slash == 0 ? "/" : std::string(path.substr(0, slash));
}

std::string extension(std::string_view path) {
  const auto dot = path.rfind('.');
  return dot == std::string_view::npos || path.find('/', dot) != std::string_view::npos
             ? ""
             : std::string(path.substr(dot));
}

Out url_parse(Call&, Arguments& a) {
  std::string_view rest;
  const std::string url = TRY(text_argument(a, 0));
  rest = url;
  Map made{{"scheme", ""}, {"userinfo", ""}, {"host", ""},    {"hostname", ""},
           {"path", ""},   {"query", ""},    {"fragment", ""}};
  if (const auto cut = split_once(rest, "#")) {
    made["fragment"] = std::string(cut->second);
    rest = cut->first;
  }
  if (const auto cut = split_once(rest, "?")) {
    made["query"] = std::string(cut->second);
    rest = cut->first;
  }
  if (const auto cut = split_once(rest, "://")) {
    made["scheme"] = std::string(cut->first);
    const auto slash = std::min(cut->second.find('/'), cut->second.size());
    std::string_view host = cut->second.substr(0, slash);
    rest = cut->second.substr(slash);
    if (const auto user = split_once(host, "@")) {
      made["userinfo"] = std::string(user->first);
      host = user->second;
    }
    made["host"] = std::string(host);
    made["hostname"] = std::string(host.substr(0, host.rfind(':')));
  }
  made["path"] = std::string(rest);
  return made;
}

constexpr Builtin kFunctions[] = {
    // Rendering must be repeatable, so "now" is the epoch; charts that stamp objects would never
    // settle.
    {"now", 0, 0, [](Call&, Arguments&) -> Out { return std::int64_t{0}; }},
    {"date", 2, 2, date},
    {"dateInZone", 3, 3, date},
    {"htmlDate", 1, 1, html_date},
    {"dateModify", 2, 2, date_modify},
    {"duration", 1, 1, duration},
    {"unixEpoch", 1, 1,
     [](Call&, Arguments& a) -> Out { return std::to_string(integer_or_zero(a[0])); }},
    {"base", 1, 1, [](Call&, Arguments& a) -> Out { return last_part(TRY(text_argument(a, 0))); }},
    {"dir", 1, 1, [](Call&, Arguments& a) -> Out { return parent(TRY(text_argument(a, 0))); }},
    {"ext", 1, 1, [](Call&, Arguments& a) -> Out { return extension(TRY(text_argument(a, 0))); }},
    {"isAbs", 1, 1,
     [](Call&, Arguments& a) -> Out { return TRY(text_argument(a, 0)).starts_with('/'); }},
    {"urlParse", 1, 1, url_parse},
};

}  // namespace

std::span<const Builtin> time_functions() { return kFunctions; }

}  // namespace lateen::chart
