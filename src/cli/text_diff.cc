// Longest common subsequence by dynamic programming: exact, and bounded by a cell budget.
#include "cli/text_diff.h"

#include <algorithm>
#include <vector>

#include "base/strings.h"

namespace lateen::cli {
namespace {

constexpr std::size_t kMostCells = 16'000'000;
constexpr std::size_t kContext = 3;

struct Line {
  char mark;
  std::string_view text;
};

std::vector<Line> compare(const std::vector<std::string_view>& a,
                          const std::vector<std::string_view>& b) {
  std::vector<Line> lines;
  const std::size_t n = a.size(), m = b.size();
  if ((n + 1) * (m + 1) > kMostCells) {
    for (const auto line : a) lines.push_back({'-', line});
    for (const auto line : b) lines.push_back({'+', line});
    return lines;
  }
  std::vector<std::uint32_t> common((n + 1) * (m + 1));
  const auto at = [&](std::size_t i, std::size_t j) -> std::uint32_t& {
    return common[i * (m + 1) + j];
  };
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t j = m; j-- > 0;)
      at(i, j) = a[i] == b[j] ? at(i + 1, j + 1) + 1 : std::max(at(i + 1, j), at(i, j + 1));
  }
  std::size_t i = 0, j = 0;
  while (i < n || j < m) {
    if (i < n && j < m && a[i] == b[j]) {
      lines.push_back({' ', a[i]});
      ++i;
      ++j;
    } else if (i < n && (j == m || at(i + 1, j) >= at(i, j + 1))) lines.push_back({'-', a[i++]});
    else lines.push_back({'+', b[j++]});
  }
  return lines;
}

}  // namespace

std::string text_diff(std::string_view a, std::string_view b) {
  const auto lines = compare(split(a, '\n'), split(b, '\n'));
  std::vector<bool> is_shown(lines.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].mark == ' ') continue;
    const std::size_t begin = i > kContext ? i - kContext : 0;
    for (std::size_t k = begin; k < std::min(lines.size(), i + kContext + 1); ++k)
      is_shown[k] = true;
  }
  std::string out;
  bool is_gap = false;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (!is_shown[i]) {
      is_gap = !out.empty();
      continue;
    }
    if (std::exchange(is_gap, false)) out += "...\n";
    out += lines[i].mark;
    out += lines[i].text;
    out += '\n';
  }
  return out;
}

}  // namespace lateen::cli
