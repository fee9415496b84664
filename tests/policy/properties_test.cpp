// What must hold for every policy, on random shapes, row types and budgets.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <span>

#include "core/rows.hpp"
#include "core/thread_pool.hpp"
#include "policy/eviction.hpp"
#include "policy/policies.hpp"
#include "support/random_layer.hpp"
#include "support/selection.hpp"
#include "support/spoil.hpp"

namespace vase {
namespace {

using testing::kept_tokens;
using testing::params_for;
using testing::RandomLayer;
using testing::select;
using testing::Shape;

class PropertiesTest : public ::testing::TestWithParam<std::string> {
 protected:
  template <typename T>
  T one_of(std::initializer_list<T> values) {
    return *(values.begin() + random_() % values.size());
  }

  Shape random_shape() {
    Shape shape;
    shape.n_heads = 1 + static_cast<int32_t>(random_() % 3);
    shape.group = one_of({1, 2, 3, 4, 7, 8});
    shape.dim = one_of({64, 96, 128, 256});
    shape.n_rows = 66 + static_cast<int32_t>(random_() % 240);
    shape.type = one_of({VASE_F32, VASE_F16, VASE_BF16, VASE_Q8_0, VASE_Q4_0});
    shape.n_queries = one_of({1, 16, 63, 64});
    return shape;
  }

  vase_params random_params(int32_t n_rows) {
    vase_params params = params_for(GetParam().c_str(), 0);
    params.recency = one_of({0, 1, 16, 64});
    params.sinks = one_of({0, 1, 4});
    const int32_t smallest = params.recency + params.sinks + 1;
    params.budget = one_of({smallest, smallest + 1, std::max(smallest, n_rows - 1),
                            std::max(smallest, n_rows / 2), std::max(smallest, n_rows - 64), n_rows,
                            n_rows + 5});
    params.protect = one_of({0, 3, params.budget / 4, params.budget * 2, VASE_PROTECT_AUTO});
    params.pooling = one_of({1, 5, 7});
    params.temperature = one_of({0.5f, 1.0f, 4.0f});
    params.seed = random_();
    return params;
  }

  std::mt19937 random_{17};
};

TEST_P(PropertiesTest, KeepsTheBudgetTheRecencyWindowAndTheFixedRows) {
  for (int trial = 0; trial < 40; ++trial) {
    const Shape shape = random_shape();
    RandomLayer random(shape, random_());
    vase_layer layer = random.view();
    const vase_params params = random_params(shape.n_rows);
    layer.pinned_begin = 5;
    layer.pinned_end = one_of({0, 9, 40});
    layer.pinned_first = one_of({0, 0, 3, 20});
    const std::vector<uint8_t> keep = select(params, layer);

    const bool evicts = vase_policy_evicts(params.policy) != 0;
    const auto kept_rows =
        static_cast<size_t>(evicts ? std::min(params.budget, shape.n_rows) : shape.n_rows);
    for (int32_t h = 0; h < shape.n_heads; ++h) {
      const std::set<int32_t> kept = kept_tokens(keep, layer, h);
      ASSERT_EQ(kept.size(), kept_rows);

      std::vector<int32_t> all(layer.positions + h * shape.n_rows,
                               layer.positions + (h + 1) * shape.n_rows);
      std::sort(all.begin(), all.end());
      for (int32_t i = 0; i < std::min(params.recency, shape.n_rows); ++i)
        ASSERT_TRUE(kept.contains(all[all.size() - 1 - static_cast<size_t>(i)]))
            << "recency, " << i << " from the end";

      int32_t room = params.budget - params.recency;
      for (int32_t token : all) {
        const bool fixed = token < params.sinks || token < layer.pinned_first ||
                           (token >= layer.pinned_begin && token < layer.pinned_end);
        if (fixed && room-- > 0) {
          ASSERT_TRUE(kept.contains(token)) << "fixed token " << token;
        }
      }
    }
  }
}

/// What each kind of kernels keeps of every head.
void expect_same_choice(const vase_params& params, const vase_layer& layer) {
  const Policy& policy = *find_policy(vase_policy_name(params.policy));
  const auto n = static_cast<size_t>(layer.n_rows);
  std::vector<std::byte> workspace(eviction_workspace(policy, params, layer));
  for (int32_t h = 0; h < layer.n_heads; ++h) {
    std::vector<uint8_t> by_simd(n), by_reference(n);
    select_head(policy, params, layer, h, best_kernels(), Arena(workspace.data(), workspace.size()),
                by_simd);
    select_head(policy, params, layer, h, reference_kernels(),
                Arena(workspace.data(), workspace.size()), by_reference);
    ASSERT_EQ(by_simd, by_reference);
  }
}

TEST_P(PropertiesTest, SimdAndScalarKernelsKeepTheSameRows) {
  for (int trial = 0; trial < 25; ++trial) {
    const Shape shape = random_shape();
    RandomLayer random(shape, random_());
    expect_same_choice(random_params(shape.n_rows), random.view());
  }
}

TEST_P(PropertiesTest, SpoiltRowsAreGivenUpFirstAndMoveNoOthers) {
  const Traits traits = find_policy(GetParam())->traits();
  for (int trial = 0; trial < 30; ++trial) {
    const Shape shape = random_shape();
    const uint64_t seed = random_();
    RandomLayer with_nan(shape, seed), with_infinity(shape, seed);
    const vase_params params = random_params(shape.n_rows);
    const vase_layer layer = with_nan.view(), other = with_infinity.view();
    const auto n = static_cast<size_t>(shape.n_rows);
    const auto share = one_of({0.02, 0.3, 1.0});
    std::vector<uint8_t> spoilt(n * static_cast<size_t>(shape.n_heads));
    for (int32_t h = 0; h < shape.n_heads; ++h)
      for (int32_t i = 0; i < shape.n_rows; ++i) {
        if (static_cast<double>(random_() % 1000) >= 1000 * share) continue;
        spoilt[static_cast<size_t>(h) * n + static_cast<size_t>(i)] = 1;
        const size_t element = random_() % static_cast<size_t>(shape.dim);
        for (const vase_rows* rows : {&layer.keys, &layer.values})
          testing::spoil(*rows, layer.cells[i], h, element, testing::Spoilt::kNan);
        for (const vase_rows* rows : {&other.keys, &other.values})
          testing::spoil(*rows, other.cells[i], h, element, testing::Spoilt::kInfinity);
      }
    const std::vector<uint8_t> keep = select(params, layer);
    EXPECT_EQ(select(params, other), keep) << "a NaN and an infinity are the same";
    expect_same_choice(params, layer);
    const std::vector<float> scores = testing::scores(params, layer);
    const bool looks = std::ranges::any_of(scores, [](float x) { return std::isnan(x); });
    for (int32_t h = 0; h < shape.n_heads; ++h) {
      int32_t kept = 0, kept_spoilt = 0, given_up = 0;
      for (size_t at = static_cast<size_t>(h) * n; at < static_cast<size_t>(h + 1) * n; ++at) {
        kept += keep[at];
        const bool free = !std::isinf(scores[at]);  // neither fixed, recent nor protected
        ASSERT_TRUE(!free || !looks || std::isnan(scores[at]) == (spoilt[at] != 0));
        if (free && keep[at] != 0 && spoilt[at] != 0) ++kept_spoilt;
        if (free && keep[at] == 0 && spoilt[at] == 0) ++given_up;
      }
      EXPECT_EQ(kept, traits.evicts ? std::min(params.budget, shape.n_rows) : shape.n_rows);
      EXPECT_TRUE(!looks || kept_spoilt == 0 || given_up == 0)
          << kept_spoilt << " spoilt rows are kept, " << given_up << " others are not";
    }
  }
}

TEST_P(PropertiesTest, AQueryThatIsNotFiniteAttendsToAllRowsAlike) {
  const Shape shape{.n_heads = 1, .group = 1, .dim = 64, .n_rows = 200, .n_queries = 2};
  RandomLayer random(shape, 3);
  vase_layer layer = random.view(), expected = layer;
  std::vector<float> queries(layer.queries, layer.queries + 128), plain = queries;
  queries[64 + 7] = std::numeric_limits<float>::infinity();
  std::fill(plain.begin() + 64, plain.end(), 0.0f);
  layer.queries = queries.data();
  expected.queries = plain.data();
  const vase_params params = params_for(GetParam().c_str(), 130);
  EXPECT_EQ(testing::scores(params, layer), testing::scores(params, expected));
}

TEST_P(PropertiesTest, TheUnitOfKeysAndValuesDoesNotMatter) {
  if (find_policy(GetParam())->traits().queries) return;  // a softmax has a unit
  const Shape shape{.n_heads = 2, .group = 2, .dim = 64, .n_rows = 500, .rope_pairs = 32};
  RandomLayer random(shape, 12);
  const vase_layer layer = random.view();
  const auto elements = static_cast<size_t>(shape.n_heads * shape.n_rows * shape.dim);
  const std::span<float> keys(static_cast<float*>(layer.keys.data), elements),
      values(static_cast<float*>(layer.values.data), elements);
  // Each key comes five times, all but the same, so that the least distance is at work.
  for (size_t i = elements / 5; i < elements; ++i) keys[i] = keys[i % (elements / 5)] * 1.0001f;
  const vase_params params = params_for(GetParam().c_str(), 200);
  const std::vector<uint8_t> expected = select(params, layer);
  for (const float factor : {1e-3f, 1e6f}) {  // 1e-3 and, from there, 1e3
    for (float& key : keys) key *= factor;
    for (float& value : values) value *= factor;
    EXPECT_EQ(select(params, layer), expected) << factor;
  }
}

TEST_P(PropertiesTest, ThreadsDoNotChangeTheChoice) {
  const Shape shape{.n_heads = 8, .group = 2, .dim = 64, .n_rows = 200};
  RandomLayer random(shape, 4);
  const vase_layer layer = random.view();
  const vase_params params = params_for(GetParam().c_str(), 130);
  const std::vector<uint8_t> expected = select(params, layer);
  for (const int workers : {1, 2, 5}) {
    ThreadPool pool(workers);
    std::vector<std::vector<std::byte>> workspaces(
        static_cast<size_t>(workers), std::vector<std::byte>(vase_workspace_size(&params, &layer)));
    std::vector<uint8_t> keep(expected.size());
    pool.parallel_for(shape.n_heads, [&](int head, int worker) {
      auto& workspace = workspaces[static_cast<size_t>(worker)];
      vase_select(&params, &layer, head, 1, keep.data(), workspace.data(), workspace.size());
    });
    EXPECT_EQ(keep, expected) << workers << " threads";
  }
}

/// The same rows of every head in the order of their tokens, in cells 0 .. n - 1.
std::vector<std::byte> in_token_order(const vase_layer& layer, const vase_rows& rows) {
  const size_t bytes = row_bytes(rows.type, rows.dim);
  std::vector<std::byte> out;
  for (int32_t h = 0; h < layer.n_heads; ++h) {
    const int32_t* positions = layer.positions + h * layer.n_rows;
    std::vector<int32_t> order(static_cast<size_t>(layer.n_rows));
    for (int32_t i = 0; i < layer.n_rows; ++i) order[static_cast<size_t>(i)] = i;
    std::sort(order.begin(), order.end(),
              [&](int32_t a, int32_t b) { return positions[a] < positions[b]; });
    for (int32_t row : order) {
      const std::byte* first = row_at(rows, layer.cells[row], h);
      out.insert(out.end(), first, first + bytes);
    }
  }
  return out;
}

TEST_P(PropertiesTest, LayoutDoesNotMatter) {
  for (const vase_type type : {VASE_F32, VASE_F16, VASE_Q8_0, VASE_Q4_0}) {
    const Shape shape{.n_heads = 2, .group = 2, .dim = 64, .n_rows = 200, .type = type};
    RandomLayer random(shape, 6);
    const vase_layer layer = random.view();
    const vase_params params = params_for(GetParam().c_str(), 130);
    const std::vector<uint8_t> keep = select(params, layer);

    std::vector<std::byte> keys = in_token_order(layer, layer.keys),
                           values = in_token_order(layer, layer.values);
    const auto row = static_cast<int64_t>(row_bytes(type, shape.dim));
    vase_layer ordered = layer;
    ordered.keys = {keys.data(), type, shape.dim, row, row * shape.n_rows, 0};
    ordered.values = {values.data(), type, shape.dim, row, row * shape.n_rows, 0};
    ordered.cells = nullptr;
    std::vector<int32_t> positions(layer.positions, layer.positions + shape.n_heads * shape.n_rows);
    for (auto first = positions.begin(); first != positions.end(); first += shape.n_rows)
      std::sort(first, first + shape.n_rows);
    ordered.positions = positions.data();
    const std::vector<uint8_t> ordered_keep = select(params, ordered);
    for (int32_t h = 0; h < shape.n_heads; ++h)
      EXPECT_EQ(kept_tokens(ordered_keep, ordered, h), kept_tokens(keep, layer, h));
  }
}

/// A copy of the rows in f32, which every type converts to exactly.
std::vector<float> as_f32(const vase_layer& layer, const vase_rows& rows) {
  std::vector<float> out(static_cast<size_t>(layer.n_rows) * static_cast<size_t>(layer.n_heads) *
                         static_cast<size_t>(rows.dim));
  float* at = out.data();
  for (int32_t cell = 0; cell < layer.n_rows; ++cell)
    for (int32_t h = 0; h < layer.n_heads; ++h, at += rows.dim)
      read_row(row_at(rows, cell, h), rows.type, rows.dim, at);
  return out;
}

TEST_P(PropertiesTest, RowTypesAreReadAsTheValuesTheyStandFor) {
  for (const vase_type type : {VASE_F16, VASE_BF16, VASE_Q8_0, VASE_Q4_0}) {
    const Shape shape{.n_heads = 2, .group = 4, .dim = 128, .n_rows = 180, .type = type};
    RandomLayer random(shape, 8);
    const vase_layer layer = random.view();
    const vase_params params = params_for(GetParam().c_str(), 120);

    std::vector<float> keys = as_f32(layer, layer.keys), values = as_f32(layer, layer.values);
    vase_layer converted = layer;
    const int64_t row = int64_t{shape.dim} * 4;
    converted.keys = {keys.data(), VASE_F32, shape.dim, row * shape.n_heads, row, 0};
    converted.values = {values.data(), VASE_F32, shape.dim, row * shape.n_heads, row, 0};
    EXPECT_EQ(select(params, converted), select(params, layer)) << "type " << type;
  }
}

TEST_P(PropertiesTest, CompactionKeepsWhatWasSelected) {
  const Shape shape{.n_heads = 3, .group = 2, .dim = 64, .n_rows = 192, .type = VASE_F16};
  RandomLayer random(shape, 9);
  vase_layer layer = random.view();
  const vase_params params = params_for(GetParam().c_str(), 128);
  if (vase_policy_evicts(params.policy) == 0) return;
  const std::vector<uint8_t> keep = select(params, layer);
  std::vector<std::set<int32_t>> expected;
  for (int32_t h = 0; h < shape.n_heads; ++h) expected.push_back(kept_tokens(keep, layer, h));

  ASSERT_EQ(vase_compact(&layer, keep.data(), 0, 0, shape.n_heads, random.positions().data()),
            VASE_OK);
  for (int32_t h = 0; h < shape.n_heads; ++h) {
    const auto first = random.positions().begin() + h * shape.n_rows;
    EXPECT_EQ(std::set<int32_t>(first + 64, first + shape.n_rows),
              expected[static_cast<size_t>(h)]);
  }
}

INSTANTIATE_TEST_SUITE_P(Policies, PropertiesTest, ::testing::ValuesIn(testing::policy_names()),
                         [](const auto& policy) { return testing::test_name(policy.param); });

}  // namespace
}  // namespace vase
