// What each policy alone is about.
#include "policy/policies.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/heed_rule.hpp"
#include "core/rows.hpp"
#include "support/inclusion.hpp"
#include "support/random_layer.hpp"
#include "support/selection.hpp"

namespace vase {
namespace {

using testing::kept_tokens;
using testing::params_for;
using testing::RandomLayer;
using testing::scores;
using testing::select;

constexpr int32_t kRows = 320, kBudget = 256;

class PoliciesTest : public ::testing::Test {
 protected:
  /// Token positions of candidates (not recent) of a head, by value range descending.
  std::vector<int32_t> by_range(int32_t head) {
    std::vector<int32_t> tokens(layer_.positions + head * kRows,
                                layer_.positions + (head + 1) * kRows);
    std::sort(tokens.begin(), tokens.end());
    tokens.resize(kRows - 64);
    std::sort(tokens.begin(), tokens.end(),
              [&](int32_t a, int32_t b) { return range(head, a) > range(head, b); });
    return tokens;
  }
  float range(int32_t head, int32_t token) {
    std::vector<float> row(static_cast<size_t>(layer_.values.dim));
    const int32_t* first = layer_.positions + head * kRows;
    const auto index = std::find(first, first + kRows, token) - first;
    read_row(row_at(layer_.values, layer_.cells[index], head), layer_.values.type,
             layer_.values.dim, row.data());
    const auto [low, high] = std::minmax_element(row.begin(), row.end());
    return *high - *low;
  }

  RandomLayer random_{{.n_heads = 2, .group = 3, .dim = 64, .n_rows = kRows}, 31};
  vase_layer layer_ = random_.view();
};

TEST_F(PoliciesTest, TheRegistryFindsEachByName) {
  for (const Policy* policy : all_policies()) EXPECT_EQ(find_policy(policy->name()), policy);
  EXPECT_EQ(find_policy("vas"), nullptr);
  EXPECT_EQ(all_policies().size(), 14u);
}

TEST_F(PoliciesTest, VaseProtectsTheWidestValuesWithTheSinksAmongThem) {
  const vase_params params = params_for("vase", kBudget);
  const std::vector<float> weights = scores(params, layer_);
  for (int32_t h = 0; h < layer_.n_heads; ++h) {
    const std::vector<int32_t> ranked = by_range(h);
    std::set<int32_t> expected = {0, 1, 2, 3};
    for (size_t i = 0; expected.size() < static_cast<size_t>(params.protect); ++i)
      expected.insert(ranked[i]);
    std::set<int32_t> fixed;
    for (int32_t i = 0; i < kRows; ++i)
      if (std::isinf(weights[static_cast<size_t>(h * kRows + i)]))
        fixed.insert(random_.position(h, i));
    for (int32_t token : expected) EXPECT_TRUE(fixed.contains(token)) << token;
    EXPECT_EQ(fixed.size(), expected.size() + 64u);
  }
}

TEST_F(PoliciesTest, VaseDrawsAnewAtEachEvictionAndHead) {
  const vase_params params = params_for("vase", kBudget);
  const std::vector<uint8_t> first = select(params, layer_);
  EXPECT_EQ(select(params, layer_), first);
  layer_.eviction = 4;
  EXPECT_NE(select(params, layer_), first);
  layer_.eviction = 3;
  vase_params other = params;
  other.seed = 1;
  EXPECT_NE(select(other, layer_), first);
}

/// Inclusion by the draw, over many evictions, against the probability that a simulation of the
/// definition gives: sequential draws, each proportional to the weights that are left.
TEST_F(PoliciesTest, VaseDrawsInProportionToAttention) {
  vase_params params = params_for("vase", 200);
  params.temperature = 2.0f;
  constexpr int kDraws = 3000;
  std::vector<int> counts(static_cast<size_t>(kRows)), simulated(static_cast<size_t>(kRows));
  for (uint32_t draw = 0; draw < kDraws; ++draw) {
    layer_.eviction = draw;
    const std::vector<uint8_t> keep = select(params, layer_);
    for (int32_t i = 0; i < kRows; ++i)
      counts[static_cast<size_t>(i)] += keep[static_cast<size_t>(i)];
  }
  const std::vector<float> weights = scores(params, layer_);
  std::mt19937 random(2);
  for (int draw = 0; draw < kDraws; ++draw) {
    std::vector<double> left(static_cast<size_t>(kRows));
    int chosen = 0;
    for (size_t i = 0; i < left.size(); ++i) {
      left[i] = std::isinf(weights[i]) ? 0 : static_cast<double>(weights[i]);
      if (std::isinf(weights[i])) ++simulated[i], ++chosen;
    }
    for (; chosen < params.budget; ++chosen) {
      std::discrete_distribution<size_t> pick(left.begin(), left.end());
      const size_t i = pick(random);
      ++simulated[i];
      left[i] = 0;
    }
  }
  std::vector<double> drawn(counts.begin(), counts.end()),
      expected(simulated.begin(), simulated.end());
  for (double& share : drawn) share /= kDraws;
  for (double& share : expected) share /= kDraws;
  testing::InclusionTest test;
  test.add(drawn, expected, kDraws);
  ASSERT_GT(test.rows, 50);
  EXPECT_LT(test.chi2, test.limit()) << test.rows << " rows";
}

/// A layer of one head whose rows lie in few directions: row i along `direction(i)`, times 1 or -1.
class Directions {
 public:
  template <typename Direction>
  explicit Directions(const Direction& direction) : rows_(size_t{kRows} * kDim) {
    std::mt19937 random(9);
    for (int32_t i = 0; i < kRows; ++i) {
      float* row = rows_.data() + static_cast<ptrdiff_t>(i) * kDim;
      for (int32_t d = 0; d < kDim; ++d) row[d] = 0.05f * std::normal_distribution<float>()(random);
      row[direction(i)] += random() % 2 == 0 ? 1.0f : -1.0f;
    }
    layer_.keys = {rows_.data(), VASE_F32, kDim, kDim * 4, kDim * 4, 0};
    layer_.values = layer_.keys;
    layer_.n_heads = 1;
    layer_.n_rows = kRows;
  }
  float* row(int32_t i) { return rows_.data() + static_cast<ptrdiff_t>(i) * kDim; }
  const vase_layer& layer() const { return layer_; }

  static constexpr int32_t kDim = 64;

 private:
  std::vector<float> rows_;
  vase_layer layer_{};
};

TEST_F(PoliciesTest, VasePlusRanksTheOnlyRowOfADirectionHighest) {
  constexpr int32_t kAlone = 100;
  Directions rows([](int32_t i) { return i == kAlone ? 60 : i % 8; });
  const vase_params params = params_for("vase-plus", kBudget);
  const std::vector<float> found = scores(params, rows.layer());
  for (int32_t i = params.sinks; i < kRows - params.recency; ++i)
    if (i != kAlone) {
      EXPECT_GT(found[kAlone], found[static_cast<size_t>(i)]) << "row " << i;
    }
}

TEST_F(PoliciesTest, VasePlusGivesUpWhatIsSaidManyTimes) {
  // All rows but every fifth repeat one of ten.
  const auto repeated = [](int32_t i) { return i % 5 != 0; };
  Directions rows([](int32_t i) { return i % Directions::kDim; });
  for (int32_t i = 20; i < kRows; ++i)
    if (repeated(i)) std::copy_n(rows.row(1 + i % 10), Directions::kDim, rows.row(i));
  const vase_params params = params_for("vase-plus", 150);
  const std::vector<uint8_t> keep = select(params, rows.layer());
  for (int32_t i = 20; i < kRows - params.recency; ++i)
    if (!repeated(i)) {
      EXPECT_EQ(keep[static_cast<size_t>(i)], 1) << "row " << i;
    }
}

TEST_F(PoliciesTest, VasePlusLooksAtKeysAndValues) {
  const vase_params params = params_for("vase-plus", kBudget);
  const std::vector<uint8_t> both = select(params, layer_);
  vase_layer keys_alone = layer_, values_alone = layer_;
  keys_alone.values = layer_.keys;
  values_alone.keys = layer_.values;
  EXPECT_NE(select(params, keys_alone), both);
  EXPECT_NE(select(params, values_alone), both);
}

TEST_F(PoliciesTest, VasePlus2AsksWhatQueriesThereAre) {
  const vase_params params = params_for("vase-plus@2", kBudget);
  vase_layer few = layer_;
  few.n_queries = 3;
  for (const float score : scores(params, few)) EXPECT_FALSE(std::isnan(score));
}

TEST_F(PoliciesTest, VasePlus2TakesTheRootOfTheValuesPartAndALittleAttention) {
  vase_params params = params_for("vase-plus@2", kBudget);
  const std::vector<float> found = scores(params, layer_);
  params.policy = vase_policy_find("vase-plus");
  const std::vector<float> plain = scores(params, layer_);
  params.policy = vase_policy_find("snapkv");
  // What every eighth query attends to, the last among them.
  vase_layer asked = layer_;
  asked.n_queries = layer_.n_queries / kHeedEvery;
  std::vector<float> queries;
  for (int32_t head = 0; head < layer_.n_query_heads; ++head)
    for (int32_t q = kHeedEvery - 1; q < layer_.n_queries; q += kHeedEvery) {
      const float* first =
          layer_.queries + (int64_t{head} * layer_.n_queries + q) * layer_.keys.dim;
      queries.insert(queries.end(), first, first + layer_.keys.dim);
    }
  asked.queries = queries.data();
  const std::vector<float> attention = scores(params, asked);
  for (int32_t h = 0; h < layer_.n_heads; ++h) {
    std::vector<std::vector<float>> values;
    std::vector<size_t> rows;
    std::vector<int32_t> tokens(layer_.positions + h * kRows, layer_.positions + (h + 1) * kRows);
    std::sort(tokens.begin(), tokens.end());
    const int32_t recent = tokens[static_cast<size_t>(kRows - params.recency)];
    for (int32_t i = 0; i < kRows; ++i) {
      if (random_.position(h, i) >= recent) continue;
      values.emplace_back(static_cast<size_t>(layer_.values.dim));
      read_row(row_at(layer_.values, layer_.cells[i], h), layer_.values.type, layer_.values.dim,
               values.back().data());
      rows.push_back(static_cast<size_t>(h * kRows + i));
    }
    std::vector<double> mean(values[0].size());
    for (const std::vector<float>& value : values)
      for (size_t d = 0; d < mean.size(); ++d)
        mean[d] += value[d] / static_cast<double>(rows.size());
    int compared = 0;
    for (size_t j = 0; j < rows.size(); ++j) {
      if (std::isinf(found[rows[j]])) continue;  // a sink
      double apart = 0;
      for (size_t d = 0; d < mean.size(); ++d) apart += std::pow(values[j][d] - mean[d], 2);
      apart = std::sqrt(apart);
      const double expected =
          plain[rows[j]] / std::sqrt(apart) * std::pow(attention[rows[j]] + 1e-9, 0.05);
      EXPECT_NEAR(found[rows[j]], expected, 1e-4 * expected) << "row " << rows[j];
      ++compared;
    }
    EXPECT_EQ(compared, kRows - params.recency - params.sinks);
  }
}

TEST_F(PoliciesTest, TriAttentionLooksAtWhatWasMeasuredAndAtNothingElse) {
  const vase_params params = params_for("triattention", kBudget);
  const std::vector<uint8_t> keep = select(params, layer_);
  vase_layer other = layer_;
  other.queries = nullptr;
  other.values = layer_.keys;
  EXPECT_EQ(select(params, other), keep);
  std::vector<float> opposite(layer_.calibration, layer_.calibration + 2 * 3 * 3 * 32);
  for (float& x : opposite) x = -x;
  other.calibration = opposite.data();
  EXPECT_NE(select(params, other), keep);
  other.calibration = nullptr;
  std::vector<uint8_t> mask(keep.size());
  std::vector<std::byte> workspace(vase_workspace_size(&params, &other));
  EXPECT_EQ(vase_select(&params, &other, 0, 2, mask.data(), workspace.data(), workspace.size()),
            VASE_CALIBRATION_MISSING);
  EXPECT_NE(std::string(vase_last_error()).find("vase calibrate"), std::string::npos);
}

TEST_F(PoliciesTest, H2oAddsUpWhatRowsWereAttendedTo) {
  vase_params params = params_for("h2o", kBudget);
  params.recency = 32;
  const std::vector<float> once = scores(params, layer_);
  std::vector<float> sums(once.size(), 1.0f);
  layer_.sums = sums.data();
  const std::vector<float> twice = scores(params, layer_);
  EXPECT_EQ(sums, std::vector<float>(once.size(), 1.0f)) << "scores only look";
  const std::vector<uint8_t> keep = select(params, layer_);
  for (int32_t h = 0; h < layer_.n_heads; ++h) {
    double attention = 0;
    for (int32_t i = 0; i < kRows; ++i) {
      const auto row = static_cast<size_t>(h * kRows + i);
      if (!std::isinf(once[row])) {
        EXPECT_EQ(twice[row], once[row] + 1.0f);
        EXPECT_EQ(sums[row], twice[row]);
      }
      attention += static_cast<double>(sums[row]) - 1.0;
    }
    // Each query attends to as much as there is, however many rows the recency window holds.
    EXPECT_NEAR(attention, layer_.n_queries, 1e-2);
  }
}

TEST_F(PoliciesTest, H2oKeepsWhatHasTheLargestSums) {
  const vase_params params = params_for("h2o", kBudget);
  std::vector<float> sums(static_cast<size_t>(layer_.n_heads * kRows));
  for (size_t i = 0; i < sums.size(); ++i) sums[i] = static_cast<float>(i % 7) * 1e3f;
  const std::vector<float> before = sums;
  layer_.sums = sums.data();
  const std::vector<uint8_t> keep = select(params, layer_);
  for (size_t i = 0; i < keep.size(); ++i)
    if (before[i] >= 4e3f) {
      EXPECT_EQ(keep[i], 1) << "row " << i;
    }
  std::vector<float> moved = sums;
  layer_.sums = moved.data();
  std::vector<int32_t> positions(layer_.positions, layer_.positions + keep.size());
  ASSERT_EQ(vase_compact(&layer_, keep.data(), 0, 0, layer_.n_heads, positions.data()), VASE_OK);
  for (int32_t h = 0; h < layer_.n_heads; ++h)
    for (int32_t i = kRows - kBudget; i < kRows; ++i) {
      const int32_t* old = layer_.positions + h * kRows;
      const auto from = std::find(old, old + kRows, positions[static_cast<size_t>(h * kRows + i)]);
      EXPECT_EQ(moved[static_cast<size_t>(h * kRows + i)],
                sums[static_cast<size_t>(from - layer_.positions)])
          << "a sum stays with its row";
    }
}

TEST_F(PoliciesTest, KeyDiffGivesUpTheDirectionOfMostKeys) {
  // All keys but every eighth lie along one direction, so the mean does.
  const auto usual = [](int32_t i) { return i % 8 != 0; };
  Directions rows([&](int32_t i) { return usual(i) ? 0 : 1 + i / 8 % 63; });
  for (int32_t i = 0; i < kRows; ++i) rows.row(i)[0] = std::abs(rows.row(i)[0]);
  const vase_params params = params_for("keydiff", 150);
  const std::vector<uint8_t> keep = select(params, rows.layer());
  for (int32_t i = params.sinks; i < kRows - params.recency; ++i)
    if (!usual(i)) {
      EXPECT_EQ(keep[static_cast<size_t>(i)], 1) << "row " << i;
    }
}

TEST_F(PoliciesTest, SnapKvKeepsTheHighestWeights) {
  const vase_params params = params_for("snapkv", kBudget);
  const std::vector<uint8_t> keep = select(params, layer_);
  const std::vector<float> weights = scores(params, layer_);
  for (int32_t h = 0; h < layer_.n_heads; ++h) {
    float lowest_kept = std::numeric_limits<float>::infinity(), highest_given_up = 0;
    for (size_t i = static_cast<size_t>(h) * kRows; i < static_cast<size_t>(h + 1) * kRows; ++i) {
      if (keep[i] != 0)
        lowest_kept = std::min(lowest_kept, weights[i]);
      else
        highest_given_up = std::max(highest_given_up, weights[i]);
    }
    EXPECT_GE(lowest_kept, highest_given_up);
  }
}

TEST_F(PoliciesTest, RKvWithLambdaOneIsSnapKv) {
  vase_params rkv = params_for("rkv", kBudget);
  rkv.lambda = 1;
  EXPECT_EQ(select(rkv, layer_), select(params_for("snapkv", kBudget), layer_));
  rkv.lambda = 0.5f;
  EXPECT_NE(select(rkv, layer_), select(params_for("snapkv", kBudget), layer_));
}

TEST_F(PoliciesTest, StreamingKeepsSinksAndTheNewest) {
  const std::vector<uint8_t> keep = select(params_for("streaming", kBudget), layer_);
  for (int32_t h = 0; h < layer_.n_heads; ++h) {
    std::vector<int32_t> tokens(layer_.positions + h * kRows, layer_.positions + (h + 1) * kRows);
    std::sort(tokens.begin(), tokens.end());
    std::set<int32_t> expected(tokens.begin(), tokens.begin() + 4);
    expected.insert(tokens.end() - (kBudget - 4), tokens.end());
    EXPECT_EQ(kept_tokens(keep, layer_, h), expected);
  }
}

TEST_F(PoliciesTest, EvictLargeGivesUpWhatVaseProtects) {
  const std::vector<uint8_t> keep = select(params_for("evict-large", kBudget), layer_);
  for (int32_t h = 0; h < layer_.n_heads; ++h) {
    const std::set<int32_t> kept = kept_tokens(keep, layer_, h);
    const std::vector<int32_t> ranked = by_range(h);
    for (size_t i = 0; i < static_cast<size_t>(kRows - kBudget); ++i) {
      const bool sink = ranked[i] < 4;
      EXPECT_TRUE(sink || !kept.contains(ranked[i])) << "token " << ranked[i];
    }
  }
}

TEST_F(PoliciesTest, AttnRandomProtectsRowsByChance) {
  const vase_params params = params_for("attn-random", kBudget);
  const std::vector<float> first = scores(params, layer_);
  layer_.eviction += 1;
  const std::vector<float> second = scores(params, layer_);
  EXPECT_NE(first, second);
  const auto fixed = [](const std::vector<float>& s) {
    return std::count_if(s.begin(), s.end(), [](float x) { return std::isinf(x); });
  };
  EXPECT_EQ(fixed(first), layer_.n_heads * (64 + params.protect));
  EXPECT_EQ(fixed(second), fixed(first));
}

TEST_F(PoliciesTest, RangesAreTakenOnUnrotatedValues) {
  RandomLayer random({.n_heads = 1, .group = 1, .dim = 128, .n_rows = kRows}, 8);
  const vase_layer plain = random.view();
  const vase_params params = params_for("evict-large", kBudget);
  const std::vector<uint8_t> expected = select(params, plain);

  vase_layer stored = plain;
  std::vector<float> values(static_cast<size_t>(kRows) * 128);
  std::copy_n(static_cast<const float*>(plain.values.data), values.size(), values.data());
  for (size_t i = 0; i < static_cast<size_t>(kRows); ++i) rotate_row(&values[i * 128], 128, 64);
  stored.values.data = values.data();
  EXPECT_NE(select(params, stored), expected);
  stored.values.rotation = 64;
  EXPECT_EQ(select(params, stored), expected);
}

TEST_F(PoliciesTest, NanAndInfinityDoNotCrash) {
  auto* values = static_cast<float*>(layer_.values.data);
  auto* keys = static_cast<float*>(layer_.keys.data);
  const float bad[] = {std::numeric_limits<float>::quiet_NaN(),
                       std::numeric_limits<float>::infinity(), -1e38f};
  for (int i = 0; i < 500; ++i) {
    values[i * 31] = bad[i % 3];
    keys[i * 37] = bad[(i + 1) % 3];
  }
  for (const std::string& name : testing::policy_names()) {
    const vase_params params = params_for(name.c_str(), kBudget);
    const std::vector<uint8_t> keep = select(params, layer_);
    const int32_t expected = vase_policy_evicts(params.policy) != 0 ? kBudget : kRows;
    EXPECT_EQ(std::accumulate(keep.begin(), keep.begin() + kRows, 0), expected) << name;
  }
}

TEST(Traits, SayWhichParametersAPolicyLooksAt) {
  const auto looks = [](const char* policy, const char* parameter) {
    return looks_at(find_policy(policy)->traits(), parameter);
  };
  for (const char* parameter : {"budget", "recency", "interval", "sinks", "pin_prompt"})
    for (const Policy* policy : all_policies())
      EXPECT_EQ(looks(policy->name(), parameter), policy->traits().evicts)
          << policy->name() << " " << parameter;
  EXPECT_TRUE(looks("rkv", "lambda"));
  EXPECT_FALSE(looks("snapkv", "lambda"));
  EXPECT_TRUE(looks("vase", "protect"));
  EXPECT_FALSE(looks("snapkv", "protect"));
  EXPECT_TRUE(looks("vase-cur", "projections"));
  EXPECT_FALSE(looks("vase-plus", "window"));
  EXPECT_TRUE(looks("random", "seed"));
  EXPECT_FALSE(looks("snapkv", "seed"));
  EXPECT_FALSE(looks("vase", "colour")) << "nobody knows it";
}

TEST(Traits, OfAllPoliciesFitTogether) {
  for (const Policy* policy : all_policies()) {
    const Traits traits = policy->traits();
    // Attention needs queries, and its parameters come with it.
    EXPECT_EQ(traits.queries, (traits.parameters & kWindow) != 0) << policy->name();
    EXPECT_EQ(traits.protect != Protect::kNothing, (traits.parameters & kProtect) != 0)
        << policy->name();
    EXPECT_GE(traits.pin, 0.0f);
    for (const int32_t budget : {128, 1024, 8192}) {
      const Pace pace = traits.pace(budget);
      EXPECT_GT(pace.recency, 0);
      EXPECT_LT(pace.recency, budget);
      EXPECT_GT(pace.interval, 0);
    }
  }
}

}  // namespace
}  // namespace vase
