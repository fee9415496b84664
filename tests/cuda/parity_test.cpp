// The published code's outcomes, as tests/parity compares them with the CPU library.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "cuda/device.hpp"
#include "parity/npz.hpp"
#include "support/inclusion.hpp"
#include "support/selection.hpp"

namespace vase {
namespace {

namespace fs = std::filesystem;
using testing::DeviceArray;
using testing::DeviceLayer;
using testing::Handle;

class CudaParityTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (const std::string reason = testing::no_device(); !reason.empty()) GTEST_SKIP() << reason;
    const char* other = std::getenv("VASE_PARITY_FOLDER");
    const fs::path folder = other != nullptr ? other : VASE_PARITY_FOLDER;
    const fs::path file = folder / (std::string(GetParam()) + ".npz");
    ASSERT_TRUE(fs::exists(file)) << file << " is not there";
    arrays_ = testing::read_npz(file.string());
    arrays_.merge(testing::read_npz(file.parent_path() / "rivals" / file.filename()));
    const auto& shape = arrays_.at("K").shape;
    layer_.n_rows = static_cast<int32_t>(shape[0]);
    layer_.n_heads = static_cast<int32_t>(shape[1]);
    const auto dim = static_cast<int32_t>(shape[2]);
    layer_.keys = {arrays_.at("K").data.data(),       VASE_F32,         dim,
                   int64_t{layer_.n_heads} * dim * 4, int64_t{dim} * 4, 0};
    layer_.values = layer_.keys;
    layer_.values.data = arrays_.at("V").data.data();
    layer_.queries = arrays_.at("Q").data.data();
    layer_.n_query_heads = static_cast<int32_t>(arrays_.at("Q").shape[0]);
    layer_.n_queries = static_cast<int32_t>(arrays_.at("Q").shape[1]);
    device_ = std::make_unique<DeviceLayer>(layer_, layer_.n_rows);
  }

  float scalar(const std::string& name) const { return arrays_.at(name).data.at(0); }

  vase_params params(const char* policy) const {
    vase_params p = testing::params_for(policy, static_cast<int32_t>(scalar("budget")));
    p.recency = static_cast<int32_t>(scalar("recency"));
    p.protect = static_cast<int32_t>(scalar("n_protect"));
    p.temperature = scalar("temperature");
    p.lambda = scalar("rkv_lambda");
    return p;
  }

  void expect_kept(const vase_params& p, const vase_cuda_item& item, const std::string& mode) {
    const Handle handle(Handle::limits_for(layer_));
    const std::vector<uint8_t> keep = testing::select_on_device(handle, p, {item});
    const std::vector<float>& published = arrays_.at(mode + ".kept").data;
    for (size_t i = 0; i < keep.size(); ++i)
      ASSERT_EQ(keep[i], static_cast<uint8_t>(published[i])) << mode << ": row " << i;
  }

  std::map<std::string, testing::Array> arrays_;
  vase_layer layer_{};
  std::unique_ptr<DeviceLayer> device_;
};

TEST_P(CudaParityTest, SnapKv) {
  vase_params p = params("snapkv");
  p.sinks = 0;
  expect_kept(p, device_->item(), "attn");
}

TEST_P(CudaParityTest, RKv) {
  vase_params p = params("rkv");
  p.sinks = 0;
  expect_kept(p, device_->item(), "attn_rkv");
}

TEST_P(CudaParityTest, VaseCur) {
  const DeviceArray<float> gauss(arrays_.at("cur_resample_gauss.G").data);
  vase_cuda_item item = device_->item();
  item.layer.gauss = gauss.data();
  expect_kept(params("vase-cur"), item, "cur_resample_gauss");
}

TEST_P(CudaParityTest, EvictLarge) {
  vase_params p = params("evict-large");
  p.sinks = 0;
  expect_kept(p, device_->item(), "evict_large_range");
}

TEST_P(CudaParityTest, KeyDiff) {
  vase_params p = testing::params_for("keydiff", static_cast<int32_t>(scalar("budget")));
  p.sinks = p.recency = 0;
  expect_kept(p, device_->item(), "keydiff");
}

TEST_P(CudaParityTest, TriAttention) {
  vase_params p = testing::params_for("triattention", static_cast<int32_t>(scalar("budget")));
  p.sinks = p.recency = 0;
  const DeviceArray<float> frequencies(arrays_.at("triattention.frequencies").data);
  const DeviceArray<float> calibration(arrays_.at("triattention.calibration").data);
  vase_cuda_item item = device_->item();
  item.layer.rope = {frequencies.data(), layer_.keys.dim / 2, layer_.keys.dim / 2};
  item.layer.calibration = calibration.data();
  expect_kept(p, item, "triattention");
}

TEST_P(CudaParityTest, VaseWeights) {
  const vase_params p = params("vase");
  const Handle handle(Handle::limits_for(layer_));
  const std::vector<float> ours = testing::scores_on_device(handle, p, {device_->item()});
  const std::vector<float>& published = arrays_.at("range_sink_sample_attn.weights").data;
  const auto n = static_cast<size_t>(layer_.n_rows),
             candidates = n - static_cast<size_t>(p.recency);
  for (size_t h = 0; h < static_cast<size_t>(layer_.n_heads); ++h)
    for (size_t i = 0; i < candidates; ++i) {
      const float w = ours[h * n + i], expected = published[h * candidates + i];
      if (expected == 0)
        ASSERT_TRUE(std::isinf(w)) << "head " << h << " row " << i << " should be protected";
      else
        ASSERT_NEAR(w, expected, 2e-5f * expected) << "head " << h << " row " << i;
    }
}

TEST_P(CudaParityTest, VaseDraws) {
  const vase_params p = params("vase");
  const auto draws = static_cast<int>(scalar("draws"));
  std::vector<vase_cuda_item> items(static_cast<size_t>(draws), device_->item());
  for (size_t i = 0; i < items.size(); ++i) items[i].layer.eviction = static_cast<uint32_t>(i);
  const Handle handle(Handle::limits_for(layer_, 250));
  const std::vector<uint8_t> keep = testing::select_on_device(handle, p, items);
  const size_t rows = static_cast<size_t>(layer_.n_heads) * static_cast<size_t>(layer_.n_rows);
  std::vector<double> ours(rows), published(rows);
  for (size_t i = 0; i < keep.size(); ++i) ours[i % rows] += keep[i];
  for (size_t i = 0; i < rows; ++i) {
    ours[i] /= draws;
    published[i] = static_cast<double>(arrays_.at("range_sink_sample_attn.inclusion").data[i]);
  }
  testing::InclusionTest test;
  test.add(ours, published, draws);
  EXPECT_GT(test.rows, 100);
  EXPECT_LT(test.chi2, test.limit()) << test.rows << " rows";
}

INSTANTIATE_TEST_SUITE_P(PublishedCode, CudaParityTest,
                         ::testing::Values("gauss_a", "gauss_b", "smollm2_layer4",
                                           "smollm2_layer20"),
                         [](const auto& file) { return std::string(file.param); });

}  // namespace
}  // namespace vase
