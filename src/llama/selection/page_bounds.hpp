// How much attention the keys of a page can have at most (Quest, arXiv 2406.10774).
#ifndef VASE_LLAMA_SELECTION_PAGE_BOUNDS_HPP
#define VASE_LLAMA_SELECTION_PAGE_BOUNDS_HPP

#include <cstdint>
#include <span>
#include <vector>

#include "score/kernels.hpp"
#include "vase/vase.h"

namespace vase {

/// The greatest and the least element of the keys of each page of a KV head, channel by channel.
/// Pages are of 16 rows, from row 0 on; what is kept are full ones.
class PageBounds {
 public:
  static constexpr int32_t kPage = 16;
  static constexpr int32_t kLeastRows = 3 * kPage;  ///< of a budget, as published

  explicit PageBounds(int32_t dim);

  /// Pages that `rows` rows take, the last of which may not be full.
  static int32_t pages_of(int32_t rows) { return (rows + kPage - 1) / kPage; }
  /// Pages that are chosen at a budget of rows: at least 3, as published.
  static int32_t pages_at(int32_t budget);

  /// Rows from `rows` on are to be written anew: forgets the pages that hold them.
  void forget_from(int32_t rows);
  /// Reads the full pages among the first `rows` rows of KV head `head` that it does not know yet.
  void read(const vase_rows &keys, int32_t head, int32_t rows);
  /// [pages_of(rows)] bounds on the product of `query` ([dim], zeros up to a multiple of kLanes)
  /// with any key of a page: sum over the channels of the greater of query * greatest and query *
  /// least. Only full pages that were read, and the rows behind them.
  std::vector<float> bounds(std::span<const float> query, const vase_rows &keys, int32_t head,
                            int32_t rows) const;

 private:
  std::span<float> row_of(std::vector<float> &all, int32_t page) const;
  void bound(const vase_rows &keys, int32_t head, int32_t first, int32_t count,
             std::span<float> greatest, std::span<float> least) const;

  int32_t stride_;
  int32_t pages_ = 0;
  std::vector<float> greatest_, least_;  // [pages][stride]
};

}  // namespace vase

#endif
