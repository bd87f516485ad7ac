#include "mesh/check.h"

#include <fmt/core.h>

#include <set>

#include "base/strings.h"
#include "mesh/hostname.h"

namespace lateen::mesh {

void check_port(std::string_view path, std::int64_t port, Issues& issues) {
  if (port >= 1 && port <= 65535) return;
  issues.error(std::string(path) + ": port number " + std::to_string(port) +
               " must be in the range 1..65535");
}

void check_export_to(const std::vector<std::string>& export_to, Issues& issues) {
  std::set<std::string_view> seen;
  for (const std::string& to : export_to) {
    if (!seen.insert(to).second) issues.error("spec.exportTo: duplicate entry \"" + to + "\"");
    if (to == "." || to == "*" || to == "~" || is_dns_label(to)) continue;
    issues.error("spec.exportTo: \"" + to + "\" must be \".\", \"*\", or the name of a namespace");
  }
  if (seen.size() > 1 && seen.count("*") > 0) {
    issues.error("spec.exportTo: \"*\" must stand alone");
  }
}

void check_match(std::string_view path, const StringMatch& match, Issues& issues) {
  if (match.kind == StringMatch::Kind::kRegex) check_regex(path, match.value, issues);
  if (match.kind == StringMatch::Kind::kPrefix && match.value.empty()) {
    issues.error(std::string(path) + ": prefix must not be empty");
  }
}

void check_labels(std::string_view path, const Labels& labels, Issues& issues) {
  for (const auto& [key, value] : labels) {
    if (key.empty()) issues.error(std::string(path) + ": label names must not be empty");
    if (value.find('*') != std::string::npos || key.find('*') != std::string::npos) {
      issues.error(std::string(path) + ": \"" + key + ": " + value +
                   "\" has a wildcard, which labels cannot have");
    }
    if (value.size() > 63) {
      issues.error(std::string(path) + ": value of \"" + key + "\" is longer than 63 characters");
    }
  }
}

void check_duration(std::string_view path, std::optional<nanoseconds> duration, Issues& issues) {
  if (!duration) return;
  if (*duration < milliseconds(1)) {
    issues.error(std::string(path) + ": duration must be greater than 1ms");
  } else if (*duration % milliseconds(1) != nanoseconds(0)) {
    issues.error(std::string(path) + ": only durations to the millisecond are supported");
  }
}

void check_percent(std::string_view path, double percent, Issues& issues) {
  if (percent >= 0 && percent <= 100) return;
  issues.error(std::string(path) + ": percentage " + fmt::format("{}", percent) +
               " must be in the range 0..100");
}

namespace {

// Structure only: brackets, parentheses and repetition operands. The proxy compiles the expression
// itself and rejects the one route that has it; this finds what beginners get wrong ("*" for ".*",
// an open bracket).
std::string find_regex_error(std::string_view regex) {
  int depth = 0;
  bool has_operand = false;
  for (std::size_t i = 0; i < regex.size(); ++i) {
    switch (regex[i]) {
      case '\\':
        if (++i >= regex.size()) return "trailing backslash";
        has_operand = true;
        break;
      case '[': {
        std::size_t end = i + 1;
        if (end < regex.size() && regex[end] == '^') ++end;
        if (end < regex.size() && regex[end] == ']') ++end;
        while (end < regex.size() && regex[end] != ']') end += regex[end] == '\\' ? 2 : 1;
        if (end >= regex.size()) return "missing closing ]";
        i = end;
        has_operand = true;
        break;
      }
      case '(':
        ++depth;
        has_operand = false;
        if (i + 1 < regex.size() && regex[i + 1] == '?') {
          if (i + 2 < regex.size() && (regex[i + 2] == '=' || regex[i + 2] == '!')) {
            return "look-ahead is not supported (RE2 syntax)";
          }
          ++i;
        }
        break;
      case ')':
        if (--depth < 0) return "unexpected )";
        has_operand = true;
        break;
      case '*':
      case '+':
        if (!has_operand)
          return "missing argument to repetition operator: " + std::string(1, regex[i]);
        break;
      case '|': has_operand = false; break;
      default: has_operand = true;
    }
  }
  return depth > 0 ? "missing closing )" : "";
}

}  // namespace

void check_regex(std::string_view path, std::string_view regex, Issues& issues) {
  constexpr std::size_t kMostBytes = 1024;
  if (regex.size() > kMostBytes) {
    issues.error(std::string(path) + ": regex is longer than 1024 bytes");
    return;
  }
  const std::string wrong = find_regex_error(regex);
  if (!wrong.empty()) {
    issues.error(std::string(path) + ": invalid regex \"" + std::string(regex) + "\": " + wrong);
  }
}

}  // namespace lateen::mesh
