// The choice of one head in the making: which candidates stay, and how many may still join them.
#ifndef VASE_CORE_KEEP_SET_HPP
#define VASE_CORE_KEEP_SET_HPP

#include <cstdint>
#include <span>

#include "core/arena.hpp"
#include "core/philox.hpp"

namespace vase {

/// All choices are total orders, so the outcome never depends on the sorting algorithm: equal
/// scores go to the older candidate; scores that are not finite rank last.
class KeepSet {
 public:
  /// An empty choice of `quota` among n candidates. flags: [n], owned by the caller, cleared here.
  KeepSet(std::span<uint8_t> flags, int32_t quota, Arena& arena);

  static size_t bytes(int32_t n) { return Arena::bytes_of<Ranked>(static_cast<size_t>(n)); }

  int32_t size() const { return static_cast<int32_t>(flags_.size()); }
  int32_t kept() const { return kept_; }
  int32_t remaining() const { return quota_ - kept_; }
  bool contains(int32_t candidate) const { return flags_[static_cast<size_t>(candidate)] != 0; }

  /// Keeps one candidate, if there is still room.
  void add(int32_t candidate);
  /// Keeps the `count` highest scores[n] among those not kept yet (as many as there is room for).
  void add_top(std::span<const float> scores, int32_t count);
  /// Keeps the `count` lowest.
  void add_bottom(std::span<const float> scores, int32_t count);
  /// Draws `count` without replacement, with probability proportional to weights[n] among those not
  /// kept yet: the top of log w + Gumbel noise, here in the form of an exponential race. random is
  /// indexed by positions[n]. Candidates of weight 0 come last, oldest first.
  void add_drawn(std::span<const float> weights, std::span<const int32_t> positions,
                 const PhiloxStream& random, int32_t count);

 private:
  struct Ranked {
    double key;  ///< lowest first
    int32_t candidate;
  };

  /// Keeps the `count` lowest of `ranked`, which it reorders.
  void add_first(std::span<Ranked> ranked, int32_t count);
  template <typename Key>
  std::span<Ranked> rank_others(Key key);

  std::span<uint8_t> flags_;
  int32_t quota_;
  int32_t kept_ = 0;
  std::span<Ranked> scratch_;
};

}  // namespace vase

#endif
