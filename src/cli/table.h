// Columns as Go's tabwriter lays them out for istioctl: padded with spaces, at least `gap` apart,
// the last cell ragged.
#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace lateen::cli {

class Table {
 public:
  explicit Table(std::vector<std::string> header, std::size_t gap = 5, std::size_t min_width = 0)
      : gap_(gap), min_width_(min_width) {
    rows_.push_back(std::move(header));
  }
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  bool empty() const { return rows_.size() <= 1; }
  // Sorts what add() took, by all cells.
  void sort();
  void print(std::ostream& out) const;

 private:
  std::size_t gap_;
  std::size_t min_width_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace lateen::cli
