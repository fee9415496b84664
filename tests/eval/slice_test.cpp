// A slice of the evaluation on the default model, if it has been fetched: small, greedy, one seed,
// and only orderings that are far from close.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "../cli/process.hpp"
#include "../llama/tiny_models.hpp"
#include "cli/default_files.hpp"
#include "cli/model_catalogue.hpp"
#include "eval/run_file.hpp"
#include "tasks/registry.hpp"

namespace vase::cli::test {
namespace {

class Slice : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(default_model()))
      GTEST_SKIP() << default_model() << " is not there (make model fetches it)";
  }
  tests::TemporaryFolder folder_;
};

// The paper's ablation: who gives up the values that VaSE protects cannot reason any more. At 2x
// vase-plus answers 99% of the test split (docs/results.md).
TEST_F(Slice, FullCacheAndVasePlusSolveAndEvictingLargeValuesDestroys) {
  const std::string path = folder_ / "run.jsonl";
  const Outcome outcome = run_vase({"eval", "--tasks", "tracking", "--tiers", "1k", "--count", "1",
                                    "--policies", "full,vase-plus,evict-large", "--budgets", "2x",
                                    "-n", "760", "-t", "2", "--problem-seed", "3", "-o", path});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::vector<eval::Record> records = eval::read_run(path).records;
  ASSERT_EQ(records.size(), 3U);
  ASSERT_EQ(records[0].policy, "full");
  for (const eval::Record &record : records) {
    const bool full = record.policy == "full";
    EXPECT_EQ(record.correct, record.policy != "evict-large") << record.policy;
    EXPECT_EQ(record.evictions > 0, !full);
    if (!full) {
      EXPECT_LT(record.peak_kv_bytes, 0.7 * static_cast<double>(records[0].peak_kv_bytes));
    }
  }
}

// Attention rests on the first tokens: a uniform draw that may lose them ruins the predictions. On
// a chain of reasoning, vase-plus stays nearer to the full cache than VaSE.
TEST_F(Slice, SinksMatterMostAndLeverageHelps) {
  const tasks::Problem problem =
      tasks::make_problem(*tasks::find_task("graph"), tasks::Tier::k1k, tasks::Split::kTune, 5);
  const std::string text = write_file(
      folder_ / "text.txt", tasks::chat_prompt(problem.question) + tasks::chat_reply(problem));
  const std::string path = folder_ / "fidelity.jsonl";
  const Outcome outcome =
      run_vase({"fidelity", "-f", text, "-n", "640", "--policies", "vase,vase-plus,random:sinks=0",
                "--budgets", "256", "--bucket", "1000", "-t", "2", "-o", path});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  std::map<std::string, double> divergence;
  std::ifstream lines(path);
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    const nlohmann::json bucket = nlohmann::json::parse(line);
    divergence[bucket.at("policy")] = bucket.at("kl");
  }
  ASSERT_EQ(divergence.size(), 3U);
  EXPECT_GT(divergence.at("random:sinks=0"), 1.5 * divergence.at("vase"));
  EXPECT_GT(divergence.at("vase"), 1.5 * divergence.at("vase-plus"));
  EXPECT_GT(divergence.at("vase-plus"), 0);
}

}  // namespace
}  // namespace vase::cli::test
