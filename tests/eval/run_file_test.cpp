#include "eval/run_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <iterator>

#include "../llama/tiny_models.hpp"
#include "vase/llama.hpp"

namespace vase::eval {
namespace {

using ::testing::HasSubstr;

Record record_of(const std::string &id) {
  Record record;
  record.task = "graph";
  record.tier = "1k";
  record.id = id;
  record.policy = "vase+prompt";
  record.budget = "4x";
  record.cache_types = "q8_0/q4_0";
  record.sample = 3;
  record.seed = 7;
  record.temperature = 0.6f;
  record.params = vase_params_default(vase_policy_find("vase"), 512);
  record.params.recency = 96;
  record.params.lambda = 0.1f;
  record.pin_prompt = 0.5f;
  record.prompt_tokens = 100;
  record.tokens = 900;
  record.correct = true;
  record.answer = "10";
  record.expected = "10";
  record.finish = "length";
  record.loop = Loop{4, 300};
  record.evictions = 6;
  record.peak_kv_bytes = 12345;
  record.seconds = 1.5;
  record.share_seconds = 0.25;
  record.replies = {{"caf\xc3\xa9", false, "Where?"}};
  return record;
}

class RunFileTest : public ::testing::Test {
 protected:
  std::string content() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  template <typename Action>
  static std::string error_of(const Action &action) {
    try {
      action();
    } catch (const Error &error) {
      return error.what();
    }
    return {};
  }
  tests::TemporaryFolder folder_;
  std::filesystem::path path_ = folder_ / "run.jsonl";
  nlohmann::ordered_json settings_ = {{"model", "m.gguf (1-2)"}, {"seed", 1}};
};

TEST_F(RunFileTest, KeepsAllThatIsKnownOfAnAnswer) {
  RunFile(path_, settings_).append(record_of("a"));
  const eval::Run run = read_run(path_);
  ASSERT_EQ(run.records.size(), 1U);
  EXPECT_EQ(run.settings, nlohmann::json(settings_));
  EXPECT_EQ(to_json(run.records[0]).dump(), to_json(record_of("a")).dump());
  EXPECT_EQ(run.records[0].params.recency, 96);
  EXPECT_EQ(run.records[0].loop->period, 4);
}

TEST_F(RunFileTest, LinesWithoutCacheTypesHaveThoseOfTheirRun) {
  nlohmann::json line = to_json(record_of("a"));
  line.erase("cache_types");
  for (const char *types : {"", "q8_0/q8_0"}) {
    nlohmann::json first = {{"vase_eval", 1}, {"settings", settings_}};
    if (*types != 0) first["settings"]["cache_types"] = types;
    std::ofstream(path_) << first.dump() << "\n" << line.dump() << "\n";
    EXPECT_EQ(read_run(path_).records[0].cache_types, *types != 0 ? types : "f16/f16");
  }
}

TEST_F(RunFileTest, GoesOnWhereItStopped) {
  RunFile(path_, settings_).append(record_of("a"));
  RunFile file(path_, settings_);
  EXPECT_EQ(file.records().size(), 1U);
  file.append(record_of("b"));
  EXPECT_EQ(file.records().size(), 2U);
  EXPECT_EQ(read_run(path_).records.size(), 2U);
}

TEST_F(RunFileTest, CutsOffATornLine) {
  RunFile(path_, settings_).append(record_of("a"));
  const std::string whole = content();
  std::ofstream(path_, std::ios::app) << to_json(record_of("b")).dump().substr(0, 100);
  EXPECT_TRUE(read_run(path_).torn);
  EXPECT_EQ(read_run(path_).records.size(), 1U);
  RunFile file(path_, settings_);
  EXPECT_TRUE(file.was_torn());
  EXPECT_EQ(content(), whole);
  file.append(record_of("b"));
  EXPECT_EQ(read_run(path_).records[1].id, "b");
}

TEST_F(RunFileTest, StartsAnewIfTheFirstLineIsTorn) {
  std::ofstream(path_) << "{\"vase_eval\":1,\"sett";
  RunFile(path_, settings_).append(record_of("a"));
  EXPECT_EQ(read_run(path_).records.size(), 1U);
}

TEST_F(RunFileTest, RefusesOtherSettingsAndNamesBoth) {
  RunFile(path_, settings_).append(record_of("a"));
  const std::string before = content();
  nlohmann::ordered_json other = settings_;
  other["seed"] = 2;
  const std::string message = error_of([&] { RunFile(path_, other); });
  EXPECT_THAT(message, HasSubstr("seed 1"));
  EXPECT_THAT(message, HasSubstr("now it is 2"));
  EXPECT_EQ(content(), before);
}

// What was refused for the model's sake is asked again with other options, and the same --out.
TEST_F(RunFileTest, ARunWithoutAnAnswerLeavesNoSettingsBehind) {
  { const RunFile refused(path_, settings_); }
  EXPECT_EQ(content(), "");
  nlohmann::ordered_json other = settings_;
  other["seed"] = 2;
  { RunFile(path_, other).begin(); }
  EXPECT_EQ(read_run(path_).settings, nlohmann::json(other));
}

TEST_F(RunFileTest, NeverTouchesOtherFiles) {
  for (const char *text : {"notes of mine", "notes of mine\n", "{\"a\": 1}\n"}) {
    std::ofstream(path_) << text;
    EXPECT_THAT(error_of([&] { RunFile(path_, settings_); }), HasSubstr("no run of `vase eval`"));
    EXPECT_EQ(content(), text);
  }
}

TEST_F(RunFileTest, NamesADamagedLine) {
  RunFile(path_, settings_).append(record_of("a"));
  std::ofstream(path_, std::ios::app) << "{\"task\": 1}\n"
                                      << to_json(record_of("b")).dump() << "\n";
  EXPECT_THAT(error_of([&] { read_run(path_); }), HasSubstr("line 3 is damaged"));
}

TEST_F(RunFileTest, OneWriterAtATime) {
  const RunFile first(path_, settings_);
  EXPECT_THAT(error_of([&] { RunFile(path_, settings_); }), HasSubstr("another process"));
}

TEST_F(RunFileTest, AnAnswerIsWrittenDownBeforeItIsGraded) {
  const std::filesystem::path beside = path_.string() + ".ungraded";
  {
    RunFile file(path_, settings_);
    file.hold(record_of("a"));
    file.hold(record_of("b"));
    EXPECT_TRUE(std::filesystem::exists(beside));
    file.append(record_of("a"));
  }  // as if a grader ended the process here
  std::ofstream(beside, std::ios::app) << "{\"task\": \"torn";
  RunFile file(path_, settings_);
  EXPECT_EQ(file.records().size(), 1U);
  ASSERT_EQ(file.ungraded().size(), 1U);
  EXPECT_EQ(file.ungraded()[0].id, "b");
  EXPECT_EQ(file.ungraded()[0].replies.at(0).text, record_of("b").replies.at(0).text);
  file.append(record_of("b"));
  EXPECT_TRUE(file.ungraded().empty());
  EXPECT_FALSE(std::filesystem::exists(beside)) << "nothing waits any more";
  EXPECT_EQ(read_run(path_).records.size(), 2U);
}

TEST_F(RunFileTest, WhatIsGradedAlreadyWaitsNoMore) {
  const std::filesystem::path beside = path_.string() + ".ungraded";
  RunFile(path_, settings_).append(record_of("a"));
  std::ofstream(beside) << to_json(record_of("a")).dump() << "\n";  // cut off before it was removed
  EXPECT_TRUE(RunFile(path_, settings_).ungraded().empty());
  EXPECT_FALSE(std::filesystem::exists(beside));
}

TEST_F(RunFileTest, AFullDiskLeavesWholeLines) {
  RunFile file(path_, settings_);
  file.append(record_of("a"));
  const std::string whole = content();
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before = {};
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit full = before;
  full.rlim_cur = whole.size() + 50;  // room for the beginning of a line
  setrlimit(RLIMIT_FSIZE, &full);
  const std::string message = error_of([&] { file.append(record_of("b")); });
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_THAT(message, HasSubstr("cannot write " + path_.string() + ": File too large"));
  EXPECT_EQ(content(), whole);
  file.append(record_of("b"));  // there is room again
  EXPECT_EQ(read_run(path_).records.size(), 2U);
}

TEST_F(RunFileTest, OnlyOrdinaryFilesAreWritten) {
  EXPECT_THAT(error_of([&] { RunFile("/dev/full", settings_); }), HasSubstr("no ordinary file"));
  EXPECT_THAT(error_of([&] { RunFile("/dev/null", settings_); }), HasSubstr("no ordinary file"));
  EXPECT_THAT(error_of([&] { read_run("/dev/zero"); }), HasSubstr("is a device"));
  EXPECT_THAT(error_of([&] { read_text_file(path_.parent_path()); }), HasSubstr("is a folder"));
}

TEST_F(RunFileTest, AFolderStandsForItsRun) {
  RunFile(path_.parent_path() / "results.jsonl", settings_).append(record_of("a"));
  EXPECT_EQ(read_run(path_.parent_path()).records.size(), 1U);
  EXPECT_THAT(error_of([&] { read_run("/proc/self/fd"); }), HasSubstr("fd/results.jsonl"));
}

TEST_F(RunFileTest, AnAnswerThatIsThereTwiceCountsOnce) {
  RunFile(path_, settings_).append(record_of("a"));
  RunCollection runs;
  EXPECT_EQ(runs.add(read_run(path_)), 0U);
  EXPECT_EQ(runs.add(read_run(path_)), 1U);
  settings_["seed"] = 2;
  const std::filesystem::path other = folder_ / "other.jsonl";
  RunFile(other, settings_).append(record_of("a"));
  EXPECT_EQ(runs.add(read_run(other)), 0U);
  EXPECT_EQ(runs.records().size(), 2U);
}

TEST_F(RunFileTest, AnswersOfTwoModelsAreNotAddedUp) {
  settings_["model"] = "a.gguf (1)";
  RunFile(path_, settings_).append(record_of("a"));
  settings_["adapters"] = {"b.gguf (2)"};
  const std::filesystem::path other = folder_ / "other.jsonl";
  RunFile(other, settings_).append(record_of("a"));
  RunCollection runs;
  runs.add(read_run(path_));
  EXPECT_THAT(error_of([&] { runs.add(read_run(other)); }),
              HasSubstr("a.gguf (1) and a.gguf (1) + b.gguf (2)"));
  EXPECT_EQ(runs.records().size(), 1U);
}

TEST_F(RunFileTest, SaysWhatCannotBeWritten) {
  EXPECT_THAT(error_of([&] { RunFile("/proc/none/run.jsonl", settings_); }),
              HasSubstr("cannot write /proc/none/run.jsonl"));
  EXPECT_THAT(error_of([&] { read_run(folder_ / "missing"); }), HasSubstr("cannot read"));
}

TEST_F(RunFileTest, BrokenCharactersDoNotStopIt) {
  Record record = record_of("a");
  record.replies = {{"cut \xc3"}};
  RunFile(path_, settings_).append(record);
  EXPECT_EQ(read_run(path_).records[0].replies.at(0).text, "cut \xef\xbf\xbd");
}

}  // namespace
}  // namespace vase::eval
