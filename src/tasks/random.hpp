// Random numbers that are the same on every machine. The distributions of the standard library are
// not: each library may turn the same bits into another number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace vase::tasks {

/// A good 64-bit mix (SplitMix64's finisher): neighbours become unrelated.
std::uint64_t mix_bits(std::uint64_t x);

/// A 64-bit hash of a text (FNV-1a, then mixed).
std::uint64_t hash_text(std::string_view text);

/// A SplitMix64 stream.
class Rng {
 public:
  explicit Rng(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next();

  /// A whole number from low to high, both included.
  int between(int low, int high);

  /// True with a probability of percent in a hundred.
  bool chance(int percent) { return between(1, 100) <= percent; }

  template <typename T>
  const T& pick(const std::vector<T>& items) {
    return items[static_cast<std::size_t>(between(0, static_cast<int>(items.size()) - 1))];
  }

  template <typename T>
  void shuffle(std::vector<T>& items) {
    for (std::size_t i = items.size(); i > 1; --i) {
      const auto j = static_cast<std::size_t>(between(0, static_cast<int>(i) - 1));
      std::swap(items[i - 1], items[j]);
    }
  }

  /// `count` different items, in random order.
  template <typename T>
  std::vector<T> sample(std::vector<T> items, int count) {
    shuffle(items);
    items.resize(static_cast<std::size_t>(count));
    return items;
  }

 private:
  std::uint64_t state_;
};

}  // namespace vase::tasks
