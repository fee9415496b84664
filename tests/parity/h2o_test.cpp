// H2O's published code (its H2OKVCache_LayerWise) over several evictions of a growing text: the
// rows that it keeps and what they have been attended to, given the attention that we count.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "parity/npz.hpp"
#include "support/selection.hpp"

namespace vase {
namespace {

/// A cache of one layer, rows in the order of its cells, that grows and is evicted from.
class GrowingCache {
 public:
  explicit GrowingCache(const std::map<std::string, testing::Array>& recorded)
      : keys_(recorded.at("K")),
        queries_(recorded.at("Q")),
        heads_(static_cast<int32_t>(keys_.shape[1])),
        dim_(static_cast<int32_t>(keys_.shape[2])),
        params_(testing::params_for("h2o", static_cast<int32_t>(recorded.at("budget").data[0]))) {
    params_.recency = static_cast<int32_t>(recorded.at("recency").data[0]);
    params_.interval = params_.window = static_cast<int32_t>(recorded.at("window").data[0]);
    params_.sinks = 0;
    rows_ = params_.budget + params_.interval;
    cache_.resize(static_cast<size_t>(rows_ * heads_ * dim_));
    positions_.resize(static_cast<size_t>(rows_ * heads_));
    sums_.resize(positions_.size());
  }

  /// Appends tokens until the cache is full, and evicts.
  void advance(int32_t held) {
    for (int32_t row = held; row < rows_; ++row, ++tokens_)
      for (int32_t head = 0; head < heads_; ++head) {
        const auto from = keys_.data.begin() + (int64_t{tokens_} * heads_ + head) * dim_;
        std::copy_n(from, dim_, cache_.begin() + (int64_t{row} * heads_ + head) * dim_);
        at(positions_, head, row) = tokens_;
        at(sums_, head, row) = 0;
      }
    const std::vector<float> newest = newest_queries();
    vase_layer layer{};
    layer.keys = {cache_.data(), VASE_F32, dim_, int64_t{heads_} * dim_ * 4, int64_t{dim_} * 4, 0};
    layer.values = layer.keys;  // of the same tensor, so that rows move once
    layer.n_heads = heads_;
    layer.n_rows = rows_;
    layer.positions = positions_.data();
    layer.sums = sums_.data();
    layer.queries = newest.data();
    layer.n_query_heads = static_cast<int32_t>(queries_.shape[0]);
    layer.n_queries = params_.window;
    const std::vector<uint8_t> keep = testing::select(params_, layer);
    ASSERT_EQ(vase_compact(&layer, keep.data(), params_.budget, 0, heads_, positions_.data()),
              VASE_OK)
        << vase_last_error();
  }

  /// Of a head's kept rows, oldest token first.
  std::vector<std::pair<int32_t, float>> kept(int32_t head) {
    std::vector<std::pair<int32_t, float>> rows;
    for (int32_t row = 0; row < params_.budget; ++row)
      rows.emplace_back(at(positions_, head, row), at(sums_, head, row));
    std::ranges::sort(rows);
    return rows;
  }

  int32_t budget() const { return params_.budget; }
  int32_t heads() const { return heads_; }

 private:
  template <typename T>
  T& at(std::vector<T>& all, int32_t head, int32_t row) const {
    return all[static_cast<size_t>(head * rows_ + row)];
  }

  std::vector<float> newest_queries() const {
    std::vector<float> newest;
    for (int64_t head = 0; head < queries_.shape[0]; ++head) {
      const auto end = queries_.data.begin() + (head * queries_.shape[1] + tokens_) * dim_;
      newest.insert(newest.end(), end - int64_t{params_.window} * dim_, end);
    }
    return newest;
  }

  testing::Array keys_, queries_;
  int32_t heads_, dim_, rows_ = 0, tokens_ = 0;
  vase_params params_;
  std::vector<float> cache_, sums_;
  std::vector<int32_t> positions_;
};

TEST(ParityH2o, KeepsTheSameRowsEvictionAfterEviction) {
  const auto recorded =
      testing::read_npz(std::filesystem::path(VASE_PARITY_FOLDER) / "rivals" / "h2o.npz");
  const testing::Array &kept = recorded.at("h2o.kept"), &sums = recorded.at("h2o.sums");
  GrowingCache cache(recorded);
  size_t i = 0;
  for (int64_t eviction = 0; eviction < kept.shape[0]; ++eviction) {
    cache.advance(eviction == 0 ? 0 : cache.budget());
    for (int32_t head = 0; head < cache.heads(); ++head)
      for (const auto& [position, sum] : cache.kept(head)) {
        ASSERT_EQ(position, static_cast<int32_t>(kept.data[i]))
            << "eviction " << eviction << " head " << head;
        ASSERT_NEAR(sum, sums.data[i], 1e-5f * sums.data[i])
            << "eviction " << eviction << " head " << head << " token " << position;
        ++i;
      }
  }
  EXPECT_EQ(i, kept.data.size());
}

}  // namespace
}  // namespace vase
