#include "server/metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vase::server {
namespace {

using testing::HasSubstr;

TEST(Metrics, CountsOutcomesAndRejections) {
  Metrics metrics;
  metrics.count_accepted();
  metrics.count_end(Outcome::timed_out, 0.5);
  metrics.count_rejection(Rejection::queue_full);
  const std::string text = metrics.text({.queue = 3, .kv_bytes = 42});
  EXPECT_THAT(text, HasSubstr("\nvase_requests_accepted_total 1\n"));
  EXPECT_THAT(text, HasSubstr("vase_requests_total{outcome=\"timed_out\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("vase_requests_total{outcome=\"completed\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("vase_requests_rejected_total{reason=\"queue_full\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("vase_queue_length 3\n"));
  EXPECT_THAT(text, HasSubstr("vase_memory_bytes{kind=\"kv\"} 42\n"));
}

TEST(Metrics, HistogramIsCumulative) {
  Metrics metrics;
  for (const double seconds : {0.005, 0.2, 0.2, 1000.0}) metrics.observe_first_token(seconds);
  const std::string text = metrics.text({});
  EXPECT_THAT(text, HasSubstr("vase_time_to_first_token_seconds_bucket{le=\"0.01\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("vase_time_to_first_token_seconds_bucket{le=\"0.1\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("vase_time_to_first_token_seconds_bucket{le=\"0.25\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("vase_time_to_first_token_seconds_bucket{le=\"+Inf\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("vase_time_to_first_token_seconds_count 4\n"));
}

}  // namespace
}  // namespace vase::server
