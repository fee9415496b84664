#include "eval/repetition.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "tasks/registry.hpp"

namespace vase::eval {
namespace {

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

TEST(Repetition, FindsThePeriod) {
  const auto loop = find_loop(with_tail(counting(500), {1, 2, 3, 2}, 301));
  ASSERT_TRUE(loop);
  EXPECT_EQ(loop->period, 4);
  EXPECT_EQ(loop->tokens, 301);
}

TEST(Repetition, OneTokenIsALoopToo) {
  const auto loop = find_loop(with_tail(counting(10), {7}, 192));
  ASSERT_TRUE(loop);
  EXPECT_EQ(loop->period, 1);
  EXPECT_FALSE(find_loop(with_tail(counting(10), {7}, 191))) << "one token short";
}

TEST(Repetition, ALongBlockMustComeFourTimes) {
  const Tokens block = counting(100);
  EXPECT_FALSE(find_loop(with_tail({}, block, 399)));
  EXPECT_EQ(find_loop(with_tail({}, block, 400))->period, 100);
}

TEST(Repetition, OnlyTheEndCounts) {
  Tokens tokens = with_tail({}, {1, 2}, 1000);
  for (const std::int32_t token : counting(50)) tokens.push_back(token);
  EXPECT_FALSE(find_loop(tokens));
}

TEST(Repetition, OneDifferenceBreaksIt) {
  Tokens tokens = with_tail({}, {1, 2, 3}, 600);
  tokens[500] = 9;
  EXPECT_FALSE(find_loop(tokens));
  tokens[300] = 9;
  tokens[500] = tokens[497];
  EXPECT_TRUE(find_loop(tokens));
}

TEST(Repetition, NothingIsNoLoop) {
  EXPECT_FALSE(find_loop({}));
  EXPECT_FALSE(find_loop(counting(5000)));
}

// What honest work looks like: the worked solutions of all tasks, cut at any place.
TEST(Repetition, WorkedSolutionsAreNoLoops) {
  for (const tasks::Task &task : tasks::all_tasks()) {
    const auto problem = tasks::make_problem(task, tasks::Tier::k4k, tasks::Split::kTest, 12345);
    const Tokens bytes(problem.chain.begin(), problem.chain.end());
    for (std::size_t end = 500; end < bytes.size(); end += 97) {
      EXPECT_FALSE(find_loop(std::span(bytes).first(end))) << task.name << " at byte " << end;
    }
  }
}

// The same with a slice of it said over and over, which is how models fail.
TEST(Repetition, AWorkedSolutionThatHangsIsALoop) {
  const auto problem =
      tasks::make_problem(*tasks::find_task("tracking"), tasks::Tier::k1k, tasks::Split::kTest, 1);
  const Tokens bytes(problem.chain.begin(), problem.chain.end());
  const Tokens line(bytes.begin() + 200, bytes.begin() + 273);
  const auto loop = find_loop(with_tail(Tokens(bytes.begin(), bytes.begin() + 200), line, 600));
  ASSERT_TRUE(loop);
  EXPECT_EQ(loop->period, 73);
}

}  // namespace
}  // namespace vase::eval
