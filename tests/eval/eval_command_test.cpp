// `vase eval` as it is typed, on a tiny model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "../cli/process.hpp"
#include "../engine/text_model.hpp"
#include "../llama/tiny_models.hpp"
#include "eval/run_file.hpp"

namespace vase::cli::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class EvalCommand : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<tests::TemporaryFolder>();
    engine::test::write_text_model(path("text.gguf"));
    write_file(
        path("sums.jsonl"),
        "{\"question\": \"1 + 1?\", \"answer\": 2}\n{\"question\": \"2 + 2?\", \"answer\": 4}\n");
  }
  static void TearDownTestSuite() { folder_.reset(); }
  static std::string path(const std::string &name) { return (*folder_ / name).string(); }

  static std::vector<std::string> command(const std::string &out,
                                          const std::vector<std::string> &more = {}) {
    std::vector<std::string> arguments = {
        "eval",   "-m",         path("text.gguf"),  "-t", "1",   "--chat-template",
        "chatml", "--problems", path("sums.jsonl"), "-n", "150", "-o",
        path(out)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  static std::string error_of(const std::vector<std::string> &more) {
    const Outcome outcome = run_vase(command("refused.jsonl", more));
    EXPECT_EQ(outcome.exit_code, 1) << outcome.err;
    EXPECT_EQ(count_lines(outcome.err), 1U) << outcome.err;
    return outcome.err;
  }

  static inline std::unique_ptr<tests::TemporaryFolder> folder_;
};

TEST_F(EvalCommand, WritesALineForEachAnswerAndPrintsATable) {
  const auto arguments = command(
      "run.jsonl",
      {"--policies",
       "full,vase,random+prompt,vase:protect=50%:recency=16,vase+guard:protect=auto,vase-plus",
       "--budgets", "2x,128", "--json", path("tables.json")});
  const Outcome outcome = run_vase(arguments);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("budget 2x"));
  EXPECT_THAT(outcome.out, HasSubstr("vase:protect=50%:recency=16"));
  EXPECT_THAT(outcome.out, HasSubstr("McNemar"));
  const eval::Run run = eval::read_run(path("run.jsonl"));
  EXPECT_EQ(run.records.size(), 2U * (1 + 5 * 2));
  for (const eval::Record &record : run.records) {
    EXPECT_EQ(record.task, "sums");
    const bool pinned = record.policy == "random+prompt" || record.policy == "vase-plus";
    EXPECT_EQ(record.pin_prompt, pinned ? 0.5f : 0.0f);
    if (record.policy == "vase+guard:protect=auto") {
      EXPECT_EQ(record.params.protect, VASE_PROTECT_AUTO);
    } else if (record.policy.find("protect") != std::string::npos) {
      EXPECT_EQ(record.params.protect, record.params.budget / 2);
      EXPECT_EQ(record.params.recency, 16);
    }
  }
  std::ifstream tables(path("tables.json"));
  EXPECT_GT(nlohmann::json::parse(tables)["cells"].size(), 7U);

  EXPECT_EQ(run_vase(arguments).out, outcome.out) << "all is there already";
  EXPECT_EQ(run_vase({"eval", "--summary", path("run.jsonl")}).out, outcome.out);

  const std::string refusal = run_vase(command("run.jsonl", {"--temp", "0.6"})).err;
  EXPECT_THAT(refusal, HasSubstr("temperature 0.0, now it is 0.6"));
}

TEST_F(EvalCommand, ARunHoldsOneTypeOfCache) {
  const auto with_type = [](const std::string &out, const std::string &type) {
    return command(out,
                   {"--policies", "full,vase", "--budgets", "128", "-ctk", type, "-ctv", type});
  };
  const auto records = [](const std::string &out) { return eval::read_run(path(out)).records; };
  for (const std::string type : {"f16", "q8_0", "q4_0"}) {
    const Outcome outcome = run_vase(with_type(type + ".jsonl", type));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    for (const eval::Record &record : records(type + ".jsonl")) {
      EXPECT_EQ(record.cache_types, type + "/" + type);
    }
  }
  const auto bytes = [&](const std::string &type) {
    return records(type + ".jsonl").back().peak_kv_bytes;
  };
  EXPECT_NEAR(static_cast<double>(bytes("q8_0")) / static_cast<double>(bytes("f16")), 34.0 / 64,
              1e-3);
  EXPECT_NEAR(static_cast<double>(bytes("q4_0")) / static_cast<double>(bytes("f16")), 18.0 / 64,
              1e-3);

  EXPECT_THAT(run_vase(with_type("q8_0.jsonl", "q4_0")).err,
              HasSubstr("cache_types \"q8_0/q8_0\", now it is \"q4_0/q4_0\""));
  const std::string both =
      run_vase({"eval", "--summary", path("f16.jsonl"), path("q4_0.jsonl")}).out;
  EXPECT_THAT(both, HasSubstr("full cache, types f16/f16"));
  EXPECT_THAT(both, HasSubstr("full cache, types q4_0/q4_0"));
}

TEST_F(EvalCommand, LengthsMayComeFromAnotherRun) {
  ASSERT_EQ(run_vase(command("full.jsonl", {"--policies", "full"})).exit_code, 0);
  const Outcome outcome =
      run_vase(command("shares.jsonl", {"--policies", "streaming", "--budgets", "1x", "--lengths",
                                        path("full.jsonl")}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(eval::read_run(path("shares.jsonl")).records.size(), 2U);
}

TEST_F(EvalCommand, PartsTogetherAskEveryQuestionOnce) {
  const std::vector<std::string> whole = {"--policies", "streaming", "--budgets", "128"};
  ASSERT_EQ(run_vase(command("whole.jsonl", whole)).exit_code, 0);
  std::vector<std::string> ids;
  for (const char *part : {"1/3", "2/3", "3/3"}) {
    std::vector<std::string> options = whole;
    options.insert(options.end(), {"--part", part});
    const std::string file = "part" + std::string(1, part[0]) + ".jsonl";
    ASSERT_EQ(run_vase(command(file, options)).exit_code, 0);
    for (const eval::Record &record : eval::read_run(path(file)).records) ids.push_back(record.id);
  }
  std::vector<std::string> all;
  for (const eval::Record &record : eval::read_run(path("whole.jsonl")).records)
    all.push_back(record.id);
  EXPECT_THAT(ids, testing::UnorderedElementsAreArray(all));

  for (const char *part : {"0/3", "4/3", "2", "2/", "2/3x"}) {
    EXPECT_THAT(run_vase(command("none.jsonl", {"--budgets", "128", "--part", part})).err,
                HasSubstr("is no part: 2/8 is the second of eight"))
        << part;
  }
  EXPECT_THAT(run_vase(command("none.jsonl", {"--budgets", "4x", "--part", "1/3"})).err,
              HasSubstr("name a run of all with --lengths FILE"));
}

TEST_F(EvalCommand, ComparesTheDefaultPolicyWithTheFullCache) {
  const Outcome outcome = run_vase(command("default.jsonl", {"--budgets", "128"}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  std::set<std::string> policies;
  for (const eval::Record &record : eval::read_run(path("default.jsonl")).records) {
    policies.insert(record.policy);
  }
  EXPECT_THAT(policies, ElementsAre("full", "vase-plus"));
}

TEST_F(EvalCommand, CommonParametersAreForThePoliciesThatLookAtThem) {
  const Outcome outcome = run_vase(command(
      "common.jsonl", {"--policies", "vase,vase-plus", "--budgets", "128", "--protect", "50%"}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  for (const eval::Record &record : eval::read_run(path("common.jsonl")).records) {
    EXPECT_EQ(record.params.protect, record.policy == "vase" ? 64 : 32) << record.policy;
  }
}

TEST_F(EvalCommand, WritesIntoAFolder) {
  std::filesystem::create_directory(path("runs"));
  const Outcome made = run_vase(command("runs", {"--policies", "full"}));
  ASSERT_EQ(made.exit_code, 0);
  EXPECT_TRUE(std::filesystem::exists(path("runs/results.jsonl")));
  EXPECT_EQ(run_vase({"eval", "--summary", path("runs")}).out, made.out);
  const Outcome twice = run_vase({"eval", "--summary", path("runs"), path("runs/results.jsonl")});
  EXPECT_EQ(twice.out, made.out);
  EXPECT_THAT(twice.err, HasSubstr("2 answers were there already and count once"));
}

TEST_F(EvalCommand, SaysThatAFileIsNone) {
  for (const std::string out : {"/dev/full", "/dev/null"}) {
    const Outcome outcome = run_vase({"eval", "-m", path("text.gguf"), "--problems",
                                      path("sums.jsonl"), "--chat-template", "chatml", "-o", out});
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_THAT(outcome.err, HasSubstr(out + " is no ordinary file"));
  }
  const std::vector<std::vector<std::string>> readers = {{"report", path("")},
                                                         {"eval", "--summary", path("")}};
  for (const auto &words : readers) {
    EXPECT_THAT(run_vase(words).err, HasSubstr("cannot read " + path("") + "results.jsonl"));
  }
  const Outcome problems = run_vase({"eval", "-m", path("text.gguf"), "--problems", path("")});
  EXPECT_THAT(problems.err, HasSubstr("is a folder"));
}

TEST_F(EvalCommand, RefusesWhatCannotWork) {
  EXPECT_THAT(error_of({"--policies", "vase", "--budgets", "4x"}), HasSubstr("add full"));
  EXPECT_THAT(error_of({"--policies", "vaze"}), HasSubstr("did you mean \"vase\""));
  EXPECT_THAT(error_of({"--policies", "vase,vase"}), HasSubstr("there twice"));
  EXPECT_THAT(error_of({"--policies", "vase:protect=x"}), HasSubstr("in \"vase:protect=x\""));
  EXPECT_THAT(error_of({"--policies", "full+guard"}), HasSubstr("no parameters"));
  EXPECT_THAT(error_of({"--policies", "vase-plus:protect=50%"}),
              HasSubstr("vase-plus does not look at --protect"));
  EXPECT_THAT(error_of({"--policies", "full+prompt"}), HasSubstr("no parameters"));
  EXPECT_THAT(error_of({"--budgets", "4y"}), HasSubstr("is not a budget"));
  EXPECT_THAT(error_of({"--policies", "vase", "--budgets", "32"}), HasSubstr("budget"));
  EXPECT_THAT(error_of({"--grader", "essay"}), HasSubstr("unknown grader"));
  EXPECT_THAT(error_of({"--tasks", "chess"}), HasSubstr("no question is left"));
  EXPECT_THAT(error_of({"--ask", "sums:temp=hot"}), HasSubstr("in \"sums:temp=hot\""));
  EXPECT_THAT(error_of({"--lengths", path("missing.jsonl")}), HasSubstr("cannot read"));
  EXPECT_FALSE(std::filesystem::exists(path("refused.jsonl"))) << "nothing was begun";
}

TEST_F(EvalCommand, LatexNeedsMathVerifyAndSaysSo) {
  write_file(path("latex.jsonl"), "{\"problem\": \"a\", \"answer\": \"\\\\frac{1}{2}\"}\n");
  ::setenv("VASE_PYTHON", "/bin/false", 1);
  const Outcome outcome = run_vase({"eval", "-m", path("text.gguf"), "--problems",
                                    path("latex.jsonl"), "-o", path("latex-run.jsonl")});
  ::unsetenv("VASE_PYTHON");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("pip install math-verify"));
}

}  // namespace
}  // namespace vase::cli::test
