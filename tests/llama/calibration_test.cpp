// What is measured of a model's queries, the file it is kept in, and who is refused what.
#include "llama/plan/calibration.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "contexts.hpp"
#include "llama/owned/measure_queries.hpp"

namespace vase::tests {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

Calibration measured(llama_model *model, const std::vector<llama_token> &tokens) {
  llama_context_params params = options_for("vase", 256).context;
  params.n_ubatch = 48;  // several pieces, the last of them shorter
  return measure_queries(
      model, params, tokens, [](llama_context *) {}, [](int64_t, int64_t) { return true; });
}

TEST(Calibration, TurnsQueriesBackToBeforeRope) {
  for (const char *architecture : {"llama", "qwen2", "qwen3"}) {
    SCOPED_TRACE(architecture);
    const Model model = tiny_model(architecture);
    // In the first layer a query depends on its token alone but for RoPE, so those of one token are
    // all the same before.
    const Calibration calibration = measured(model.get(), std::vector<llama_token>(130, 7));
    ASSERT_FALSE(calibration.layers.empty());
    const Calibration::Layer &layer = calibration.layers.front();
    ASSERT_EQ(layer.n_query_heads, kQueryHeads);
    ASSERT_EQ(layer.values.size(), static_cast<size_t>(kQueryHeads * 3 * kHeadDim / 2));
    const size_t pairs = kHeadDim / 2;
    double longest = 0;
    for (size_t first = 0; first < layer.values.size(); first += 3 * pairs)
      for (size_t pair = first; pair < first + pairs; ++pair) {
        const double of_mean = std::hypot(layer.values[pair], layer.values[pair + pairs]);
        const auto length = static_cast<double>(layer.values[pair + 2 * pairs]);
        EXPECT_NEAR(of_mean, length, 1e-3 * length + 1e-6);
        longest = std::max(longest, length);
      }
    EXPECT_GT(longest, 1e-3);
  }
}

TEST(Calibration, OfManyTokensIsShorterThanTheirQueries) {
  const Model model = tiny_model("llama");
  const Calibration calibration = measured(model.get(), random_tokens(300));
  EXPECT_EQ(calibration.tokens, 300);
  for (const Calibration::Layer &layer : calibration.layers) {
    const size_t pairs = kHeadDim / 2;
    double of_means = 0, lengths = 0;
    for (size_t first = 0; first < layer.values.size(); first += 3 * pairs)
      for (size_t pair = first; pair < first + pairs; ++pair) {
        of_means += std::hypot(layer.values[pair], layer.values[pair + pairs]);
        lengths += static_cast<double>(layer.values[pair + 2 * pairs]);
      }
    EXPECT_LT(of_means, 0.9 * lengths);
  }
  EXPECT_THAT([&] { measured(model.get(), random_tokens(20)); },
              ThrowsMessage<Error>(HasSubstr("the text has 20 tokens")));
}

class CalibrationFile : public testing::Test {
 protected:
  std::string write(const Model &model, const char *name = "calibration.gguf") {
    const auto path = folder_ / name;
    write_calibration(path, measured(model.get(), random_tokens(200)));
    return path.string();
  }
  static BoundedOptions options_with(const std::string &calibration) {
    BoundedOptions options = options_for("triattention", 96);
    options.calibration = calibration;
    return options;
  }

  TemporaryFolder folder_;
  Model model_ = tiny_model("llama");
};

TEST_F(CalibrationFile, ComesBackAsItWasWritten) {
  const std::string path = write(model_);
  const Calibration written = measured(model_.get(), random_tokens(200));
  const Calibration read = read_calibration(path);
  EXPECT_EQ(read.model, written.model);
  EXPECT_EQ(read.tokens, 200);
  ASSERT_EQ(read.layers.size(), written.layers.size());
  for (size_t i = 0; i < read.layers.size(); ++i) {
    EXPECT_EQ(read.layers[i].n_query_heads, kQueryHeads);
    EXPECT_EQ(read.layers[i].values, written.layers[i].values);
  }
}

TEST_F(CalibrationFile, IsWhatTriAttentionChoosesBy) {
  BoundedContext context(model_.get(), options_with(write(model_)));
  feed_singly(context, 0, random_tokens(300));
  EXPECT_GT(context.statistics(0).evictions, 3);
  EXPECT_LE(context.statistics(0).rows, 96 + 32);
  BoundedContext streaming(model_.get(), options_for("streaming", 96));
  feed_singly(streaming, 0, random_tokens(300));
  EXPECT_NE(kept(context, 0), kept(streaming, 0));
}

TEST_F(CalibrationFile, IsAskedForWhereItIsMissing) {
  EXPECT_THAT([&] { BoundedContext(model_.get(), options_with("")); },
              ThrowsMessage<Error>(HasSubstr("vase calibrate -m MODEL -f TEXT -o FILE")));
  EXPECT_THAT([&] { BoundedContext(model_.get(), options_with("/no/such/file")); },
              ThrowsMessage<Error>(HasSubstr("there is no calibration /no/such/file")));
  BoundedContext other(model_.get(), options_for("streaming", 96));
  EXPECT_THAT([&] { other.set_params(0, options_with("").policy, 0); },
              ThrowsMessage<Error>(HasSubstr("no calibration")));
  BoundedOptions calibrated = options_for("streaming", 96);
  calibrated.calibration = write(model_);
  BoundedContext both(model_.get(), calibrated);
  both.set_params(0, options_with("").policy, 0);
  feed_singly(both, 0, random_tokens(200));
  EXPECT_GT(both.statistics(0).evictions, 0);
}

TEST_F(CalibrationFile, IsRefusedIfItIsOfAnotherModelOrDamaged) {
  const std::string path = write(model_);
  const Model foreign = tiny_model("qwen3");
  EXPECT_THAT([&] { BoundedContext(foreign.get(), options_with(path)); },
              ThrowsMessage<Error>(HasSubstr("was measured on")));
  const auto a_model = (folder_ / "model.gguf").string();
  write_tiny_model("llama", a_model);
  EXPECT_THAT([&] { read_calibration(a_model); },
              ThrowsMessage<Error>(HasSubstr("is not a calibration")));

  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-100, std::ios::end);
  file.put('x');
  file.close();
  EXPECT_THAT([&] { read_calibration(path); },
              ThrowsMessage<Error>(HasSubstr("its checksum is wrong")));
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 200);
  EXPECT_THAT([&] { read_calibration(path); }, ThrowsMessage<Error>(HasSubstr("truncated")));
  std::ofstream(path) << "nonsense";
  EXPECT_THAT([&] { read_calibration(path); },
              ThrowsMessage<Error>(HasSubstr("not a whole calibration")));
}

}  // namespace
}  // namespace vase::tests
