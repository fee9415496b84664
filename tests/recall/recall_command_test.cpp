// `vase recall` as it is typed, on a tiny model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "../cli/process.hpp"
#include "text_fixture.hpp"

namespace vase::cli::test {
namespace {

using ::testing::HasSubstr;

class RecallCommand : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<tests::TemporaryFolder>();
    engine::test::write_text_model(path("text.gguf"));
    write_file(path("story.txt"), recall::test::story());
  }
  static void TearDownTestSuite() { folder_.reset(); }
  static std::string path(const std::string &name) { return (*folder_ / name).string(); }

  static std::vector<std::string> command(const std::string &out,
                                          const std::vector<std::string> &more = {}) {
    std::vector<std::string> arguments = {
        "recall",    "-m",   path("text.gguf"), "-t",  "1",  "-f", path("story.txt"),
        "--lengths", "1200", "--after",         "100", "-n", "8",  "-o",
        path(out)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  static std::string error_of(const std::vector<std::string> &more, int exit_code = 1) {
    const Outcome outcome = run_vase(command("refused.jsonl", more));
    EXPECT_EQ(outcome.exit_code, exit_code) << outcome.err;
    EXPECT_EQ(count_lines(outcome.err), 1U) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    return outcome.err;
  }

  static inline std::unique_ptr<tests::TemporaryFolder> folder_;
};

TEST_F(RecallCommand, WritesALineForEachAnswerAndPrintsTables) {
  const auto arguments =
      command("run.jsonl", {"--policies", "full,vase-plus,vase-plus+prompt", "--budgets", "4x",
                            "--categories", "needle,values", "--depths", "0.2,0.6", "--items", "2",
                            "--json", path("tables.json")});
  const Outcome outcome = run_vase(arguments);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("1,200 tokens, budget 4x, types f16/f16, asked at once"));
  EXPECT_THAT(outcome.out, HasSubstr("asked after 100 more tokens"));
  EXPECT_THAT(outcome.out, HasSubstr("sign flips"));
  std::ifstream lines(path("run.jsonl"));
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(nlohmann::json::parse(line).at("vase_recall"), 1);
  std::size_t answers = 0;
  for (; std::getline(lines, line); ++answers) {
    const nlohmann::json answer = nlohmann::json::parse(line);
    EXPECT_EQ(answer.at("length"), 1200);
    EXPECT_EQ(line.find("it rained"), line.npos) << "nothing of the text is written down";
  }
  EXPECT_EQ(answers, 8U * 2 * 3);
  std::ifstream tables(path("tables.json"));
  EXPECT_GT(nlohmann::json::parse(tables).at("cells").size(), 10U);

  EXPECT_EQ(run_vase(arguments).out, outcome.out) << "all is there already";
  EXPECT_EQ(run_vase({"recall", "--report", path("run.jsonl")}).out, outcome.out);
  EXPECT_THAT(run_vase(command("run.jsonl", {"--items", "3"})).err,
              HasSubstr("was made with texts"));
}

TEST_F(RecallCommand, SaysWhatDoesNotFit) {
  EXPECT_THAT(error_of({"--categories", "needles"}),
              HasSubstr("no category \"needles\"; there are: needle, paraphrase, decoys"));
  EXPECT_THAT(error_of({"--lengths", "1900"}), HasSubstr("the model was trained on 2,048"));
  EXPECT_THAT(error_of({"--lengths", "90000"}), HasSubstr("give a longer text"));
  EXPECT_THAT(error_of({"--policies", "oracle"}), HasSubstr("oracle cannot be asked"));
  EXPECT_THAT(error_of({"--policies", "vase+guard"}), HasSubstr("leave +guard out"));
  EXPECT_THAT(error_of({"--policies", "vsae"}), HasSubstr("did you mean \"vase\"?"));
  EXPECT_THAT(error_of({"--budgets", "prompt"}), HasSubstr("there is no prompt"));
  EXPECT_THAT(error_of({"--budgets", "4x,4x"}), HasSubstr("--budgets: 4x is there twice"));
  EXPECT_THAT(error_of({"--depths", "1.5"}, 2), HasSubstr("--depths"));
  EXPECT_THAT(error_of({"-f", path("nowhere.txt")}), HasSubstr("nowhere.txt"));
  const Outcome no_text = run_vase({"recall", "-m", path("text.gguf")});
  EXPECT_EQ(no_text.exit_code, 1);
  EXPECT_THAT(no_text.err, HasSubstr("name a file of a long one"));
  EXPECT_EQ(run_vase({"recall", "--report", path("story.txt")}).exit_code, 1);
}

}  // namespace
}  // namespace vase::cli::test
