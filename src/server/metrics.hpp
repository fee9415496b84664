// Counters in the text format of Prometheus.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "server/task.hpp"

namespace vase::server {

/// Why a request was not accepted.
enum class Rejection { invalid, unauthorized, unknown_host, queue_full, draining };
inline constexpr int kRejections = 5;

/// Cumulative, as Prometheus wants it.
class Histogram {
 public:
  static constexpr std::array kBounds = {0.01, 0.025, 0.05, 0.1,  0.25, 0.5,  1.0,
                                         2.5,  5.0,   10.0, 25.0, 50.0, 100.0};
  void observe(double seconds);
  std::string text(const std::string &name, const std::string &help) const;

 private:
  std::array<std::atomic<std::int64_t>, kBounds.size() + 1> buckets_{};
  std::atomic<std::int64_t> microseconds_ = 0;
};

/// Values that are looked up when they are asked for.
struct Gauges {
  std::int64_t queue = 0;
  std::int64_t slots = 0;
  std::int64_t slots_busy = 0;
  std::uint64_t weights_bytes = 0;
  std::uint64_t kv_bytes = 0;
  std::uint64_t queries_bytes = 0;
  std::uint64_t compute_bytes = 0;
  std::uint64_t snapshots_bytes = 0;
  std::uint64_t put_aside_bytes = 0;
  std::uint64_t put_aside = 0;
  std::uint64_t resident_bytes = 0;
};

/// May be written and read by any thread.
class Metrics {
 public:
  void count_accepted() { ++accepted_; }
  /// Once for each accepted request. `seconds`: since it was accepted.
  void count_end(Outcome outcome, double seconds) {
    ++outcomes_.at(static_cast<std::size_t>(outcome));
    request_.observe(seconds);
  }
  void count_rejection(Rejection why) { ++rejections_.at(static_cast<std::size_t>(why)); }
  void count_prompt_tokens(std::int64_t n) { prompt_tokens_ += n; }
  void count_cached_tokens(std::int64_t n) { cached_tokens_ += n; }
  void count_generated_tokens(std::int64_t n) { generated_tokens_ += n; }
  void count_evictions(std::int64_t n) { evictions_ += n; }
  void count_loop_alarms(std::int64_t n) { loop_alarms_ += n; }
  void observe_first_token(double seconds) { first_token_.observe(seconds); }

  std::string text(const Gauges &gauges) const;

 private:
  using Counter = std::atomic<std::int64_t>;
  Counter accepted_ = 0;
  std::array<Counter, kOutcomes> outcomes_{};
  std::array<Counter, kRejections> rejections_{};
  Counter prompt_tokens_ = 0;
  Counter cached_tokens_ = 0;
  Counter generated_tokens_ = 0;
  Counter evictions_ = 0;
  Counter loop_alarms_ = 0;
  Histogram first_token_;
  Histogram request_;
};

}  // namespace vase::server
