#include "core/thread_pool.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace vase {
namespace {

TEST(ThreadPool, CallsEachIndexOnce) {
  for (const int workers : {1, 2, 5}) {
    ThreadPool pool(workers);
    EXPECT_EQ(pool.workers(), workers);
    for (const int count : {0, 1, 3, 100}) {
      std::vector<std::atomic<int>> calls(static_cast<size_t>(count));
      std::atomic<bool> worker_in_range = true;
      pool.parallel_for(count, [&](int index, int worker) {
        ++calls[static_cast<size_t>(index)];
        if (worker < 0 || worker >= workers) worker_in_range = false;
      });
      for (const auto& c : calls) EXPECT_EQ(c.load(), 1);
      EXPECT_TRUE(worker_in_range);
    }
  }
}

TEST(ThreadPool, WorkersHaveTheirOwnNumbers) {
  ThreadPool pool(4);
  std::vector<int> sums(
      4);  // no atomics: each worker has its own slot, which the thread sanitizer would contest
  for (int round = 0; round < 50; ++round)
    pool.parallel_for(64,
                      [&](int index, int worker) { sums[static_cast<size_t>(worker)] += index; });
  EXPECT_EQ(sums[0] + sums[1] + sums[2] + sums[3], 50 * 64 * 63 / 2);
}

}  // namespace
}  // namespace vase
