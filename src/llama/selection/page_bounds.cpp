#include "llama/selection/page_bounds.hpp"

#include <algorithm>
#include <array>
#include <numeric>

namespace vase {

PageBounds::PageBounds(int32_t dim) : stride_(pad_to_lanes(dim)) {}

int32_t PageBounds::pages_at(int32_t budget) { return std::max(kLeastRows, budget) / kPage; }

void PageBounds::forget_from(int32_t rows) { pages_ = std::min(pages_, rows / kPage); }

std::span<float> PageBounds::row_of(std::vector<float> &all, int32_t page) const {
  return std::span(all).subspan(static_cast<size_t>(page) * static_cast<size_t>(stride_),
                                static_cast<size_t>(stride_));
}

void PageBounds::read(const vase_rows &keys, int32_t head, int32_t rows) {
  const int32_t pages = rows / kPage;
  if (pages <= pages_) return;
  const auto floats = static_cast<size_t>(pages) * static_cast<size_t>(stride_);
  greatest_.resize(floats);
  least_.resize(floats);
  for (; pages_ < pages; ++pages_)
    bound(keys, head, pages_ * kPage, kPage, row_of(greatest_, pages_), row_of(least_, pages_));
}

void PageBounds::bound(const vase_rows &keys, int32_t head, int32_t first, int32_t count,
                       std::span<float> greatest, std::span<float> least) const {
  std::array<int32_t, kPage> cells{};
  std::iota(cells.begin(), cells.end(), first);
  std::vector<float> rows(static_cast<size_t>(count) * static_cast<size_t>(stride_));
  const DenseRows dense{rows.data(), count, stride_};
  best_kernels().read_rows(keys, head, cells.data(), dense);
  std::copy_n(dense.row(0), stride_, greatest.begin());
  std::copy_n(dense.row(0), stride_, least.begin());
  for (int32_t i = 1; i < count; ++i)
    for (int32_t d = 0; d < stride_; ++d) {
      const auto at = static_cast<size_t>(d);
      greatest[at] = std::max(greatest[at], dense.row(i)[d]);
      least[at] = std::min(least[at], dense.row(i)[d]);
    }
}

std::vector<float> PageBounds::bounds(std::span<const float> query, const vase_rows &keys,
                                      int32_t head, int32_t rows) const {
  // A positive element of the query has its greatest product with the greatest element of a key.
  std::vector<float> positive(query.size()), negative(query.size());
  for (size_t d = 0; d < query.size(); ++d) {
    positive[d] = std::max(query[d], 0.0f);
    negative[d] = std::min(query[d], 0.0f);
  }
  const auto add = [&](const float *greatest, const float *least, int32_t pages, float *out) {
    std::vector<float> below(static_cast<size_t>(pages));
    // The kernels only read the rows.
    best_kernels().dots({const_cast<float *>(greatest), pages, stride_}, positive.data(), 0, out);
    best_kernels().dots({const_cast<float *>(least), pages, stride_}, negative.data(), 0,
                        below.data());
    for (int32_t page = 0; page < pages; ++page) out[page] += below[static_cast<size_t>(page)];
  };
  std::vector<float> bounds(static_cast<size_t>(pages_of(rows)));
  const int32_t full = rows / kPage;
  add(greatest_.data(), least_.data(), full, bounds.data());
  if (const int32_t rest = rows % kPage; rest > 0) {
    std::vector<float> greatest(static_cast<size_t>(stride_)), least(greatest);
    bound(keys, head, full * kPage, rest, greatest, least);
    add(greatest.data(), least.data(), 1, &bounds.back());
  }
  return bounds;
}

}  // namespace vase
