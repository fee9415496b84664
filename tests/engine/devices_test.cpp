#include "engine/devices.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "engine/log.hpp"
#include "ggml-backend.h"
#include "vase/llama.hpp"

namespace vase::engine::test {
namespace {

using ::testing::HasSubstr;

class DevicesTest : public ::testing::Test {
 protected:
  DevicesTest() { init_llama(false); }

  std::string refusal_of(const Devices &devices) {
    try {
      set_devices(devices, params_, shares_);
    } catch (const Error &error) {
      return error.what();
    }
    return "none";
  }

  llama_model_params params_ = llama_model_default_params();
  std::vector<float> shares_;
};

TEST_F(DevicesTest, ByDefaultAsLlamaCppDoes) {
  EXPECT_EQ(refusal_of({}), "none");
  EXPECT_EQ(params_.split_mode, llama_model_default_params().split_mode);
  EXPECT_EQ(params_.tensor_split, nullptr);
}

TEST_F(DevicesTest, OneShareForEachDeviceThatLlamaCppMayHave) {
  EXPECT_EQ(refusal_of({.tensor_split = {2}}), "none");
  ASSERT_EQ(params_.tensor_split, shares_.data());
  EXPECT_EQ(shares_.size(), llama_max_devices());
  EXPECT_EQ(shares_.front(), 2);
}

TEST_F(DevicesTest, SaysWhatIsNotHere) {
  if (ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_GPU) != nullptr)
    GTEST_SKIP() << "this machine has a GPU";
  EXPECT_THAT(refusal_of({.split_mode = LLAMA_SPLIT_MODE_ROW}),
              HasSubstr("--split-mode row splits weights among GPUs"));
  EXPECT_THAT(refusal_of({.tensor_split = {3, 1}}),
              HasSubstr("--tensor-split has 2 shares, and llama.cpp finds 0 GPUs here"));
  EXPECT_THAT(refusal_of({.split_mode = LLAMA_SPLIT_MODE_NONE, .main_gpu = 1}),
              HasSubstr("--main-gpu 1: llama.cpp finds 0 GPUs here"));
}

}  // namespace
}  // namespace vase::engine::test
