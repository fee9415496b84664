// What vase/cuda.h refuses, and what can be known without a device.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "cuda/check.hpp"
#include "cuda/device.hpp"
#include "support/random_layer.hpp"
#include "support/selection.hpp"

namespace vase {
namespace {

using ::testing::HasSubstr;

constexpr vase_cuda_limits kLimits{4, 2, 2, 6, 320, 64, 64, 64};

TEST(CudaChecksTest, EveryPolicyOfTheRegistryHasKernels) {
  for (int32_t i = 0; i < vase_policy_count(); ++i)
    EXPECT_EQ(vase_cuda_supports(vase_policy_at(i)), 1) << vase_policy_name(vase_policy_at(i));
  EXPECT_EQ(vase_cuda_supports(nullptr), 0);
}

TEST(CudaChecksTest, BytesAreKnownWithoutADevice) {
  const size_t bytes = vase_cuda_bytes_needed(&kLimits);
  EXPECT_GT(bytes, 0u);
  vase_cuda_limits twice = kLimits;
  twice.items *= 2;
  EXPECT_GT(vase_cuda_bytes_needed(&twice), bytes);
}

TEST(CudaChecksTest, RefusesLimitsThatMakeNoSense) {
  const auto message = [](const std::function<void(vase_cuda_limits&)>& change) {
    vase_cuda_limits limits = kLimits;
    change(limits);
    EXPECT_EQ(vase_cuda_bytes_needed(&limits), 0u);
    vase_cuda* cuda = nullptr;
    EXPECT_EQ(vase_cuda_create(&limits, &cuda), VASE_INVALID_ARGUMENT);
    EXPECT_EQ(cuda, nullptr);
    return std::string(vase_last_error());
  };
  EXPECT_THAT(message([](auto& l) { l.items = 0; }), HasSubstr("limits.items is 0"));
  EXPECT_THAT(message([](auto& l) { l.keys_dim = 576; }), HasSubstr("limits.keys_dim is 576"));
  EXPECT_THAT(message([](auto& l) { l.n_query_heads = 5; }), HasSubstr("multiple of n_heads = 2"));
  EXPECT_THAT(message([](auto& l) { l.sequences = 5; }), HasSubstr("limits.sequences is 5"));
  EXPECT_THAT(message([](auto& l) { l.n_rows = INT32_MAX; }), HasSubstr("limits.n_rows"));
  EXPECT_EQ(vase_cuda_bytes_needed(nullptr), 0u);
  EXPECT_EQ(vase_cuda_create(&kLimits, nullptr), VASE_INVALID_ARGUMENT);
}

TEST(CudaChecksTest, NullHandles) {
  const vase_params params = testing::params_for("vase", 64);
  EXPECT_EQ(vase_cuda_evict(nullptr, &params, nullptr, 0, 0, nullptr, nullptr),
            VASE_INVALID_ARGUMENT);
  EXPECT_EQ(vase_cuda_select(nullptr, &params, nullptr, 0, nullptr, nullptr),
            VASE_INVALID_ARGUMENT);
  EXPECT_EQ(vase_cuda_scores(nullptr, &params, nullptr, 0, nullptr, nullptr),
            VASE_INVALID_ARGUMENT);
  EXPECT_EQ(vase_cuda_compact(nullptr, nullptr, 0, nullptr, nullptr, 0, nullptr, nullptr),
            VASE_INVALID_ARGUMENT);
  EXPECT_EQ(vase_cuda_bytes(nullptr), 0u);
  vase_cuda_destroy(nullptr);
}

TEST(CudaChecksTest, SaysThatThereIsNoDevice) {
  if (testing::no_device().empty()) GTEST_SKIP() << "there is one";
  vase_cuda* cuda = nullptr;
  EXPECT_EQ(vase_cuda_create(&kLimits, &cuda), VASE_DEVICE_FAILED);
  EXPECT_EQ(cuda, nullptr);
  EXPECT_THAT(vase_last_error(), HasSubstr("CUDA"));
}

class CudaItemsTest : public ::testing::Test {
 protected:
  vase_cuda_item item() {
    vase_cuda_item item{};
    item.layer = layer_.view();
    item.layer.positions = nullptr;
    return item;
  }

  std::string refusal(std::vector<vase_cuda_item> items, const char* policy = "vase") {
    vase_status status =
        cuda::check_items(kLimits, items.data(), static_cast<int32_t>(items.size()));
    const vase_params params = testing::params_for(policy, 256);
    if (status == VASE_OK) status = cuda::check_policy(kLimits, &params, items);
    return status == VASE_OK ? "" : vase_last_error();
  }

  std::string refusal_of(const std::function<void(vase_cuda_item&)>& change) {
    std::vector<vase_cuda_item> items{item(), item()};
    change(items[1]);
    return refusal(items);
  }

  testing::RandomLayer layer_{testing::Shape{}, 1};
  int32_t positions_[4] = {};
};

TEST_F(CudaItemsTest, AcceptsGoodOnes) { EXPECT_EQ(refusal({item(), item()}), ""); }

TEST_F(CudaItemsTest, SaysWhatIsWrongWithWhichItem) {
  EXPECT_THAT(refusal_of([](auto& i) { i.layer.n_rows = 321; }),
              HasSubstr("item 1: n_rows is 321, but the handle was made for at most 320"));
  EXPECT_THAT(refusal_of([](auto& i) { i.layer.n_query_heads = 2; }),
              HasSubstr("item 1 differs from item 0"));
  EXPECT_THAT(refusal_of([](auto& i) { i.layer.keys.type = VASE_F16; }),
              HasSubstr("item 1 differs from item 0"));
  EXPECT_THAT(refusal_of([&](auto& i) { i.layer.positions = positions_; }),
              HasSubstr("item 1: layer.positions must be null"));
  EXPECT_THAT(refusal_of([](auto& i) { i.layer.keys.row_stride += 2; }),
              HasSubstr("item 1: keys.data and its strides must be multiples of 4"));
  EXPECT_THAT(refusal_of([](auto& i) { i.n_new = 3; }), HasSubstr("positions is null"));
  EXPECT_THAT(refusal_of([&](auto& i) { i.positions = positions_; }),
              HasSubstr("position_stride is 0"));
  EXPECT_THAT(refusal_of([](auto& i) { i.n_new = 400; }), HasSubstr("400 new rows"));
  EXPECT_THAT(refusal_of([](auto& i) { i.query_token_stride = 3; }),
              HasSubstr("query strides must be multiples of 4"));
  EXPECT_THAT(refusal_of([](auto& i) { i.layer.queries = nullptr; }), HasSubstr("queries"));
  EXPECT_THAT(refusal_of([](auto& i) { i.layer.keys.data = nullptr; }), HasSubstr("null"));
}

TEST_F(CudaItemsTest, RopesAreAlike) {
  // Device pointers, which the checks must not follow.
  const auto* here = reinterpret_cast<const float*>(0x10);
  const auto* there = reinterpret_cast<const float*>(0x20);
  const auto refusal_of_ropes = [&](const vase_rope& first, const vase_rope& second) {
    std::vector<vase_cuda_item> items{item(), item()};
    items[0].layer.rope = first;
    items[1].layer.rope = second;
    return refusal(items);
  };
  EXPECT_EQ(refusal_of_ropes({here, 32, 32}, {there, 32, 32}), "");
  EXPECT_EQ(refusal_of_ropes({nullptr, 0, 0}, {nullptr, 32, 1}), "");
  for (const vase_rope& other :
       {vase_rope{here, 16, 32}, vase_rope{here, 32, 1}, vase_rope{nullptr, 32, 32}})
    EXPECT_THAT(refusal_of_ropes({here, 32, 32}, other),
                HasSubstr("item 1 differs from item 0 in heads"));
  EXPECT_THAT(refusal_of_ropes({here, 32, 32}, {here, 33, 32}), HasSubstr("rope.pairs is 33"));
}

TEST_F(CudaItemsTest, PoliciesWithoutQueriesTakeNone) {
  vase_cuda_item without = item();
  without.layer.queries = nullptr;
  EXPECT_EQ(refusal({without}, "vase-cur"), "");
}

TEST_F(CudaItemsTest, NoItems) {
  EXPECT_EQ(cuda::check_items(kLimits, nullptr, 0), VASE_OK);
  EXPECT_EQ(cuda::check_items(kLimits, nullptr, 1), VASE_INVALID_ARGUMENT);
  EXPECT_EQ(cuda::check_items(kLimits, nullptr, -1), VASE_INVALID_ARGUMENT);
}

}  // namespace
}  // namespace vase
