#include "llama/plan/memory_plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "contexts.hpp"
#include "gguf.h"
#include "llama/plan/log_capture.hpp"
#include "llama/plan/repacked.hpp"

namespace vase::tests {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr size_t kMebibyte = size_t{1} << 20;

ModelHeader header_of_model(const std::string &path) { return header_of(open_model(path)); }

class PlanOf : public testing::TestWithParam<std::pair<std::string, ggml_type>> {};
INSTANTIATE_TEST_SUITE_P(, PlanOf,
                         testing::Values(std::pair("llama", GGML_TYPE_F16),
                                         std::pair("qwen3", GGML_TYPE_F16),
                                         std::pair("qwen3", GGML_TYPE_Q4_0),
                                         std::pair("gemma3", GGML_TYPE_F16),
                                         std::pair("lfm2", GGML_TYPE_F16)));

TEST_P(PlanOf, ACacheIsWhatTheContextTakes) {
  const TemporaryFolder folder;
  const auto &[architecture, type] = GetParam();
  write_tiny_model(architecture, folder / "model.gguf");
  const MemoryPlanner planner(folder / "model.gguf");
  const Model model = load_model(folder / "model.gguf");
  BoundedOptions options = options_for("vase", 1000);
  options.context.type_k = options.context.type_v = type;
  options.n_sequences = 3;
  const MemoryPlan plan = planner.plan(options);
  const BoundedContext context(model.get(), options);
  EXPECT_TRUE(plan.exact);
  EXPECT_EQ(plan.cells, context.cells_per_sequence());
  // llama.cpp says hundredths of a MiB, once for each of at most two caches.
  EXPECT_NEAR(static_cast<double>(plan.kv), static_cast<double>(context.cache_bytes()),
              0.02 * kMebibyte);
  EXPECT_EQ(plan.weights, llama_model_size(model.get()));
  EXPECT_GT(plan.compute, 0u);
  // At least a mark and a position for each row of each head, whichever layer is the first with
  // any.
  EXPECT_GT(plan.queries, static_cast<size_t>(plan.cells) * kHeads * 5);
  EXPECT_GT(plan.structures, 0u);
  EXPECT_EQ(plan.total(), plan.loaded() + plan.kv + plan.compute + plan.queries + plan.structures +
                              plan.unused_logits);
  // What a model without layers behind windows takes is the same for each cell.
  if (plan.kv_windows == 0) {
    EXPECT_EQ(plan.kv_per_token * plan.cells * options.n_sequences,
              static_cast<double>(context.cache_bytes()));
  }
  EXPECT_EQ(planner.plan_total(options).total(), plan.total());
  EXPECT_EQ(planner.plan_total(options).unused_logits, 0u);
}

TEST(MemoryPlanner, CountsTheStateOfRecurrentLayersOnce) {
  const TemporaryFolder folder;
  write_tiny_model("lfm2-long", folder / "model.gguf");
  const MemoryPlanner planner(folder / "model.gguf");
  const auto plan_for = [&](int32_t n_sequences) {
    BoundedOptions options = options_for("vase-plus", 128);
    options.n_sequences = n_sequences;
    return planner.plan(options);
  };
  const MemoryPlan one = plan_for(1), many = plan_for(17);
  const size_t state = size_t{kLongKernel - 1} * kEmbedding * sizeof(float);
  EXPECT_GE(many.kv - one.kv, 16 * state);
  // Of the structures of so small a model, what 16 more sequences take.
  EXPECT_LT(many.structures, one.structures + 8 * state);
}

// The plan counts by it what llama.cpp keeps of graphs, which is large where they have many nodes.
TEST(MemoryPlanner, LlamaSaysHowManyNodesAGraphMayHave) {
  const TemporaryFolder folder;
  write_tiny_model("llama", folder / "model.gguf");
  const Model model = load_model(folder / "model.gguf");
  const LogCapture log(false);
  llama_free(llama_init_from_model(model.get(), llama_context_default_params()));
  EXPECT_GE(log.number("max_nodes"), 1024u);
}

TEST(MemoryPlanner, CountsTheWeightsThatAreRepackedAsLlamaDoes) {
  const TemporaryFolder folder;
  for (const char *architecture : {"llama", "qwen3", "gemma3"}) {
    write_tiny_model(architecture, folder / "model.gguf");
    size_t said = 0;
    {
      const LogCapture log(false);
      const Model model = load_model(folder / "model.gguf");
      said = log.mebibytes("CPU_REPACK model buffer size");
    }
    EXPECT_NEAR(static_cast<double>(header_of_model(folder / "model.gguf").repacked),
                static_cast<double>(said), 0.01 * kMebibyte)
        << architecture;
  }
}

TEST(MemoryPlanner, AsksTheBackendWhichWeightsItRepacks) {
  const GgufFile::Tensor matrix{"blk.0.attn_q.weight", GGML_TYPE_Q4_0, {256, 256, 1, 1}, 0};
  const size_t bytes = ggml_row_size(GGML_TYPE_Q4_0, 256) * 256;
  const size_t repacked = repacked_bytes({matrix});
  if (repacked == 0) GTEST_SKIP() << "this processor or backend repacks nothing";
  EXPECT_EQ(repacked, bytes);
  GgufFile::Tensor embedding = matrix;
  embedding.name = "token_embd.weight";
  GgufFile::Tensor output = matrix;
  output.name = "output.weight";
  GgufFile::Tensor norm = matrix;
  norm.name = "output_norm.weight";
  norm.type = GGML_TYPE_F32;
  norm.shape = {256, 1, 1, 1};
  EXPECT_EQ(repacked_bytes({matrix, norm}), bytes);
  EXPECT_EQ(repacked_bytes({embedding}), bytes) << "it is the output layer, too";
  EXPECT_EQ(repacked_bytes({embedding, output}), bytes) << "it is only looked up";
  GgufFile::Tensor experts = matrix;
  experts.name = "blk.0.ffn_up_exps.weight";
  experts.shape = {256, 256, 4, 1};
  EXPECT_EQ(repacked_bytes({experts}), 4 * bytes);
}

TEST(MemoryPlanner, FitsWhatItIsAskedToFit) {
  const TemporaryFolder folder;
  write_tiny_model("llama", folder / "model.gguf");
  const MemoryPlanner planner(folder / "model.gguf");
  BoundedOptions options = options_for("vase", 0);

  options.policy.budget = 512;
  options.n_sequences = 0;
  const size_t room_for_four = [&] {
    BoundedOptions four = options;
    four.n_sequences = 4;
    return planner.plan(four).total();
  }();
  const MemoryPlan sequences = planner.fit(room_for_four, options);
  EXPECT_EQ(sequences.n_sequences, 4);
  EXPECT_EQ(sequences.budget, 512);
  EXPECT_LE(sequences.total(), room_for_four);

  options.policy.budget = 0;
  options.n_sequences = 4;
  const MemoryPlan budget = planner.fit(room_for_four, options);
  EXPECT_GE(budget.budget, 512);
  EXPECT_LE(budget.total(), room_for_four);

  options.n_sequences = 0;
  const MemoryPlan both = planner.fit(64 * kMebibyte, options);
  EXPECT_EQ(both.budget, kTrainingLength);  // below the published 4096
  EXPECT_GT(both.n_sequences, 1);

  EXPECT_THAT([&] { planner.fit(kMebibyte, options); },
              ThrowsMessage<Error>(HasSubstr("nothing fits")));
}

TEST(MemoryPlanner, RefusesWhatNoMachineHolds) {
  const TemporaryFolder folder;
  write_tiny_model("llama", folder / "model.gguf");
  const MemoryPlanner planner(folder / "model.gguf");
  BoundedOptions options = options_for("full", 128);
  options.context.n_ctx = 2'000'000'000;
  EXPECT_THAT([&] { planner.plan(options); },
              ThrowsMessage<Error>(HasSubstr("2000000000 cells is too large to be planned")));
}

TEST(MemoryPlanner, CountsAdaptersAndWhatIsNotTouchedByItself) {
  const TemporaryFolder folder;
  write_tiny_model("llama", folder / "model.gguf");
  BoundedOptions options = options_for("vase", 1000);
  options.context.n_ubatch = 512;
  const MemoryPlan plain = MemoryPlanner(folder / "model.gguf").plan(options);
  EXPECT_EQ(plain.adapters, 0u);
  // Logits of all tokens of a ubatch but one.
  EXPECT_NEAR(static_cast<double>(plain.unused_logits), 511.0 * kVocabulary * sizeof(float),
              0.2 * kMebibyte);
  ModelHeader header = header_of_model(folder / "model.gguf");
  header.adapters = plain.weights;
  const MemoryPlan with = MemoryPlanner(header).plan(options);
  EXPECT_EQ(with.adapters, plain.weights);
  EXPECT_EQ(with.total() - with.structures, plain.total() - plain.structures + plain.weights);
}

TEST(MemoryPlanner, FitsWithThePaceOfTheBudgetUnlessItIsGiven) {
  const TemporaryFolder folder;
  write_tiny_model("llama", folder / "model.gguf");
  const MemoryPlanner planner(folder / "model.gguf");
  BoundedOptions options = options_for("vase-plus", 4096);
  options.policy.recency = -1;
  options.policy.interval = 0;
  BoundedOptions by_default = options;
  for (const int32_t rows : {24, 700, 4096, 8192}) {
    options.policy.budget = rows;
    by_default.policy = vase_params_default(options.policy.policy, rows);
    EXPECT_EQ(planner.fit(64 * kMebibyte, options).total(), planner.plan(by_default).total())
        << rows;
  }
  options.policy.interval = 4096;
  EXPECT_GT(planner.fit(64 * kMebibyte, options).kv, planner.plan(by_default).kv);
}

TEST(MemoryPlanner, RefusesBadFiles) {
  const TemporaryFolder folder;
  const auto open = [&](const std::string &name) {
    return [path = folder / name] { const MemoryPlanner planner(path); };
  };
  EXPECT_THAT(open("missing.gguf"), ThrowsMessage<Error>(HasSubstr("cannot open")));
  EXPECT_THAT([&] { const MemoryPlanner planner(folder / ""); },
              ThrowsMessage<Error>(HasSubstr("is a folder")));
  std::ofstream(folder / "text.gguf") << "once upon a time";
  EXPECT_THAT(open("text.gguf"), ThrowsMessage<Error>(HasSubstr("not a GGUF")));
  std::ofstream(folder / "empty.gguf").flush();
  EXPECT_THAT(open("empty.gguf"), ThrowsMessage<Error>(HasSubstr("not a GGUF")));

  write_tiny_model("llama", folder / "tensors.gguf");
  const auto size = std::filesystem::file_size(folder / "tensors.gguf");
  std::filesystem::copy(folder / "tensors.gguf", folder / "header.gguf");
  std::filesystem::resize_file(folder / "tensors.gguf", size - 100);
  EXPECT_THAT(open("tensors.gguf"), ThrowsMessage<Error>(HasSubstr("is truncated")));
  std::filesystem::resize_file(folder / "header.gguf", 300);
  EXPECT_THAT(open("header.gguf"), ThrowsMessage<Error>(HasSubstr("damaged or truncated")));

  write_tiny_model("mamba", folder / "mamba.gguf");
  EXPECT_THAT(open("mamba.gguf"), ThrowsMessage<Error>(HasSubstr("recurrent")));
}

// Writes over the first `old` in a file, with as many bytes.
void replace_in_file(const std::filesystem::path &path, const std::string &old,
                     const std::string &by) {
  ASSERT_EQ(old.size(), by.size());
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(file), {});
  const size_t at = bytes.find(old);
  ASSERT_NE(at, std::string::npos);
  file.clear();
  file.seekp(static_cast<std::streamoff>(at));
  file << by;
}

TEST(MemoryPlanner, SaysWhyAModelCannotBeLoaded) {
  const TemporaryFolder folder;
  const auto path = folder / "model.gguf";
  const auto open = [&] { const MemoryPlanner planner(path); };

  write_tiny_model("unheard-of", path);
  EXPECT_THAT(open, ThrowsMessage<Error>(HasSubstr("unknown model architecture: 'unheard-of'")));
  write_tiny_model("llama", path);
  replace_in_file(path, "output_norm.weight", "output_nerm.weight");
  EXPECT_THAT(open, ThrowsMessage<Error>(HasSubstr(": tensor 'output_norm.weight' not found")));
  write_tiny_model("llama", path);
  replace_in_file(path, std::string("GGUF\3\0\0\0", 8), std::string("GGUF\0\0\0\3", 8));
  EXPECT_THAT(open, ThrowsMessage<Error>(HasSubstr("endianness")));
}

TEST(MemoryPlanner, SaysWhatAFileIsThatIsNoModel) {
  const TemporaryFolder folder;
  const auto of_type = [&](const char *type) {
    gguf_context *file = gguf_init_empty();
    gguf_set_val_str(file, "general.type", type);
    gguf_set_val_str(file, "general.architecture", "llama");
    gguf_write_to_file(file, (folder / "file.gguf").c_str(), false);
    gguf_free(file);
    return [path = folder / "file.gguf"] { const MemoryPlanner planner(path); };
  };
  EXPECT_THAT(of_type("adapter"), ThrowsMessage<Error>(HasSubstr("give it with --lora")));
  EXPECT_THAT(of_type("mmproj"), ThrowsMessage<Error>(HasSubstr("of type \"mmproj\"")));
}

}  // namespace
}  // namespace vase::tests
