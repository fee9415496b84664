// Programs that were compiled with another version of vase.h.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "support/random_layer.hpp"
#include "support/selection.hpp"
#include "vase/vase.h"

namespace vase {
namespace {

using ::testing::HasSubstr;

/// A struct as another version has it: `size` bytes, those beyond ours `filler`.
template <typename T>
std::vector<std::byte> resized(const T& value, size_t size, int filler = 0) {
  std::vector<std::byte> bytes(size, static_cast<std::byte>(filler));
  std::memcpy(bytes.data(), &value, std::min(size, sizeof value));
  std::memcpy(bytes.data(), &size, sizeof size);
  return bytes;
}

template <typename T>
const T* as(const std::vector<std::byte>& bytes) {
  return reinterpret_cast<const T*>(bytes.data());
}

class VersionsTest : public ::testing::Test {
 protected:
  testing::RandomLayer random_{{}, 1};
  vase_layer layer_ = random_.view();
  vase_params params_ = testing::params_for("vase", 256);
  std::vector<std::byte> workspace_ =
      std::vector<std::byte>(vase_workspace_size(&params_, &layer_));

  vase_status select(const vase_params* params, const vase_layer* layer) {
    keep_.assign(2 * 320, 7);
    return vase_select(params, layer, 0, 2, keep_.data(), workspace_.data(), workspace_.size());
  }

  std::vector<uint8_t> keep_;
};

TEST_F(VersionsTest, SizesAreSetByThemselvesInCpp) {
  EXPECT_EQ(vase_layer{}.size, sizeof(vase_layer));
  EXPECT_EQ(vase_params{}.size, sizeof(vase_params));
  EXPECT_EQ(params_.size, sizeof(vase_params));
}

TEST_F(VersionsTest, NewerStructsAreTakenIfTheirNewFieldsAreZero) {
  const auto layer = resized(layer_, sizeof layer_ + 24);
  const auto params = resized(params_, sizeof params_ + 8);
  ASSERT_EQ(select(&params_, &layer_), VASE_OK);
  const std::vector<uint8_t> expected = keep_;
  ASSERT_EQ(select(as<vase_params>(params), as<vase_layer>(layer)), VASE_OK) << vase_last_error();
  EXPECT_EQ(keep_, expected);
}

TEST_F(VersionsTest, NewerStructsWithMoreToSayAreRefused) {
  const auto layer = resized(layer_, sizeof layer_ + 24, 1);
  EXPECT_EQ(select(&params_, as<vase_layer>(layer)), VASE_INVALID_ARGUMENT);
  EXPECT_THAT(vase_last_error(), HasSubstr("layer has something set in byte"));
  const auto params = resized(params_, sizeof params_ + 8, 1);
  EXPECT_EQ(vase_params_check(as<vase_params>(params)), VASE_INVALID_ARGUMENT);
  EXPECT_THAT(vase_last_error(), HasSubstr("libvase knows"));
}

TEST_F(VersionsTest, OlderStructsHaveDefaultsForWhatTheyLack) {
  params_.sinks = 7;
  params_.temperature = 9;
  params_.seed = 99;
  const auto params = resized(params_, offsetof(vase_params, temperature));
  vase_params expected = params_;
  expected.temperature = 1;
  expected.lambda = 0.5f;
  expected.seed = 0;
  ASSERT_EQ(select(&expected, &layer_), VASE_OK);
  const std::vector<uint8_t> kept = keep_;
  ASSERT_EQ(select(as<vase_params>(params), &layer_), VASE_OK) << vase_last_error();
  EXPECT_EQ(keep_, kept);

  const auto layer = resized(layer_, offsetof(vase_layer, queries));  // it has cells and positions
  EXPECT_EQ(select(&params_, as<vase_layer>(layer)), VASE_QUERIES_MISSING);
  vase_layer without = layer_;
  without.eviction = without.layer = 0;
  const vase_params by_age = testing::params_for("random", 256);
  ASSERT_EQ(select(&by_age, &without), VASE_OK);
  const std::vector<uint8_t> drawn = keep_;
  ASSERT_EQ(select(&by_age, as<vase_layer>(layer)), VASE_OK) << vase_last_error();
  EXPECT_EQ(keep_, drawn);
}

TEST_F(VersionsTest, ASizeThatWasNotSetIsRefusedInWords) {
  for (const size_t size : {size_t{0}, size_t{8}, size_t{1} << 40}) {
    layer_.size = size;
    EXPECT_EQ(select(&params_, &layer_), VASE_INVALID_ARGUMENT);
    EXPECT_THAT(vase_last_error(), HasSubstr("set it to sizeof(vase_layer)"));
    params_.size = size;
    EXPECT_EQ(vase_params_check(&params_), VASE_INVALID_ARGUMENT);
    EXPECT_THAT(vase_last_error(), HasSubstr("set it to sizeof(vase_params)"));
    params_.size = sizeof params_;
  }
}

TEST_F(VersionsTest, DefaultsAreWrittenToStructsOfAnySize) {
  for (const size_t size : {offsetof(vase_params, pooling), sizeof(vase_params) + 16}) {
    std::vector<std::byte> bytes(size + 8, std::byte{0x5a});
    auto* params = reinterpret_cast<vase_params*>(bytes.data());
    ASSERT_EQ(vase_params_init(params, size, vase_policy_find("vase"), 512), VASE_OK);
    EXPECT_EQ(params->size, size);
    EXPECT_EQ(params->protect, 128);
    EXPECT_EQ(vase_params_check(params), VASE_OK) << vase_last_error();
    EXPECT_EQ(bytes[size], std::byte{0x5a}) << "nothing behind the struct is written";
  }
  vase_params params;
  EXPECT_EQ(vase_params_init(&params, 3, nullptr, 512), VASE_INVALID_ARGUMENT);
  EXPECT_EQ(vase_params_init(nullptr, sizeof params, nullptr, 512), VASE_INVALID_ARGUMENT);
}

}  // namespace
}  // namespace vase
