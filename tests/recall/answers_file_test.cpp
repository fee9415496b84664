#include "recall/answers_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "../llama/tiny_models.hpp"
#include "vase/llama.hpp"

namespace vase::recall {
namespace {

using ::testing::HasSubstr;

const nlohmann::ordered_json kSettings = {
    {"model", "tiny (1)"}, {"cache_types", "q8_0/q8_0"}, {"texts", {{"seed", 1}}}};

Record record(const std::string &item, const std::string &policy = "vase") {
  return {.category = "needle",
          .depth = 0.3,
          .length = 4096,
          .text = 2,
          .item = item,
          .policy = policy,
          .budget = "4x",
          .rows = 1024,
          .after = 2000,
          .right = true,
          .fraction = 0.5,
          .expected = {"48213"},
          .answer = "48213.\n\xff"};
}

class AnswersFileTest : public ::testing::Test {
 protected:
  std::string path(const std::string &name) const { return (folder_ / name).string(); }
  std::string error_of(const std::string &first, const std::string &second) const {
    try {
      read_answers({path(first), path(second)});
    } catch (const Error &error) {
      return error.what();
    }
    return "";
  }
  tests::TemporaryFolder folder_;
};

TEST_F(AnswersFileTest, WhatIsWrittenIsReadAgain) {
  Record spread = record("common@0.3");
  spread.depth.reset();
  {
    AnswersFile file(path("run"), kSettings);
    file.append(record("needle@0.3"));
    file.append(spread);
  }
  const AnswersFile again(path("run"), kSettings);
  ASSERT_EQ(again.records().size(), 2U);
  const Record &read = again.records()[0];
  EXPECT_EQ(key_of(read), key_of(record("needle@0.3")));
  EXPECT_EQ(read.depth, 0.3);
  EXPECT_EQ(read.rows, 1024);
  EXPECT_EQ(read.fraction, 0.5);
  EXPECT_TRUE(read.right);
  EXPECT_EQ(read.expected, record("").expected);
  EXPECT_EQ(read.answer, "48213.\n\uFFFD") << "half a character is replaced";
  EXPECT_EQ(read.cache_types, "q8_0/q8_0");
  EXPECT_FALSE(again.records()[1].depth);
  EXPECT_TRUE(again.has(key_of(spread)));
  EXPECT_FALSE(again.has(key_of(record("needle@0.5"))));
}

TEST_F(AnswersFileTest, GoesOnWithTheSameSettingsOnly) {
  AnswersFile(path("run"), kSettings).append(record("needle@0.3"));
  std::ofstream(path("run"), std::ios::app) << "{\"category\": \"nee";
  EXPECT_TRUE(AnswersFile(path("run"), kSettings).was_torn());
  EXPECT_FALSE(AnswersFile(path("run"), kSettings).was_torn()) << "it is cut off";
  nlohmann::ordered_json other = kSettings;
  other["texts"]["seed"] = 2;
  try {
    AnswersFile(path("run"), other);
    FAIL();
  } catch (const Error &error) {
    EXPECT_THAT(error.what(), HasSubstr("was made with texts {\"seed\":1}, now it is"));
  }
}

TEST_F(AnswersFileTest, FilesOfTheSameTextsAreReadTogether) {
  AnswersFile(path("one"), kSettings).append(record("needle@0.3"));
  AnswersFile two(path("two"), kSettings);
  two.append(record("needle@0.3"));
  two.append(record("needle@0.3", "random"));
  EXPECT_EQ(read_answers({path("one"), path("two")}).size(), 2U) << "one is there twice";

  nlohmann::ordered_json other = kSettings;
  other["model"] = "other (2)";
  AnswersFile(path("three"), other).append(record("needle@0.3"));
  EXPECT_THAT(error_of("one", "three"), HasSubstr("their model are not the same"));
  std::ofstream(path("eval")) << "{\"vase_eval\":1,\"settings\":{}}\n";
  EXPECT_THAT(error_of("one", "eval"), HasSubstr("this is no run of `vase recall`"));
}

}  // namespace
}  // namespace vase::recall
