// Every policy on devices whose blocks of threads share less memory than that of an H100.
#include <gtest/gtest.h>

#include "cuda/device.hpp"
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

class CudaSharedMemoryTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (const std::string reason = testing::no_device(); !reason.empty()) GTEST_SKIP() << reason;
  }

  /// Scores of one layer with `kibibytes` of shared memory for a block.
  static std::vector<float> scores_with(int32_t kibibytes, const vase_params& params,
                                        const vase_layer& layer) {
    const DeviceLayer device(layer, layer.n_rows);
    const vase_cuda_limits limits = Handle::limits_for(layer);
    const DeviceArray<std::byte> memory(cuda::Layout(limits, nullptr).bytes);
    const cuda::Layout layout(limits, memory.data());
    const DeviceArray<float> scores(static_cast<size_t>(layer.n_heads * layer.n_rows));
    const std::vector<vase_cuda_item> items{device.item()};
    cuda::Request request{cuda::Wish::kScores, &params, items};
    request.scores = scores.data();
    request.shared_bytes = kibibytes << 10;
    EXPECT_EQ(cuda::run(limits, layout, request, nullptr), VASE_OK) << vase_last_error();
    return scores.read();
  }
};

TEST_P(CudaSharedMemoryTest, ScoresAreTheCpusHoweverLittleThereIs) {
  const vase_params params = params_for(GetParam().c_str(), 400);
  for (const vase_type type : {VASE_F32, VASE_F16, VASE_BF16, VASE_Q8_0, VASE_Q4_0})
    for (const int32_t dim : {64, 128, 256, 576}) {
      const Shape shape{.n_heads = 2,
                        .group = 3,
                        .dim = dim,
                        .n_rows = 500,
                        .type = type,
                        .n_queries = 16,
                        .rope_pairs = dim / 2,
                        .rope_stride = dim / 2};
      RandomLayer random(shape, 131);
      const vase_layer layer = random.view();
      const std::vector<float> expected = testing::scores(params, layer);
      for (const int32_t kibibytes : {48, 99}) {
        SCOPED_TRACE(::testing::Message()
                     << "type " << type << " dim " << dim << " with " << kibibytes << " KiB");
        testing::expect_same_scores(params, layer, expected, scores_with(kibibytes, params, layer));
        if (HasFatalFailure()) return;
      }
    }
}

INSTANTIATE_TEST_SUITE_P(Policies, CudaSharedMemoryTest,
                         ::testing::ValuesIn(testing::policy_names()),
                         [](const auto& policy) { return testing::test_name(policy.param); });

}  // namespace
}  // namespace vase
