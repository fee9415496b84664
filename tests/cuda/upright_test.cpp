// vase-plus on the device compares keys as they were before RoPE.
#include <gtest/gtest.h>

#include "cuda/device.hpp"
#include "cuda/rope.hpp"
#include "cuda/same_choice.hpp"
#include "cuda/turns.hpp"
#include "support/random_layer.hpp"

namespace vase {
namespace {

using testing::DeviceArray;
using testing::DeviceLayer;
using testing::Handle;
using testing::params_for;
using testing::RandomLayer;
using testing::Shape;

struct RopeCase {
  const char* name;
  vase_type type;
  int32_t dim, pairs, stride;
  int32_t rotation = 0;
  bool in_order = false;  ///< cell i, position i
};

constexpr RopeCase kCases[] = {
    {"halves", VASE_F16, 128, 64, 64},
    {"neighbours", VASE_F16, 64, 32, 1},
    {"partial_halves", VASE_BF16, 128, 16, 16},
    {"partial_neighbours", VASE_F32, 96, 20, 1},
    {"wide", VASE_BF16, 256, 128, 128},
    {"wider", VASE_F16, 512, 256, 256},
    {"wider_neighbours", VASE_F32, 576, 32, 1},
    {"wider_rotated_blocks", VASE_Q8_0, 512, 64, 256, 512},
    {"apart_farther_than_pairs", VASE_F16, 80, 8, 40},
    {"rows_at_odd_addresses", VASE_F16, 37, 18, 18},
    {"blocks", VASE_Q8_0, 128, 64, 64},
    {"rotated_blocks", VASE_Q8_0, 128, 64, 64, 64},
    {"rotated_neighbours", VASE_Q4_0, 64, 32, 1, 64},
    {"rotated_in_small_blocks", VASE_Q4_0, 96, 24, 48, 4},
    {"in_order", VASE_F16, 128, 64, 64, 0, true},
};

/// A random layer whose keys were rotated as the case says.
struct RopeLayer {
  explicit RopeLayer(const RopeCase& rope, int32_t n_rows = 700, uint64_t seed = 101)
      : random({.n_heads = 2,
                .group = 1,
                .dim = rope.dim,
                .n_rows = n_rows,
                .type = rope.type,
                .rope_pairs = rope.pairs,
                .rope_stride = rope.stride},
               seed),
        layer(random.view()) {
    layer.keys.rotation = layer.values.rotation = rope.rotation;
    if (rope.in_order) layer.cells = layer.positions = nullptr;
  }
  RopeLayer(const RopeLayer&) = delete;
  RopeLayer& operator=(const RopeLayer&) = delete;

  RandomLayer random;
  vase_layer layer;
};

std::vector<float> device_scores(const vase_params& params, const vase_layer& layer) {
  const Handle handle(Handle::limits_for(layer));
  const DeviceLayer device(layer, layer.n_rows);
  return testing::scores_on_device(handle, params, {device.item()});
}

/// The same layer with keys that were turned back on the host.
struct UprightLayer {
  explicit UprightLayer(const vase_layer& turned) : keys(turned), layer(turned) {
    layer.keys = keys.view();
    layer.rope = {};
  }
  UprightLayer(const UprightLayer&) = delete;
  UprightLayer& operator=(const UprightLayer&) = delete;

  testing::UprightKeysOf keys;
  vase_layer layer;
};

TEST(UprightKeysTest, TheHostTurnsThemBackAsTheCpusPolicyDoes) {
  const vase_params params = params_for("vase-plus", 500);
  for (const RopeCase& rope : kCases) {
    SCOPED_TRACE(rope.name);
    const RopeLayer turned(rope);
    const UprightLayer upright(turned.layer);
    testing::expect_same_scores(params, turned.layer, testing::scores(params, upright.layer),
                                testing::scores(params, turned.layer));
  }
}

class CudaUprightTest : public ::testing::TestWithParam<RopeCase> {
 protected:
  void SetUp() override {
    if (const std::string reason = testing::no_device(); !reason.empty()) GTEST_SKIP() << reason;
  }
};

TEST_P(CudaUprightTest, ScoresAreThoseOfKeysTurnedBackBefore) {
  const RopeLayer turned(GetParam());
  const UprightLayer upright(turned.layer);
  const vase_params params = params_for("vase-plus", 500);
  const std::vector<float> expected = device_scores(params, upright.layer);
  testing::expect_same_scores(params, turned.layer, expected, device_scores(params, turned.layer));

  // Keys as they are stored have other distances: the above could fail.
  vase_layer unknown = turned.layer;
  unknown.rope.frequencies = nullptr;
  const std::vector<float> stored = device_scores(params, unknown);
  int32_t others = 0;
  for (size_t i = 0; i < stored.size(); ++i)
    if (std::isfinite(expected[i]) && std::abs(stored[i] - expected[i]) > 1e-3f * expected[i])
      ++others;
  EXPECT_GT(others, turned.layer.n_rows / 2);
}

TEST_P(CudaUprightTest, KeepsTheRowsThatTheCpuKeeps) {
  const RopeLayer turned(GetParam());
  const vase_params params = params_for("vase-plus", 500);
  testing::expect_same_scores(params, turned.layer, testing::scores(params, turned.layer),
                              device_scores(params, turned.layer));
  const Handle handle(Handle::limits_for(turned.layer));
  const DeviceLayer device(turned.layer, turned.layer.n_rows);
  const std::vector<uint8_t> keep = testing::select_on_device(handle, params, {device.item()});
  testing::Agreement agreement;
  testing::expect_same_choice(params, turned.layer, keep.data(), turned.layer.n_rows, agreement);
}

INSTANTIATE_TEST_SUITE_P(Ropes, CudaUprightTest, ::testing::ValuesIn(kCases),
                         [](const auto& rope) { return std::string(rope.param.name); });

TEST(CudaUprightChunksTest, ItemsScoreAlikeHoweverFewAreTurnedBackAtATime) {
  if (const std::string reason = testing::no_device(); !reason.empty()) GTEST_SKIP() << reason;
  std::vector<std::unique_ptr<RopeLayer>> layers;
  std::vector<std::unique_ptr<DeviceLayer>> devices;
  std::vector<vase_cuda_item> items;
  for (int i = 0; i < 7; ++i) {
    layers.push_back(
        std::make_unique<RopeLayer>(kCases[0], 300 + 71 * i, static_cast<uint64_t>(110 + i)));
    devices.push_back(std::make_unique<DeviceLayer>(layers.back()->layer, 300 + 71 * i));
    items.push_back(devices.back()->item());
  }
  const vase_params params = params_for("vase-plus", 256);
  const vase_layer& longest = layers.back()->layer;
  const auto scores_of = [&](int32_t turn, int32_t chunk) {
    const vase_cuda_limits limits = Handle::limits_for(longest, turn, turn);
    const size_t upright_bytes = static_cast<size_t>(chunk) * static_cast<size_t>(longest.n_heads) *
                                 static_cast<size_t>(longest.n_rows) *
                                 static_cast<size_t>(longest.keys.dim) * sizeof(uint16_t);
    const DeviceArray<std::byte> memory(cuda::Layout(limits, nullptr, upright_bytes).bytes);
    const cuda::Layout layout(limits, memory.data(), upright_bytes);
    const DeviceArray<float> scores(
        std::vector<float>(items.size() * static_cast<size_t>(longest.n_heads * longest.n_rows)));
    cuda::Request request{cuda::Wish::kScores, &params, items};
    request.scores = scores.data();
    EXPECT_EQ(cuda::run(limits, layout, request, nullptr), VASE_OK) << vase_last_error();
    return scores.read();
  };
  const std::vector<float> at_once = scores_of(7, 7);
  for (const auto& [turn, chunk] : {std::pair{7, 0}, {7, 1}, {7, 2}, {7, 3}, {4, 2}, {1, 1}})
    EXPECT_TRUE(scores_of(turn, chunk) == at_once) << turn << " a turn, " << chunk << " a chunk";
  // Each item alone, through the public interface.
  for (size_t i = 0; i < items.size(); ++i) {
    const vase_layer& layer = layers[i]->layer;
    const std::vector<float> alone = device_scores(params, layer);
    for (int32_t h = 0; h < layer.n_heads; ++h)
      EXPECT_TRUE(std::equal(
          alone.begin() + h * layer.n_rows, alone.begin() + (h + 1) * layer.n_rows,
          at_once.begin() + (static_cast<int32_t>(i) * layer.n_heads + h) * longest.n_rows))
          << "item " << i << " head " << h;
  }
}

}  // namespace
}  // namespace vase
