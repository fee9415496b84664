// Moves on the device against vase_compact, bit for bit, and the bookkeeping of positions.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "cuda/device.hpp"
#include "support/random_layer.hpp"
#include "support/selection.hpp"

namespace vase {
namespace {

using testing::DeviceArray;
using testing::DeviceLayer;
using testing::Handle;
using testing::params_for;
using testing::RandomLayer;
using testing::Shape;

/// The rows of a layer on the host, moved by vase_compact.
struct HostLayer {
  explicit HostLayer(const vase_layer& original) : layer(original) {
    const auto copy = [&](vase_rows& rows, std::vector<std::byte>& to) {
      const auto* first = static_cast<const std::byte*>(rows.data);
      to.assign(first, first + layer.n_rows * rows.row_stride);
      rows.data = to.data();
    };
    copy(layer.keys, keys);
    copy(layer.values, values);
    positions.assign(layer.positions, layer.positions + layer.n_heads * layer.n_rows);
  }

  void compact(const std::vector<uint8_t>& keep, int32_t vacate_first) {
    ASSERT_EQ(vase_compact(&layer, keep.data(), vacate_first, 0, layer.n_heads, positions.data()),
              VASE_OK)
        << vase_last_error();
  }

  /// [n_heads][cells], as the device keeps them.
  std::vector<int32_t> positions_by_cell() const {
    std::vector<int32_t> out(positions.size());
    for (int32_t h = 0; h < layer.n_heads; ++h)
      for (int32_t i = 0; i < layer.n_rows; ++i)
        out[static_cast<size_t>(h * layer.n_rows + layer.cells[i])] =
            positions[static_cast<size_t>(h * layer.n_rows + i)];
    return out;
  }

  vase_layer layer;
  std::vector<std::byte> keys, values;
  std::vector<int32_t> positions;
};

class CudaEvictionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string reason = testing::no_device(); !reason.empty()) GTEST_SKIP() << reason;
  }

  static void expect_equal(const DeviceLayer& device, const HostLayer& host) {
    EXPECT_TRUE(device.keys() == host.keys);
    EXPECT_TRUE(device.values() == host.values);
    EXPECT_EQ(device.positions(), host.positions_by_cell());
  }

  /// One item's mask without the stride between heads.
  static std::vector<uint8_t> dense(const std::vector<uint8_t>& keep, size_t item,
                                    const vase_layer& layer, int32_t stride) {
    std::vector<uint8_t> out;
    for (int32_t h = 0; h < layer.n_heads; ++h) {
      const auto first =
          keep.begin() + static_cast<ptrdiff_t>(item) * layer.n_heads * stride + h * stride;
      out.insert(out.end(), first, first + layer.n_rows);
    }
    return out;
  }
};

TEST_F(CudaEvictionTest, EvictionIsSelectionAndMoves) {
  for (const char* policy : {"vase", "vase-plus", "vase-cur", "random", "full"})
    for (const vase_type type : {VASE_F32, VASE_F16, VASE_BF16, VASE_Q8_0, VASE_Q4_0})
      for (const int32_t vacate_first : {0, 17}) {
        SCOPED_TRACE(::testing::Message()
                     << policy << " type " << type << " from " << vacate_first);
        std::vector<std::unique_ptr<RandomLayer>> layers;
        std::vector<std::unique_ptr<DeviceLayer>> devices;
        std::vector<vase_cuda_item> items;
        for (int i = 0; i < 5; ++i) {  // the first two hold less than the budget
          const Shape shape{
              .n_heads = 3, .group = 2, .dim = 64, .n_rows = 120 + 30 * i, .type = type};
          layers.push_back(std::make_unique<RandomLayer>(shape, static_cast<uint64_t>(70 + i)));
          devices.push_back(std::make_unique<DeviceLayer>(layers.back()->view(), shape.n_rows));
          items.push_back(devices.back()->item());
        }
        const vase_params params = params_for(policy, 160);
        const Handle handle(Handle::limits_for(layers.back()->view(), 2, 2));
        const std::vector<uint8_t> keep = testing::select_on_device(handle, params, items);
        const DeviceArray<int32_t> moved(items.size() * 3);
        ASSERT_EQ(vase_cuda_evict(handle.get(), &params, items.data(), 5, vacate_first,
                                  moved.data(), nullptr),
                  VASE_OK)
            << vase_last_error();
        const std::vector<int32_t> counts = moved.read();
        for (size_t i = 0; i < items.size(); ++i) {
          HostLayer host(layers[i]->view());
          const std::vector<uint8_t> own = dense(keep, i, host.layer, handle.limits().n_rows);
          host.compact(own, vacate_first);
          expect_equal(*devices[i], host);
          const auto freed = static_cast<int32_t>(std::count(own.begin(), own.end(), 0)) / 3;
          for (int32_t h = 0; h < 3; ++h) {
            const auto block = own.begin() + h * host.layer.n_rows + vacate_first;
            EXPECT_EQ(counts[i * 3 + static_cast<size_t>(h)], std::count(block, block + freed, 1));
          }
        }
      }
}

TEST_F(CudaEvictionTest, SumsGainWhatIsFoundAndStayWithTheirRows) {
  const Shape shape{.n_heads = 2, .group = 2, .dim = 64, .n_rows = 300, .type = VASE_F16};
  RandomLayer random(shape, 83);
  vase_layer layer = random.view();
  std::vector<float> sums(static_cast<size_t>(shape.n_heads * shape.n_rows));
  for (size_t i = 0; i < sums.size(); ++i) sums[i] = 0.01f * static_cast<float>(i % 37);
  layer.sums = sums.data();
  const vase_params params = params_for("h2o", 200);
  const DeviceLayer device(layer, shape.n_rows);
  const Handle handle(Handle::limits_for(layer));
  const vase_cuda_item item = device.item();
  const std::vector<float> looked = testing::scores_on_device(handle, params, {item});
  const std::vector<float> before = device.sums();
  ASSERT_EQ(vase_cuda_evict(handle.get(), &params, &item, 1, 0, nullptr, nullptr), VASE_OK)
      << vase_last_error();
  const std::vector<float> after = device.sums();

  const std::vector<float> expected_scores = testing::scores(params, layer);
  for (size_t i = 0; i < looked.size(); ++i)
    if (std::isfinite(expected_scores[i])) {
      EXPECT_NEAR(looked[i], expected_scores[i], 1e-4f * expected_scores[i]);
    }
  for (int32_t h = 0; h < shape.n_heads; ++h)
    for (int32_t i = 0; i < shape.n_rows; ++i)
      EXPECT_EQ(before[static_cast<size_t>(h * shape.n_rows + layer.cells[i])],
                sums[static_cast<size_t>(h * shape.n_rows + i)])
          << "scores only look";
  HostLayer host(layer);
  host.compact(testing::select(params, layer), 0);  // adds to the sums, then moves them
  EXPECT_EQ(device.positions(), host.positions_by_cell());
  for (int32_t h = 0; h < shape.n_heads; ++h)
    for (int32_t i = shape.n_rows - params.budget; i < shape.n_rows; ++i) {
      const float expected = sums[static_cast<size_t>(h * shape.n_rows + i)];
      EXPECT_NEAR(after[static_cast<size_t>(h * shape.n_rows + layer.cells[i])], expected,
                  1e-4f * expected + 1e-6f);
    }
}

TEST_F(CudaEvictionTest, MovesAloneLeaveHeadsWithWrongMasksAlone) {
  const Shape shape{.n_heads = 3, .group = 1, .dim = 64, .n_rows = 200, .type = VASE_F16};
  RandomLayer random(shape, 81);
  const DeviceLayer device(random.view(), shape.n_rows);
  std::mt19937 shuffle(5);
  std::vector<uint8_t> keep;
  for (int32_t h = 0; h < 3; ++h) {
    std::vector<uint8_t> mask(200, 1);
    std::fill_n(mask.begin(), 50, uint8_t{0});
    std::shuffle(mask.begin(), mask.end(), shuffle);
    keep.insert(keep.end(), mask.begin(), mask.end());
  }
  HostLayer host(random.view());
  host.compact(keep, 40);
  // One more row is given up by head 1 on the device: neither its rows nor positions may change.
  const HostLayer untouched(random.view());
  std::vector<uint8_t> uneven = keep;
  *std::find(uneven.begin() + 200, uneven.begin() + 400, uint8_t{1}) = 0;

  const Handle handle(Handle::limits_for(random.view()));
  const DeviceArray<uint8_t> masks(uneven);
  const DeviceArray<int32_t> moved(3);
  const vase_cuda_item item = device.item();
  const int32_t freed = 50;
  ASSERT_EQ(
      vase_cuda_compact(handle.get(), &item, 1, masks.data(), &freed, 40, moved.data(), nullptr),
      VASE_OK)
      << vase_last_error();
  EXPECT_EQ(moved.read()[1], -1);
  const std::vector<std::byte> keys = device.keys();
  const std::vector<int32_t> positions = device.positions(), expected = host.positions_by_cell(),
                             original = untouched.positions_by_cell();
  for (int32_t cell = 0; cell < 200; ++cell)
    for (int32_t h = 0; h < 3; ++h) {
      const HostLayer& same = h == 1 ? untouched : host;
      const int64_t at = cell * host.layer.keys.row_stride + h * host.layer.keys.head_stride;
      ASSERT_TRUE(std::equal(keys.begin() + at, keys.begin() + at + 128, same.keys.begin() + at))
          << "cell " << cell << " head " << h;
      const auto index = static_cast<size_t>(h * 200 + cell);
      ASSERT_EQ(positions[index], h == 1 ? original[index] : expected[index]);
    }
  EXPECT_EQ(vase_cuda_compact(handle.get(), &item, 1, masks.data(), &freed, 151, nullptr, nullptr),
            VASE_INVALID_ARGUMENT);
}

// As the adapter for llama.cpp runs: freed cells are filled again, the order of cells is a ring,
// and positions live on the device alone.
TEST_F(CudaEvictionTest, PositionsOfNewRowsAreWrittenAndFollowTheMoves) {
  constexpr int32_t kRows = 256, kBudget = 192, kHeads = 2, kNew = kRows - kBudget;
  const Shape shape{.n_heads = kHeads, .group = 2, .dim = 128, .n_rows = kRows, .type = VASE_F16};
  RandomLayer random(shape, 91);
  const vase_layer view = random.view();
  const DeviceLayer device(view, kRows);
  vase_params params = params_for("vase", kBudget);
  const Handle handle(Handle::limits_for(view));
  std::vector<int32_t> cells(view.cells, view.cells + kRows);

  for (int32_t round = 0; round < 6; ++round) {
    vase_cuda_item item = device.item();
    item.layer.cells = cells.data();
    item.layer.eviction = static_cast<uint32_t>(round);
    item.n_new = round == 0 ? kRows : kNew;
    item.new_position = round == 0 ? 0 : kRows + (round - 1) * kNew;
    const std::vector<uint8_t> keep = testing::select_on_device(handle, params, {item});
    const std::vector<int32_t> before = device.positions();
    ASSERT_EQ(vase_cuda_evict(handle.get(), &params, &item, 1, 0, nullptr, nullptr), VASE_OK);
    const std::vector<int32_t> after = device.positions();
    const int32_t newest = item.new_position + item.n_new - 1;
    for (int32_t h = 0; h < kHeads; ++h) {
      std::set<int32_t> expected, there;
      for (int32_t i = 0; i < kRows; ++i) {
        const auto index = static_cast<size_t>(h * kRows + cells[static_cast<size_t>(i)]);
        if (keep[static_cast<size_t>(h * kRows + i)] != 0) expected.insert(before[index]);
        if (i >= kNew) there.insert(after[index]);
      }
      EXPECT_EQ(there.size(), static_cast<size_t>(kBudget));
      EXPECT_EQ(there, expected);
      EXPECT_EQ(*there.begin(), 0);  // a sink
      EXPECT_EQ(*there.rbegin(), newest);
      EXPECT_TRUE(there.contains(newest - params.recency + 1));
    }
    std::rotate(cells.begin(), cells.begin() + kNew, cells.end());
  }
}

TEST_F(CudaEvictionTest, NewPositionsAreWrittenToItemsBelowTheBudget) {
  const Shape shape{.n_heads = 2, .group = 1, .dim = 64, .n_rows = 100};
  RandomLayer random(shape, 93);
  const DeviceLayer device(random.view(), 100);
  vase_cuda_item item = device.item();
  item.n_new = 100;
  item.new_position = 1000;
  const vase_params params = params_for("vase", 160);
  const Handle handle(Handle::limits_for(random.view()));
  ASSERT_EQ(vase_cuda_evict(handle.get(), &params, &item, 1, 0, nullptr, nullptr), VASE_OK);
  const std::vector<int32_t> positions = device.positions();
  for (int32_t h = 0; h < 2; ++h)
    for (int32_t i = 0; i < 100; ++i)
      ASSERT_EQ(positions[static_cast<size_t>(h * 100 + device.cell(i))], 1000 + i);
}

TEST_F(CudaEvictionTest, KeysAndValuesMayBeTheSameMemory) {
  for (const int32_t dim : {128, 576}) {
    const Shape shape{.n_heads = 1, .group = 4, .dim = dim, .n_rows = 300, .type = VASE_F16};
    RandomLayer random(shape, 95);
    const DeviceLayer device(random.view(), 300);
    vase_cuda_item item = device.item();
    item.layer.values = item.layer.keys;
    item.layer.values.dim = dim - 64;
    const vase_params params = params_for("vase", 200);
    const Handle handle(Handle::limits_for(random.view()));
    const std::vector<uint8_t> keep = testing::select_on_device(handle, params, {item});
    ASSERT_EQ(vase_cuda_evict(handle.get(), &params, &item, 1, 0, nullptr, nullptr), VASE_OK);
    HostLayer host(random.view());
    host.compact(keep, 0);
    EXPECT_TRUE(device.keys() == host.keys);
  }
}

TEST_F(CudaEvictionTest, RunsOnTheCallersStream) {
  const Shape shape{.n_heads = 2, .group = 2, .dim = 64, .n_rows = 300, .type = VASE_F16};
  RandomLayer random(shape, 97);
  const DeviceLayer on_default(random.view(), 300), on_own(random.view(), 300);
  const vase_params params = params_for("vase", 200);
  const Handle handle(Handle::limits_for(random.view()));
  vase_cuda_item item = on_default.item();
  ASSERT_EQ(vase_cuda_evict(handle.get(), &params, &item, 1, 0, nullptr, nullptr), VASE_OK);
  testing::expect_cuda(cudaDeviceSynchronize());

  cudaStream_t stream = nullptr;
  testing::expect_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  item = on_own.item();
  ASSERT_EQ(vase_cuda_evict(handle.get(), &params, &item, 1, 0, nullptr, stream), VASE_OK);
  testing::expect_cuda(cudaStreamSynchronize(stream));
  testing::expect_cuda(cudaStreamDestroy(stream));
  EXPECT_TRUE(on_own.keys() == on_default.keys());
  EXPECT_EQ(on_own.positions(), on_default.positions());
}

TEST_F(CudaEvictionTest, TheHandleHoldsWhatWasForetold) {
  const vase_cuda_limits limits{sizeof(vase_cuda_limits), 36, 1, 8, 32, 4160, 64, 128, 128};
  size_t before = 0, after = 0, total = 0;
  testing::expect_cuda(cudaMemGetInfo(&before, &total));
  const Handle handle(limits);
  testing::expect_cuda(cudaMemGetInfo(&after, &total));
  EXPECT_EQ(vase_cuda_bytes(handle.get()), vase_cuda_bytes_needed(&limits));
  EXPECT_NEAR(static_cast<double>(before - after),
              static_cast<double>(vase_cuda_bytes(handle.get())), 4e6);
}

TEST_F(CudaEvictionTest, WhatWouldBeRefusedIsKnownBefore) {
  RandomLayer random({.n_rows = 320, .type = VASE_F16}, 5);
  const vase_layer layer = random.view();
  const DeviceLayer device(layer, layer.n_rows);
  const Handle handle(Handle::limits_for(layer));
  const vase_params params = params_for("vase-plus", 256);
  vase_cuda_item item = device.item();
  const auto both = [&](int32_t vacate_first) {
    const vase_status checked = vase_cuda_check(handle.get(), &params, &item, 1, vacate_first);
    EXPECT_EQ(vase_cuda_evict(handle.get(), &params, &item, 1, vacate_first, nullptr, nullptr),
              checked);
    return checked;
  };
  EXPECT_EQ(both(300), VASE_INVALID_ARGUMENT) << "64 rows from there are not there";
  item.n_new = 400;
  EXPECT_EQ(both(0), VASE_INVALID_ARGUMENT);
  item.n_new = 0;
  EXPECT_EQ(both(0), VASE_OK);
  EXPECT_EQ(vase_cuda_check(nullptr, &params, &item, 1, 0), VASE_INVALID_ARGUMENT);
}

TEST_F(CudaEvictionTest, SaysThatMemoryIsShort) {
  const vase_cuda_limits limits{sizeof(vase_cuda_limits), 8000, 1, 8, 32, 33000, 4096, 128, 256};
  vase_cuda* cuda = nullptr;
  EXPECT_EQ(vase_cuda_create(&limits, &cuda), VASE_DEVICE_FAILED);
  EXPECT_EQ(cuda, nullptr);
  EXPECT_NE(std::string(vase_last_error()).find("fewer items"), std::string::npos);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

}  // namespace
}  // namespace vase
