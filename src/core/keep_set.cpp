#include "core/keep_set.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace vase {
namespace {

constexpr double kLast = std::numeric_limits<double>::infinity();

}  // namespace

KeepSet::KeepSet(std::span<uint8_t> flags, int32_t quota, Arena& arena)
    : flags_(flags),
      quota_(std::min(quota, static_cast<int32_t>(flags.size()))),
      scratch_(arena.take<Ranked>(flags.size())) {
  std::fill(flags_.begin(), flags_.end(), uint8_t{0});
}

void KeepSet::add(int32_t candidate) {
  uint8_t& flag = flags_[static_cast<size_t>(candidate)];
  if (flag != 0 || remaining() == 0) return;
  flag = 1;
  ++kept_;
}

template <typename Key>
std::span<KeepSet::Ranked> KeepSet::rank_others(Key key) {
  size_t n = 0;
  for (int32_t i = 0; i < size(); ++i)
    if (!contains(i)) {
      const double k = key(static_cast<size_t>(i));
      scratch_[n++] = {std::isfinite(k) ? k : kLast, i};
    }
  return scratch_.first(n);
}

void KeepSet::add_first(std::span<Ranked> ranked, int32_t count) {
  count = std::clamp(count, 0, std::min(remaining(), static_cast<int32_t>(ranked.size())));
  const auto precedes = [](const Ranked& a, const Ranked& b) {
    return a.key != b.key ? a.key < b.key : a.candidate < b.candidate;
  };
  if (count < static_cast<int32_t>(ranked.size()))
    std::nth_element(ranked.begin(), ranked.begin() + count, ranked.end(), precedes);
  for (const Ranked& r : ranked.first(static_cast<size_t>(count))) add(r.candidate);
}

void KeepSet::add_top(std::span<const float> scores, int32_t count) {
  add_first(rank_others([&](size_t i) { return -static_cast<double>(scores[i]); }), count);
}

void KeepSet::add_bottom(std::span<const float> scores, int32_t count) {
  add_first(rank_others([&](size_t i) { return static_cast<double>(scores[i]); }), count);
}

void KeepSet::add_drawn(std::span<const float> weights, std::span<const int32_t> positions,
                        const PhiloxStream& random, int32_t count) {
  // Exponential clocks of rate w: the first `count` to ring are a draw without replacement
  // proportional to w. -log(Exp(1)/w) = log w + Gumbel, so this is the Gumbel top-k with one
  // logarithm instead of three.
  const auto ring_time = [&](size_t i) {
    const double w = static_cast<double>(weights[i]);
    if (!(w > 0) || std::isinf(w)) return kLast;
    return -std::log(random.uniform(static_cast<uint32_t>(positions[i]))) / w;
  };
  add_first(rank_others(ring_time), count);
}

}  // namespace vase
