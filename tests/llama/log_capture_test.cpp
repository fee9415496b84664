#include "llama/plan/log_capture.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace vase {
namespace {

// The log that the tests find is put back after each.
class LogCaptureTest : public testing::Test {
 protected:
  void SetUp() override {
    llama_log_get(&before_, &before_data_);
    llama_log_set(collect, &lines_);
  }
  void TearDown() override { llama_log_set(before_, before_data_); }

  static void collect(ggml_log_level, const char *text, void *lines) {
    static_cast<std::vector<std::string> *>(lines)->push_back(text);
  }
  static void log(const char *text, ggml_log_level level = GGML_LOG_LEVEL_INFO) {
    ggml_log_callback log = nullptr;
    void *data = nullptr;
    llama_log_get(&log, &data);
    log(level, text, data);
  }

  std::vector<std::string> lines_;

 private:
  ggml_log_callback before_ = nullptr;
  void *before_data_ = nullptr;
};

TEST_F(LogCaptureTest, ReadsTheFirstNumberOfAName) {
  const LogCapture capture(false);
  log("sched_reserve: max_nodes = 20480\n", GGML_LOG_LEVEL_DEBUG);
  log("sched_reserve: max_nodes = 7\n", GGML_LOG_LEVEL_DEBUG);
  EXPECT_EQ(capture.number("max_nodes"), 20480u);
  EXPECT_EQ(capture.number("nodes of no kind"), 0u);
}

TEST_F(LogCaptureTest, ReadsSizesAndPassesOnIfAsked) {
  {
    const LogCapture quiet(false);
    log("x: CPU compute buffer size = 1.50 MiB\n");
    log("x: CUDA0 compute buffer size = 0.25 MiB\n");
    log("wrong\n", GGML_LOG_LEVEL_ERROR);
    EXPECT_EQ(quiet.mebibytes("compute buffer size"), size_t{7} * 1024 * 1024 / 4);
    EXPECT_EQ(quiet.because(), ": wrong");
  }
  EXPECT_TRUE(lines_.empty());
  {
    const LogCapture loud(true);
    log("heard\n");
  }
  log("after\n");
  EXPECT_EQ(lines_, (std::vector<std::string>{"heard\n", "after\n"}));
}

// A thread that read the log's address while a capture lived may call it when it is gone.
TEST_F(LogCaptureTest, CallsThatComeTooLateGoWhereTheyWouldHaveGone) {
  ggml_log_callback stale = nullptr;
  void *stale_data = nullptr;
  {
    const LogCapture capture(false);
    llama_log_get(&stale, &stale_data);
  }
  stale(GGML_LOG_LEVEL_INFO, "late\n", stale_data);
  EXPECT_EQ(lines_, std::vector<std::string>{"late\n"});
  const LogCapture next(false);
  stale(GGML_LOG_LEVEL_ERROR, "later\n", stale_data);
  EXPECT_EQ(next.because(), ": later");
}

TEST_F(LogCaptureTest, LeavesALogThatWasSetMeanwhile) {
  std::vector<std::string> own;
  {
    const LogCapture capture(false);
    llama_log_set(collect, &own);
  }
  log("mine\n");
  EXPECT_EQ(own, std::vector<std::string>{"mine\n"});
}

TEST_F(LogCaptureTest, ThreadsLogWhileCapturesComeAndGo) {
  llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i)
    threads.emplace_back([&] {
      while (!stop) log("said\n", GGML_LOG_LEVEL_ERROR);
    });
  int heard = 0;
  for (int i = 0; i < 200; ++i) {
    const LogCapture capture(false);
    log("size = 1 MiB\n");
    heard += capture.mebibytes("size") > 0 ? 1 : 0;
  }
  stop = true;
  for (std::thread &thread : threads) thread.join();
  EXPECT_EQ(heard, 200);
}

}  // namespace
}  // namespace vase
