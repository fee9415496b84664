#include "engine/model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "../llama/tiny_models.hpp"
#include "engine/chat.hpp"
#include "engine/log.hpp"
#include "text_model.hpp"

namespace vase::engine::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string error_of(const std::function<void()> &action) {
  try {
    action();
  } catch (const Error &error) {
    return error.what();
  }
  return "no error";
}

class ModelTest : public ::testing::Test {
 protected:
  ModelTest() {
    init_llama(false);
    write_text_model(folder_ / "base.gguf");
  }

  std::string refusal_of(const AdapterShape &shape) const {
    write_adapter(folder_ / "adapter.gguf", shape);
    return error_of([&] { load_with_adapter(); });
  }
  Model load_with_adapter() const {
    return Model({.path = folder_ / "base.gguf",
                  .loras = {{.path = folder_ / "adapter.gguf"}},
                  .n_gpu_layers = 0});
  }

  tests::TemporaryFolder folder_;
};

TEST_F(ModelTest, AppliesAnAdapterThatFits) {
  write_adapter(folder_ / "adapter.gguf", {});
  const Model plain({.path = folder_ / "base.gguf", .n_gpu_layers = 0});
  const Model adapted = load_with_adapter();
  BoundedOptions options;
  options.policy = vase_params_default(vase_policy_find("vase"), 128);
  const auto first_logit = [&](const Model &model) {
    BoundedContext context = model.make_context(options);
    context.decode({{.sequence = 0, .tokens = model.tokenize("some text")}});
    return context.logits(0)[0];
  };
  EXPECT_NE(first_logit(plain), first_logit(adapted));
}

TEST_F(ModelTest, RefusesAnAdapterOfAnotherShape) {
  EXPECT_THAT(refusal_of({.inputs = 512}),
              AllOf(HasSubstr("blk.0.attn_q.weight is 512 x 256 in the adapter"),
                    HasSubstr("256 x 256 in the model")));
}

TEST_F(ModelTest, RefusesAnAdapterForLayersThatAreNotThere) {
  EXPECT_THAT(refusal_of({.tensor = "blk.7.attn_q.weight"}),
              HasSubstr("blk.7.attn_q.weight (256 x 256), which the model lacks"));
}

TEST_F(ModelTest, RefusesAnAdapterOfAnotherArchitecture) {
  EXPECT_THAT(refusal_of({.architecture = "qwen3"}),
              HasSubstr("for architecture \"qwen3\", the model is \"llama\""));
}

TEST_F(ModelTest, RefusesModelsAndAdaptersInEachOthersPlace) {
  write_adapter(folder_ / "adapter.gguf", {});
  EXPECT_THAT(error_of([&] { Model({.path = folder_ / "adapter.gguf"}); }),
              HasSubstr("give it with --lora"));
  EXPECT_THAT(error_of([&] {
                Model({.path = folder_ / "base.gguf", .loras = {{.path = folder_ / "base.gguf"}}});
              }),
              HasSubstr("is not a LoRA adapter"));
}

TEST_F(ModelTest, QuotesTheReasonOfLlama) {
  tests::write_tiny_model("unheard-of", folder_ / "unheard-of.gguf");
  EXPECT_THAT(error_of([&] { Model({.path = folder_ / "unheard-of.gguf"}); }),
              HasSubstr("unknown model architecture: 'unheard-of'"));
}

TEST_F(ModelTest, StopsLoadingWhenAsked) {
  EXPECT_THROW(Model({.path = folder_ / "base.gguf", .progress = [](float) { return false; }}),
               LoadStopped);
}

TEST_F(ModelTest, SaysWhenThereIsNoChatTemplate) {
  const Model model({.path = folder_ / "base.gguf"});
  EXPECT_THAT(error_of([&] { ChatTemplate::of(model); }), HasSubstr("has no chat template"));
  EXPECT_NO_THROW(ChatTemplate::of(model, {.name_or_text = "chatml"}))
      << "a name goes before the model's own";
  write_text_model(folder_ / "chat.gguf", "{{ '<|im_start|>' }}");
  EXPECT_NO_THROW(ChatTemplate::of(Model({.path = folder_ / "chat.gguf"})));
}

}  // namespace
}  // namespace vase::engine::test
