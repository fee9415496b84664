// A plain text table: first column to the left, the others to the right.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace vase::cli {

class Table {
 public:
  /// `n_left`: how many columns, from the first, are aligned to the left.
  explicit Table(std::vector<std::string> header, std::size_t n_left = 1);

  void add(std::vector<std::string> row);
  /// All lines, each ended by a newline.
  std::string str() const;

 private:
  std::vector<std::vector<std::string>> rows_;
  std::size_t n_left_;
};

}  // namespace vase::cli
