#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "solvers.hpp"
#include "tasks/grade.hpp"
#include "tasks/problem_file.hpp"
#include "tasks/registry.hpp"

namespace vase::tasks {
namespace {

struct Set {
  const Task* task;
  Tier tier;
};

std::vector<Set> all_sets() {
  std::vector<Set> sets;
  for (const Task& task : all_tasks()) {
    for (const Tier tier : kAllTiers) sets.push_back({&task, tier});
  }
  return sets;
}

class EverySet : public testing::TestWithParam<Set> {
 protected:
  std::vector<Problem> make(Split split, std::uint64_t seed, int count) const {
    return make_problems(*GetParam().task, GetParam().tier, split, seed, count);
  }
};

TEST_P(EverySet, SameSeedGivesSameBytes) {
  const auto first = make(Split::kTest, 7, 4);
  const auto second = make(Split::kTest, 7, 4);
  for (std::size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(to_json_line(first[i], true), to_json_line(second[i], true));
  }
  EXPECT_NE(first.front().question, make(Split::kTest, 8, 1).front().question);
}

TEST_P(EverySet, SeedInTheIdMakesTheProblemAgain) {
  for (const Problem& problem : make(Split::kTune, 3, 4)) {
    const Problem again = make_problem(*GetParam().task, problem.tier, Split::kTune, problem.seed);
    EXPECT_EQ(again.id, problem.id);
    EXPECT_EQ(again.chain, problem.chain);
  }
}

TEST_P(EverySet, AnswersAgreeWithAnIndependentSolver) {
  for (const Problem& problem : make(Split::kTrain, 11, 32)) {
    EXPECT_EQ(solve(problem.task, problem.question), problem.answer) << problem.question;
  }
}

TEST_P(EverySet, LengthsFitTheTier) {
  const Lengths lengths = lengths_of(GetParam().tier);
  for (const Problem& problem : make(Split::kTest, 5, 16)) {
    const int question = count_tokens(problem.question);
    const int chain = count_tokens(problem.chain);
    EXPECT_GE(chain, lengths.min_chain);
    EXPECT_LE(chain, lengths.max_chain);
    EXPECT_LE(count_tokens(chat_prompt(problem.question) + chat_reply(problem)), kContext);
    if (problem.tier != Tier::k1k) {
      EXPECT_LE(10 * question, chain) << problem.question;
    }
  }
}

TEST_P(EverySet, ChainEndsInTheAnswer) {
  for (const Problem& problem : make(Split::kTest, 9, 16)) {
    const std::string& chain = problem.chain;
    const std::size_t last_line = chain.rfind('\n', chain.size() - 2) + 1;
    EXPECT_NE(chain.find(" " + problem.answer + ".\n", last_line), std::string::npos) << chain;
    EXPECT_TRUE(is_correct(chat_reply(problem), problem.answer));
  }
}

TEST_P(EverySet, SplitsShareNoProblem) {
  std::set<std::string> seen;
  for (const Split split : {Split::kTrain, Split::kTune, Split::kTest}) {
    for (const Problem& problem : make(split, 13, 24)) {
      EXPECT_TRUE(seen.insert(problem.question).second) << problem.id;
    }
  }
}

TEST_P(EverySet, JsonLinesComeBackAsTheyWere) {
  std::stringstream lines;
  const auto problems = make(Split::kTest, 17, 3);
  for (const Problem& problem : problems) lines << to_json_line(problem, true) << '\n';
  const auto read = read_problems(lines);
  ASSERT_EQ(read.size(), problems.size());
  for (std::size_t i = 0; i < read.size(); ++i) {
    EXPECT_EQ(to_json_line(read[i], true), to_json_line(problems[i], true));
  }
}

INSTANTIATE_TEST_SUITE_P(Tasks, EverySet, testing::ValuesIn(all_sets()), [](const auto& set) {
  return std::string(set.param.task->name) + "_" + std::string(name_of(set.param.tier));
});

TEST(Splits, DependOnTheContentAlone) {
  // Whatever the seed, a content that the generators meet belongs to one split only.
  EXPECT_EQ(split_of("a"), split_of("a"));
  std::set<Split> found;
  int test = 0;
  for (int i = 0; i < 16000; ++i) {
    const Split split = split_of("problem " + std::to_string(i));
    found.insert(split);
    test += split == Split::kTest ? 1 : 0;
  }
  EXPECT_EQ(found.size(), 3U);
  EXPECT_NEAR(test, 1000, 100);
}

TEST(Generators, ContentLeavesOutNamesAndWording) {
  // Two drafts from different seeds may share names, never the content that decides the split.
  for (const Task& task : all_tasks()) {
    Rng first(1);
    Rng second(2);
    const Lengths lengths = lengths_of(Tier::k1k);
    const Draft a = task.generator(first, lengths);
    const Draft b = task.generator(second, lengths);
    EXPECT_NE(a.content, b.content);
    EXPECT_EQ(a.content.find_first_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
              task.name == "program" ? a.content.find_first_of("S") : std::string::npos);
  }
}

TEST(Tokens, AreCountedAsSmolLm2Counts) {
  EXPECT_EQ(count_tokens("Anna has 45 apples."), 7);  // Anna| has| |4|5| apples|.
  EXPECT_EQ(count_tokens("a = 7\n"), 5);              // a| =| |7|\n
  EXPECT_EQ(count_tokens(""), 0);
}

TEST(Files, NameTheLineThatCannotBeRead) {
  std::istringstream in("\n{\"id\": 3}\n");
  try {
    read_problems(in);
    FAIL() << "a broken line was accepted";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("line 2"), std::string::npos) << error.what();
  }
}

// The numbers come from a few lines of Python that follow the published SplitMix64 and FNV-1a.
TEST(Random, IsTheSameEverywhere) {
  EXPECT_EQ(Rng(2606).next(), 0x4cedf48403b92d4fULL);
  EXPECT_EQ(hash_text("vase"), 0x13ade5391d835fc6ULL);
}

TEST(Random, BetweenReachesBothEnds) {
  Rng rng(1);
  std::set<int> found;
  for (int i = 0; i < 200; ++i) found.insert(rng.between(-1, 2));
  EXPECT_EQ(found, (std::set<int>{-1, 0, 1, 2}));
}

}  // namespace
}  // namespace vase::tasks
