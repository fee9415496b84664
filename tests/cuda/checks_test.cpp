// What vase/cuda.h refuses, and what can be known without a device.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "cuda/check.hpp"
#include "cuda/device.hpp"
#include "cuda/versioned.hpp"
#include "support/random_layer.hpp"
#include "support/selection.hpp"

namespace vase {
namespace {

using ::testing::HasSubstr;

constexpr vase_cuda_limits kLimits{sizeof(vase_cuda_limits), 4, 2, 2, 6, 320, 64, 64, 64};

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
  EXPECT_THAT(message([](auto& l) { l.keys_dim = 577; }), HasSubstr("limits.keys_dim is 577"));
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
    vase_status status = cuda::check_items(kLimits, items);
    const vase_params params = testing::params_for(policy, 256);
    if (status == VASE_OK) status = cuda::check_policy(kLimits, params, items);
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
  std::vector<vase_cuda_item> read;
  EXPECT_EQ(cuda::read_items(nullptr, 0, read), VASE_OK);
  EXPECT_EQ(cuda::check_items(kLimits, read), VASE_OK);
  EXPECT_EQ(cuda::read_items(nullptr, 1, read), VASE_INVALID_ARGUMENT);
  EXPECT_EQ(cuda::read_items(nullptr, -1, read), VASE_INVALID_ARGUMENT);
}

/// Items of a program of another version: `layer_more` bytes more in the layer (or less), and
/// `item_more` more behind all, all of them `filler`.
std::vector<std::byte> of_another_version(const std::vector<vase_cuda_item>& items,
                                          ptrdiff_t layer_more, ptrdiff_t item_more,
                                          std::byte filler) {
  constexpr size_t kAt = offsetof(vase_cuda_item, layer), kLayer = sizeof(vase_layer);
  const auto put = [](std::vector<std::byte>& out, const void* from, size_t have, ptrdiff_t more,
                      std::byte fill) {
    const auto* bytes = static_cast<const std::byte*>(from);
    const size_t wanted = have + static_cast<size_t>(more);
    out.insert(out.end(), bytes, bytes + std::min(have, wanted));
    if (wanted > have) out.insert(out.end(), wanted - have, fill);
  };
  std::vector<std::byte> out;
  for (vase_cuda_item item : items) {
    item.size += static_cast<size_t>(layer_more + item_more);
    item.layer.size += static_cast<size_t>(layer_more);
    const auto* bytes = reinterpret_cast<const std::byte*>(&item);
    put(out, bytes, kAt, 0, filler);
    put(out, bytes + kAt, kLayer, layer_more, filler);
    put(out, bytes + kAt + kLayer, sizeof item - kAt - kLayer, item_more, filler);
  }
  return out;
}

TEST_F(CudaItemsTest, AreReadFromProgramsOfOtherVersions) {
  std::vector<vase_cuda_item> items{item(), item()}, read;
  items[0].new_position = 5;
  items[1].new_position = 6;
  items[1].layer.n_rows = 66;
  items[1].layer.layer = 3;
  constexpr auto kLast = sizeof(vase_layer) - sizeof(uint64_t);  // of alignment's size
  items[1].layer.pinned_first = 7;
  static_assert(offsetof(vase_layer, pinned_first) >= kLast, "the newest field");
  const auto status_of = [&](ptrdiff_t layer_more, ptrdiff_t item_more, int filler) {
    const std::vector<std::byte> given =
        of_another_version(items, layer_more, item_more, static_cast<std::byte>(filler));
    return cuda::read_items(reinterpret_cast<const vase_cuda_item*>(given.data()), 2, read);
  };
  for (const auto& [layer_more, item_more] :
       {std::pair(0, 0), std::pair(16, 0), std::pair(0, 24), std::pair(8, 8)}) {
    ASSERT_EQ(status_of(layer_more, item_more, 0), VASE_OK) << vase_last_error();
    ASSERT_EQ(read.size(), 2U);
    EXPECT_EQ(read[0].new_position, 5);
    EXPECT_EQ(read[1].new_position, 6);
    EXPECT_EQ(read[1].layer.n_rows, 66);
    EXPECT_EQ(read[1].layer.layer, 3U);
    EXPECT_EQ(read[1].size, sizeof(vase_cuda_item));
  }
  ASSERT_EQ(status_of(-8, 0, 0), VASE_OK) << vase_last_error();
  EXPECT_EQ(read[1].layer.pinned_first, 0) << "its program did not know that field";
  EXPECT_EQ(read[1].layer.layer, 3U);
  EXPECT_EQ(read[1].new_position, 6);
  for (const auto& [layer_more, item_more] : {std::pair(16, 0), std::pair(0, 8)}) {
    EXPECT_EQ(status_of(layer_more, item_more, 1), VASE_INVALID_ARGUMENT);
    EXPECT_THAT(vase_last_error(), HasSubstr("set"));
  }
}

TEST_F(CudaItemsTest, SizesMustBeSet) {
  std::vector<vase_cuda_item> items{item(), item()}, read;
  const auto refusal_of_sizes = [&](size_t item_size, size_t layer_size) {
    items[1].size = item_size;
    items[1].layer.size = layer_size;
    EXPECT_EQ(cuda::read_items(items.data(), 2, read), VASE_INVALID_ARGUMENT);
    return std::string(vase_last_error());
  };
  EXPECT_THAT(refusal_of_sizes(0, sizeof(vase_layer)), HasSubstr("item 1: size is 0"));
  EXPECT_THAT(refusal_of_sizes(sizeof(vase_cuda_item), 0), HasSubstr("item.layer.size is 0"));
  EXPECT_THAT(refusal_of_sizes(sizeof(vase_cuda_item), 100000), HasSubstr("layer.size 100000"));
  EXPECT_THAT(refusal_of_sizes(sizeof(vase_cuda_item) - 8, sizeof(vase_layer)),
              HasSubstr("all items of a call have the same"));
  vase_cuda_limits limits = kLimits;
  limits.size = 0;
  EXPECT_EQ(vase_cuda_bytes_needed(&limits), 0U);
  EXPECT_THAT(vase_last_error(), HasSubstr("limits.size is 0"));
}

}  // namespace
}  // namespace vase
