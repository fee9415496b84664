#include "eval/repetition.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/words.hpp"
#include "tasks/registry.hpp"

namespace vase::eval {
namespace {

using testing::tokens_of;
using Tokens = std::vector<std::int32_t>;

Tokens counting(std::int32_t count) {
  Tokens tokens;
  for (std::int32_t i = 0; i < count; ++i) tokens.push_back(1000 + i);
  return tokens;
}

Tokens with_tail(Tokens tokens, const Tokens &block, int length) {
  for (int i = 0; i < length; ++i) {
    tokens.push_back(block[static_cast<std::size_t>(i) % block.size()]);
  }
  return tokens;
}

constexpr LoopRule kExact = {.differences = 0};

TEST(Repetition, FindsThePeriod) {
  const auto loop = find_loop(with_tail(counting(500), {1, 2, 3, 2}, 301), kExact);
  ASSERT_TRUE(loop);
  EXPECT_EQ(loop->period, 4);
  EXPECT_EQ(loop->tokens, 301);
}

TEST(Repetition, OneTokenIsALoopToo) {
  const auto loop = find_loop(with_tail(counting(10), {7}, 192), kExact);
  ASSERT_TRUE(loop);
  EXPECT_EQ(loop->period, 1);
  EXPECT_FALSE(find_loop(with_tail(counting(10), {7}, 191), kExact)) << "one token short";
}

TEST(Repetition, ALongBlockMustComeFourTimes) {
  const Tokens block = counting(100);
  EXPECT_FALSE(find_loop(with_tail({}, block, 399), kExact));
  EXPECT_EQ(find_loop(with_tail({}, block, 400), kExact)->period, 100);
}

TEST(Repetition, OnlyTheEndCounts) {
  Tokens tokens = with_tail({}, {1, 2}, 1000);
  for (const std::int32_t token : counting(60)) tokens.push_back(token);
  EXPECT_FALSE(find_loop(tokens));
}

TEST(Repetition, ACounterDoesNotHideALoop) {
  Tokens tokens;
  for (std::int32_t round = 0; round < 10; ++round) {
    tokens = with_tail(tokens, counting(39), 39);
    tokens.push_back(5000 + round);  // one of 40 tokens; the same one differs on both sides
  }
  EXPECT_FALSE(find_loop(tokens, kExact));
  const auto loop = find_loop(tokens);
  ASSERT_TRUE(loop);
  EXPECT_EQ(loop->period, 40);
}

TEST(Repetition, LinesThatDifferMoreAreWork) {
  Tokens tokens;
  for (std::int32_t line = 0; line < 100; ++line) {
    tokens = with_tail(tokens, counting(18), 18);
    tokens.push_back(5000 + line);
    tokens.push_back(7000 + line * line);
  }
  EXPECT_FALSE(find_loop(tokens)) << "two of 20 tokens are new in each line";
}

TEST(Repetition, NothingIsNoLoop) {
  EXPECT_FALSE(find_loop({}));
  EXPECT_FALSE(find_loop(counting(5000)));
}

// What honest work looks like: the worked solutions of all tasks, cut at any place.
TEST(Repetition, WorkedSolutionsAreNoLoops) {
  for (const tasks::Task &task : tasks::all_tasks()) {
    const auto problem = tasks::make_problem(task, tasks::Tier::k4k, tasks::Split::kTest, 12345);
    const Tokens tokens = tokens_of(problem.chain);
    EXPECT_GT(tokens.size(), 3000U);
    for (std::size_t end = 300; end < tokens.size(); end += 151) {
      EXPECT_FALSE(find_loop(std::span(tokens).first(end))) << task.name << " at token " << end;
    }
  }
}

// The same with a part of it said over and over.
TEST(Repetition, AWorkedSolutionThatHangsIsALoop) {
  const auto problem =
      tasks::make_problem(*tasks::find_task("tracking"), tasks::Tier::k1k, tasks::Split::kTest, 1);
  const Tokens tokens = tokens_of(problem.chain);
  const Tokens part(tokens.begin() + 100, tokens.begin() + 173);
  const Tokens before(tokens.begin(), tokens.begin() + 100);
  const auto loop = find_loop(with_tail(before, part, 400), kExact);
  ASSERT_TRUE(loop);
  EXPECT_EQ(loop->period, 73);
  EXPECT_TRUE(find_loop(with_tail(before, part, 400)));
}

// As the reasoner wrote with evict-large at budget 448 (tracking, tier 1k).
TEST(Repetition, AModelThatIsStuck) {
  std::string text = "Jack has the pen.\n";
  for (int game = 10; game < 24; ++game) {
    text += "After game " + std::to_string(game) +
            " (cath): Jack pen, Bob spoon, Mary boot, Anna medal.\nSo Anna has the medal.\n";
  }
  EXPECT_TRUE(find_loop(tokens_of(text)));
}

}  // namespace
}  // namespace vase::eval
