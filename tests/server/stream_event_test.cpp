// A stream that breaks after it has begun: its client is told, and its outcome counted.
#include "server/stream_event.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "server/delivery.hpp"
#include "server/error.hpp"

namespace vase::server {
namespace {

using testing::HasSubstr;

TEST(StreamEvent, IsTheLastOneInWordsIfItCannotBeMade) {
  const StreamEvent event =
      event_or_failure([]() -> StreamEvent { throw std::runtime_error("no room for text"); });
  EXPECT_EQ(event.then, StreamEvent::Then::broken);
  EXPECT_THAT(event.text, testing::StartsWith("data: {\"error\":"));
  EXPECT_THAT(event.text, HasSubstr("no room for text"));
  EXPECT_THAT(event.text, testing::EndsWith("\n\n"));
  const StreamEvent known = event_or_failure(
      []() -> StreamEvent { throw ApiError(504, "took too long", "timeout_error"); });
  EXPECT_THAT(known.text, HasSubstr("timeout_error"));
  const StreamEvent other = event_or_failure([] {
    return StreamEvent{"data: x\n\n", StreamEvent::Then::more};
  });
  EXPECT_EQ(other.text, "data: x\n\n");
}

TEST(Delivery, CountsWhatWasGeneratedButNotSentAsFailed) {
  Metrics metrics;
  {
    Completion completion{
        .stream = true,
        .task = std::make_shared<Task>(std::vector<Answer>(1), Clock::time_point::max(),
                                       [] { return false; }),
        .writer = nullptr};
    completion.task->end(Outcome::completed);
    completion.task->announce_end();
    const Delivery delivery(std::move(completion), metrics);  // complete() is never called
  }
  EXPECT_THAT(metrics.text({}), HasSubstr("vase_requests_total{outcome=\"failed\"} 1"));
}

}  // namespace
}  // namespace vase::server
