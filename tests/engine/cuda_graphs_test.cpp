#include "engine/cuda_graphs.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace vase::engine {
namespace {

constexpr const char *kName = "GGML_CUDA_DISABLE_GRAPHS";

std::string after(std::int32_t contexts, std::int32_t sequences) {
  unsetenv(kName);
  avoid_cuda_graphs(contexts, sequences);
  const char *value = std::getenv(kName);
  return value != nullptr ? value : "";
}

TEST(CudaGraphs, AreLeftAloneWhereTheyAreSafe) {
  EXPECT_EQ(after(1, 1), "");
  EXPECT_EQ(after(1, 64), "");
  EXPECT_EQ(after(1, 65), "1") << "many sequences";
  EXPECT_EQ(after(2, 1), "1") << "several contexts";
}

TEST(CudaGraphs, TheUserHasTheLastWord) {
  setenv(kName, "", 1);
  avoid_cuda_graphs(4, 256);
  EXPECT_STREQ(std::getenv(kName), "");
  unsetenv(kName);
}

}  // namespace
}  // namespace vase::engine
