// What steps read, on recorded keys, values and queries: Quest's choice and attention against its
// published code, the oracle's against the attention that rows have.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "llama/selection/selected_attention.hpp"
#include "parity/npz.hpp"

namespace vase {
namespace {

using Arrays = std::map<std::string, testing::Array>;

Arrays recorded(const std::string& name) {
  return testing::read_npz(std::filesystem::path(VASE_PARITY_FOLDER) / name);
}

vase_rows rows_of(testing::Array& array) {
  const int64_t heads = array.shape[1], dim = array.shape[2];
  return {array.data.data(), VASE_F32, static_cast<int32_t>(dim), heads * dim * 4, dim * 4, 0};
}

class SelectionParity : public ::testing::TestWithParam<const char*> {
 protected:
  // A step whose queries are the newest of those recorded.
  DecodedToken token(SelectionParams params, int32_t rows) {
    for (int32_t head = 0; head < shape_.n_heads; ++head)
      bounds_[static_cast<size_t>(head)].read(keys_, head, rows);
    const auto window = static_cast<size_t>(inputs_.at("Q").shape[1]);
    const float* newest = inputs_.at("Q").data.data() + (window - 1) * static_cast<size_t>(dim_);
    return {params,
            rows,
            keys_,
            values_,
            bounds_,
            reinterpret_cast<const std::byte*>(newest),
            window * static_cast<size_t>(dim_) * sizeof(float),
            out_.data()};
  }

  Arrays inputs_ = recorded(std::string(GetParam()) + ".npz");
  vase_rows keys_ = rows_of(inputs_.at("K")), values_ = rows_of(inputs_.at("V"));
  int32_t dim_ = keys_.dim;
  AttentionShape shape_{static_cast<int32_t>(inputs_.at("K").shape[1]),
                        static_cast<int32_t>(inputs_.at("Q").shape[0]),
                        1 / std::sqrt(static_cast<float>(dim_)),
                        0,
                        {}};
  std::vector<PageBounds> bounds_{static_cast<size_t>(shape_.n_heads), PageBounds(dim_)};
  std::vector<float> out_ =
      std::vector<float>(static_cast<size_t>(shape_.n_query_heads * values_.dim));
};

TEST_P(SelectionParity, QuestReadsWhatThePublishedCodeReads) {
  const Arrays quest = recorded("rivals/quest_" + std::string(GetParam()) + ".npz");
  const testing::Array &kept = quest.at("quest.kept"), &out = quest.at("quest.out");
  ThreadPool pool(1);
  auto expected = kept.data.begin();
  auto attended = out.data.begin();
  for (const float length : quest.at("quest.lengths").data)
    for (const float budget : quest.at("quest.budgets").data) {
      const DecodedToken step =
          token({Selection::kQuest, static_cast<int32_t>(budget)}, static_cast<int32_t>(length));
      for (int32_t head = 0; head < shape_.n_query_heads; ++head, expected += kept.shape[3]) {
        std::vector<float> read(static_cast<size_t>(kept.shape[3]));
        for (const int32_t row : choose_rows(shape_, step, head))
          read[static_cast<size_t>(row)] = 1;
        EXPECT_TRUE(std::equal(read.begin(), read.end(), expected))
            << "head " << head << " of " << length << " rows at " << budget;
      }
      attend(shape_, {&step, 1}, pool);
      for (const float value : out_)
        ASSERT_NEAR(value, *attended++, 1e-5f * std::abs(value) + 1e-5f);
    }
  EXPECT_EQ(expected, kept.data.end());
  EXPECT_EQ(attended, out.data.end());
}

TEST_P(SelectionParity, TheOracleReadsTheRowsOfHighestAttention) {
  constexpr int32_t kRows = 300, kBudget = 64;
  const DecodedToken step = token({Selection::kOracle, kBudget}, kRows);
  for (int32_t head = 0; head < shape_.n_query_heads; ++head) {
    const auto* query = reinterpret_cast<const float*>(step.queries + static_cast<size_t>(head) *
                                                                          step.query_stride);
    const testing::Array& keys = inputs_.at("K");
    const int32_t kv_head = head / (shape_.n_query_heads / shape_.n_heads);
    std::vector<std::pair<double, int32_t>> logits;
    for (int32_t row = 0; row < kRows; ++row) {
      double product = 0;
      for (int32_t d = 0; d < dim_; ++d)
        product += double{query[d]} *
                   keys.data[static_cast<size_t>((row * shape_.n_heads + kv_head) * dim_ + d)];
      logits.emplace_back(product, row);
    }
    std::ranges::sort(logits, std::greater());
    std::vector<int32_t> expected;
    for (int32_t i = 0; i < kBudget; ++i) expected.push_back(logits[static_cast<size_t>(i)].second);
    std::ranges::sort(expected);
    EXPECT_EQ(choose_rows(shape_, step, head), expected) << "head " << head;
  }
}

INSTANTIATE_TEST_SUITE_P(Inputs, SelectionParity,
                         ::testing::Values("gauss_a", "smollm2_layer4", "smollm2_layer20"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace vase
