// How fast a sequence goes, and whether it does.
#pragma once

#include <chrono>
#include <cstdint>

namespace vase::interpose {

class Pace {
 public:
  /// After a batch with `tokens` of the sequence; `reads`: they are of a prompt.
  void step(int64_t tokens, bool reads) {
    const auto now = Clock::now();
    const double seconds = std::chrono::duration<double>(now - last_).count();
    const double rate = static_cast<double>(tokens) / seconds;
    constexpr double kShare = 0.05;  // of the newest batch: a mean of about the last twenty
    // What came before a pause, or another kind of batch, says nothing of this.
    rate_ = seconds > kPause || reads != reads_ ? 0
            : rate_ == 0                        ? rate
                                                : rate_ + kShare * (rate - rate_);
    last_ = now;
    reads_ = reads;
  }
  /// As SlotStatus::state.
  const char *state() const { return !goes() ? "idle" : reads_ ? "prompt" : "generating"; }
  /// Whether the newest batch was of a prompt.
  bool reads() const { return reads_; }
  double tokens_per_second() const { return goes() ? rate_ : 0; }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr double kPause = 2;  // seconds
  bool goes() const { return std::chrono::duration<double>(Clock::now() - last_).count() < kPause; }

  Clock::time_point last_ = Clock::now() - std::chrono::hours(1);
  double rate_ = 0;
  bool reads_ = false;
};

}  // namespace vase::interpose
