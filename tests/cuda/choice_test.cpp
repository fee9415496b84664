// Selection and scores on the device against the CPU library: all policies, types and shapes.
#include <gtest/gtest.h>

#include <cstdio>
#include <limits>
#include <random>

#include "core/rows.hpp"
#include "cuda/device.hpp"
#include "cuda/same_choice.hpp"
#include "support/random_layer.hpp"
#include "support/spoil.hpp"

namespace vase {
namespace {

using testing::Agreement;
using testing::DeviceLayer;
using testing::Handle;
using testing::params_for;
using testing::RandomLayer;
using testing::Shape;

class CudaChoiceTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (const std::string reason = testing::no_device(); !reason.empty()) GTEST_SKIP() << reason;
  }

  void TearDown() override {
    if (agreement_.heads == 0) return;
    RecordProperty("heads", agreement_.heads);
    RecordProperty("near_ties", agreement_.near_ties);
    if (agreement_.near_ties > 0)
      std::printf("             %d heads, %d of them differ in near-ties\n", agreement_.heads,
                  agreement_.near_ties);
    // Near-ties are rare, or something is systematically off.
    EXPECT_LE(agreement_.near_ties, 1 + agreement_.heads / 50);
  }

  template <typename T>
  T one_of(std::initializer_list<T> values) {
    return *(values.begin() + random_() % values.size());
  }

  Shape random_shape() {
    Shape shape;
    shape.n_heads = 1 + static_cast<int32_t>(random_() % 3);
    shape.group = one_of({1, 2, 3, 4, 5, 7, 8});
    shape.dim = one_of({32, 64, 96, 128, 160, 256, 320, 512, 576});
    shape.values_dim = one_of({0, 64, 512});
    shape.n_rows = 66 + static_cast<int32_t>(random_() % 600);
    shape.type = one_of({VASE_F32, VASE_F16, VASE_BF16, VASE_Q8_0, VASE_Q4_0});
    shape.n_queries = one_of({1, 16, 63, 64});
    if (!has_blocks(shape.type) && random_() % 3 == 0) shape.dim = one_of({80, 40, 37, 200, 301});
    shape.rope_pairs = one_of({0, shape.dim / 2, shape.dim / 4});
    shape.rope_stride = one_of({1, shape.rope_pairs, shape.dim / 2});
    return shape;
  }

  vase_params random_params(int32_t n_rows) {
    vase_params params = params_for(GetParam().c_str(), 0);
    params.recency = one_of({0, 1, 16, 64});
    params.sinks = one_of({0, 1, 4});
    const int32_t smallest = params.recency + params.sinks + 1;
    params.budget = std::max(smallest, one_of({smallest, smallest + 1, n_rows - 1, n_rows / 2,
                                               n_rows - 64, n_rows, n_rows + 5}));
    params.protect = one_of({0, 3, params.budget / 4, params.budget * 2, VASE_PROTECT_AUTO});
    params.pooling = one_of({1, 5, 7});
    params.temperature = one_of({0.5f, 1.0f, 4.0f});
    params.projections = one_of({1, 20, 33});
    params.seed = random_();
    return params;
  }

  /// Compares masks and scores of one layer.
  void compare(const vase_params& params, const vase_layer& layer) {
    const DeviceLayer device(layer, layer.n_rows);
    const Handle handle(Handle::limits_for(layer));
    const std::vector<uint8_t> keep = testing::select_on_device(handle, params, {device.item()});
    testing::expect_same_choice(params, layer, keep.data(), layer.n_rows, agreement_);
    testing::expect_same_scores(params, layer, testing::scores(params, layer),
                                testing::scores_on_device(handle, params, {device.item()}));
  }

  std::mt19937 random_{23};
  Agreement agreement_;
};

TEST_P(CudaChoiceTest, RandomShapesKeepTheSameRows) {
  for (int trial = 0; trial < 60; ++trial) {
    const Shape shape = random_shape();
    SCOPED_TRACE(::testing::Message()
                 << "trial " << trial << ": heads " << shape.n_heads << " group " << shape.group
                 << " dim " << shape.dim << "/" << shape.values_dim << " rows " << shape.n_rows
                 << " type " << shape.type << " queries " << shape.n_queries << " rope "
                 << shape.rope_pairs << "/" << shape.rope_stride);
    RandomLayer random(shape, random_());
    vase_layer layer = random.view();
    layer.pinned_begin = 5;
    layer.pinned_end = one_of({0, 9, 40});
    layer.pinned_first = one_of({0, 0, 3, 20});
    layer.scale = one_of({0.0f, 0.05f});
    layer.sequence = static_cast<uint32_t>(random_() % 5);
    const vase_params params = random_params(shape.n_rows);
    compare(params, layer);
    if (HasFatalFailure()) return;
  }
}

TEST_P(CudaChoiceTest, SpoiltRowsAndQueries) {
  for (int trial = 0; trial < 30; ++trial) {
    Shape shape = random_shape();
    shape.n_queries = 16;
    SCOPED_TRACE(::testing::Message() << "trial " << trial << ": dim " << shape.dim << " rows "
                                      << shape.n_rows << " type " << shape.type);
    RandomLayer random(shape, random_());
    vase_layer layer = random.view();
    const auto share = one_of({10, 300, 1000});  // of 1000 rows
    for (int32_t h = 0; h < shape.n_heads; ++h)
      for (int32_t i = 0; i < shape.n_rows; ++i)
        for (const vase_rows* rows : {&layer.keys, &layer.values})
          if (static_cast<int>(random_() % 1000) < share)
            testing::spoil(*rows, layer.cells[i], h, random_() % static_cast<size_t>(rows->dim),
                           one_of({testing::Spoilt::kNan, testing::Spoilt::kInfinity}));
    const auto elements =
        static_cast<size_t>(layer.n_query_heads) * 16 * static_cast<size_t>(layer.keys.dim);
    std::vector<float> queries(layer.queries, layer.queries + elements);
    queries[elements / 2] = std::numeric_limits<float>::quiet_NaN();
    layer.queries = queries.data();
    compare(random_params(shape.n_rows), layer);
    if (HasFatalFailure()) return;
  }
}

TEST_P(CudaChoiceTest, SpoiltElementsThatNoPairOfRopeHas) {
  // The last element of an odd number has no partner either.
  for (const vase_type type : {VASE_F32, VASE_F16, VASE_BF16})
    for (const int32_t dim : {37, 64, 301}) {
      SCOPED_TRACE(::testing::Message() << "dim " << dim << " type " << type);
      const Shape shape{
          .n_heads = 2, .dim = dim, .n_rows = 300, .type = type, .rope_pairs = 8, .rope_stride = 8};
      RandomLayer random(shape, 71);
      const vase_layer layer = random.view();
      for (int32_t i = 0; i < 20; ++i)
        testing::spoil(layer.keys, layer.cells[13 * i], i % 2, static_cast<size_t>(dim - 1),
                       i % 3 == 0 ? testing::Spoilt::kNan : testing::Spoilt::kInfinity);
      compare(params_for(GetParam().c_str(), 200), layer);
      if (HasFatalFailure()) return;
    }
}

TEST_P(CudaChoiceTest, ManyQueryHeadsOfAKvHead) {
  // As multi-head latent attention has them.
  for (const int32_t dim : {64, 576}) {
    const Shape shape{.n_heads = 1,
                      .group = 41,
                      .dim = dim,
                      .n_rows = 700,
                      .type = VASE_F16,
                      .n_queries = 16,
                      .values_dim = dim - 64 > 0 ? dim - 64 : dim,
                      .rope_pairs = 16,
                      .rope_stride = 16};
    RandomLayer random(shape, 73);
    compare(params_for(GetParam().c_str(), 500), random.view());
    if (HasFatalFailure()) return;
  }
}

TEST_P(CudaChoiceTest, TheUnitOfKeysDoesNotMatter) {
  for (const float factor : {1e-3f, 1.0f, 1e3f}) {
    const Shape shape{.n_heads = 2, .group = 2, .dim = 64, .n_rows = 500, .rope_pairs = 32};
    RandomLayer random(shape, 12);
    const vase_layer layer = random.view();
    auto* keys = static_cast<float*>(layer.keys.data);
    for (int32_t i = 0; i < shape.n_heads * shape.n_rows * shape.dim; ++i) keys[i] *= factor;
    compare(params_for(GetParam().c_str(), 200), layer);
    if (HasFatalFailure()) return;
  }
}

TEST_P(CudaChoiceTest, LongCaches) {
  for (const vase_type type : {VASE_F32, VASE_F16, VASE_BF16, VASE_Q8_0, VASE_Q4_0}) {
    const Shape shape{.n_heads = 2, .group = 4, .dim = 128, .n_rows = 4160, .type = type};
    RandomLayer random(shape, 31);
    compare(params_for(GetParam().c_str(), 4096), random.view());
    if (HasFatalFailure()) return;
  }
}

TEST_P(CudaChoiceTest, TheShareToProtectIsFoundAsOnTheCpu) {
  // Scores tell protected rows from others, so one row more or less would show.
  for (const int32_t n_rows : {100, 321, 1000, 4160}) {
    const Shape shape{.n_heads = 3, .group = 2, .dim = 64, .n_rows = n_rows, .type = VASE_F16};
    RandomLayer random(shape, static_cast<uint64_t>(n_rows));
    vase_layer layer = random.view();
    vase_params params = params_for(GetParam().c_str(), n_rows * 4 / 5);
    params.protect = VASE_PROTECT_AUTO;
    for (const int32_t pinned_end : {0, 30}) {
      layer.pinned_end = pinned_end;
      compare(params, layer);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(CudaChoiceTest, RotatedRows) {
  for (const vase_type type : {VASE_Q8_0, VASE_Q4_0})
    for (const auto& [dim, rotation] :
         {std::pair{128, 2}, {128, 16}, {128, 64}, {128, 128}, {512, 256}, {512, 512}, {576, 64}}) {
      const Shape shape{.n_heads = 2, .group = 2, .dim = dim, .n_rows = 300, .type = type};
      RandomLayer random(shape, 37);
      vase_layer layer = random.view();
      layer.keys.rotation = layer.values.rotation = rotation;
      compare(params_for(GetParam().c_str(), 200), layer);
      if (HasFatalFailure()) return;
    }
}

TEST_P(CudaChoiceTest, RowsThatStartAtOddAddresses) {
  // Rows are an element more apart than they are long, so most start beside multiples of 16 bytes.
  for (const int32_t dim : {72, 520}) {
    const Shape shape{.n_heads = 2, .group = 2, .dim = dim, .n_rows = 300, .type = VASE_F16};
    RandomLayer random(shape, 41);
    const vase_layer layer = random.view();
    vase_layer shifted = layer;
    shifted.keys.row_stride += 2;
    std::vector<std::byte> keys(static_cast<size_t>(layer.n_rows * shifted.keys.row_stride));
    shifted.keys.data = keys.data();
    for (int32_t cell = 0; cell < layer.n_rows; ++cell)
      std::memcpy(keys.data() + cell * shifted.keys.row_stride,
                  static_cast<std::byte*>(layer.keys.data) + cell * layer.keys.row_stride,
                  static_cast<size_t>(layer.keys.row_stride));
    compare(params_for(GetParam().c_str(), 200), shifted);
    if (HasFatalFailure()) return;
  }
}

TEST_P(CudaChoiceTest, NoCellsAndNoPositions) {
  const Shape shape{.n_heads = 2, .group = 4, .dim = 64, .n_rows = 333, .type = VASE_F16};
  RandomLayer random(shape, 43);
  vase_layer layer = random.view();
  layer.cells = nullptr;
  layer.positions = nullptr;
  compare(params_for(GetParam().c_str(), 256), layer);
}

TEST_P(CudaChoiceTest, SeveralItemsOfDifferentLengthInTurns) {
  std::vector<std::unique_ptr<RandomLayer>> layers;
  std::vector<std::unique_ptr<DeviceLayer>> devices;
  std::vector<vase_cuda_item> items;
  std::vector<vase_layer> views;
  for (int i = 0; i < 7; ++i) {
    const Shape shape{
        .n_heads = 3, .group = 2, .dim = 128, .n_rows = 100 + 71 * i, .type = VASE_F16};
    layers.push_back(std::make_unique<RandomLayer>(shape, static_cast<uint64_t>(50 + i)));
    vase_layer layer = layers.back()->view();
    layer.layer = static_cast<uint32_t>(i);
    layer.sequence = static_cast<uint32_t>(i % 3);
    layer.eviction = static_cast<uint32_t>(10 * i);
    layer.pinned_end = 3 * i;
    views.push_back(layer);
    devices.push_back(std::make_unique<DeviceLayer>(layer, layer.n_rows));
    items.push_back(devices.back()->item());
  }
  const vase_params params = params_for(GetParam().c_str(), 160);
  for (const auto& [turn, lists] : {std::pair{7, 7}, {3, 3}, {4, 2}, {1, 1}}) {
    const Handle handle(Handle::limits_for(views.back(), turn, lists));
    const std::vector<uint8_t> keep = testing::select_on_device(handle, params, items);
    const int32_t stride = handle.limits().n_rows;
    for (size_t i = 0; i < views.size(); ++i) {
      testing::expect_same_choice(
          params, views[i], keep.data() + i * 3 * static_cast<size_t>(stride), stride, agreement_);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(CudaChoiceTest, QueriesWithStrides) {
  // As llama.cpp's graph has them: [dim, tokens, heads], of which the last 16 tokens score.
  const Shape shape{.n_heads = 2, .group = 3, .dim = 64, .n_rows = 300, .n_queries = 16};
  RandomLayer random(shape, 61);
  const vase_layer layer = random.view();
  DeviceLayer device(layer, layer.n_rows);
  constexpr int32_t kTokens = 21, kDim = 64, kHeads = 6;
  std::vector<float> tensor(size_t{kTokens} * kHeads * kDim, 99.0f);
  for (int32_t head = 0; head < kHeads; ++head)
    for (int32_t t = 0; t < 16; ++t)
      std::copy_n(layer.queries + (head * 16 + t) * kDim, kDim,
                  tensor.begin() + (head * kTokens + t + kTokens - 16) * kDim);
  const testing::DeviceArray<float> queries(tensor);
  vase_cuda_item item = device.item();
  item.layer.queries = queries.data() + (kTokens - 16) * kDim;
  item.query_head_stride = int64_t{kTokens} * kDim * 4;
  item.query_token_stride = kDim * 4;

  const vase_params params = params_for(GetParam().c_str(), 200);
  const Handle handle(Handle::limits_for(layer));
  EXPECT_EQ(testing::select_on_device(handle, params, {item}),
            testing::select_on_device(handle, params, {device.item()}));
}

TEST_P(CudaChoiceTest, GivenAndFixedProjections) {
  const Shape shape{.n_heads = 2, .group = 1, .dim = 64, .n_rows = 300, .values_dim = 128};
  RandomLayer random(shape, 67);
  vase_layer layer = random.view();
  vase_params params = params_for(GetParam().c_str(), 200);
  params.resample = 0;
  compare(params, layer);
  if (HasFatalFailure()) return;

  std::vector<float> gauss(128 * 20);
  std::normal_distribution<float> normal;
  for (float& g : gauss) g = normal(random_);
  const testing::DeviceArray<float> on_device(gauss);
  const DeviceLayer device(layer, layer.n_rows);
  vase_cuda_item item = device.item();
  item.layer.gauss = on_device.data();
  layer.gauss = gauss.data();
  const Handle handle(Handle::limits_for(layer));
  const std::vector<uint8_t> keep = testing::select_on_device(handle, params, {item});
  testing::expect_same_choice(params, layer, keep.data(), layer.n_rows, agreement_);
}

INSTANTIATE_TEST_SUITE_P(Policies, CudaChoiceTest, ::testing::ValuesIn(testing::policy_names()),
                         [](const auto& policy) { return testing::test_name(policy.param); });

}  // namespace
}  // namespace vase
