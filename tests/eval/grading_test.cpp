// Graders that misbehave: the run must go on, and no answer is lost.
#include "eval/grading.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <thread>
#include <vector>

#include "../llama/tiny_models.hpp"
#include "vase/llama.hpp"

namespace vase::eval {
namespace {

// A shell script in the place of the Python helper.
class MathHelper : public ::testing::Test {
 protected:
  void SetUp() override { ::setenv("VASE_PYTHON", "/bin/sh", 1); }
  void TearDown() override { ::unsetenv("VASE_PYTHON"); }
  std::filesystem::path script(const std::string &lines) {
    std::ofstream(folder_ / "helper.sh") << lines;
    return folder_ / "helper.sh";
  }
  static constexpr const char *kHelper =
      "echo ready\n"
      "while read -r line; do\n"
      "  case $line in *hang*) sleep 1000;; *die*) exit 1;; esac\n"
      "  echo '{\"correct\": true, \"answer\": \"x\"}'\n"
      "done\n";
  tests::TemporaryFolder folder_;
};

TEST_F(MathHelper, AnAnswerThatItCannotTakeIsWrongAndTheNextIsGraded) {
  MathVerify math(script(kHelper), std::chrono::seconds(1));
  for (const char *reply : {"hang", "die"}) {
    EXPECT_FALSE(math.grade("1", reply).correct);
    EXPECT_TRUE(math.grade("1", "1").correct);
  }
  EXPECT_EQ(math.given_up(), 2);
}

TEST_F(MathHelper, MayBeAskedByManyAtOnce) {
  Question question;
  question.expected = "1";
  question.grader = Grader::latex;
  GradingDesk desk({question}, script(kHelper));
  std::atomic<int> right = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int j = 0; j < 20; ++j) right += desk.grade(question, "1").correct ? 1 : 0;
      });
    }
  }
  EXPECT_EQ(right, 80);
  EXPECT_FALSE(desk.grade(question, "<think> \\boxed{1}").correct) << "the thought never closed";
}

TEST_F(MathHelper, SaysSoIfItDoesNotStartAgain) {
  MathVerify math(
      script("[ -e \"$0.once\" ] && exit 1\ntouch \"$0.once\"\necho ready\nread -r x\n"));
  EXPECT_THROW(math.grade("1", "1"), Error);
}

}  // namespace
}  // namespace vase::eval
