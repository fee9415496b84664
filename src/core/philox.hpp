// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): random
// numbers that are a function of a key and a counter. A draw keyed by (seed; sequence, eviction,
// layer, head, position) is the same on any backend, with any number of threads and for any cell
// layout.
#ifndef VASE_CORE_PHILOX_HPP
#define VASE_CORE_PHILOX_HPP

#include <array>
#include <cstdint>

namespace vase {

using PhiloxCounter = std::array<uint32_t, 4>;

constexpr PhiloxCounter philox(uint64_t key, PhiloxCounter c) {
  auto k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53u} * c[0], b = uint64_t{0xCD9E8D57u} * c[2];
    c = {static_cast<uint32_t>(b >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(b),
         static_cast<uint32_t>(a >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(a)};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

/// A uniform number in the open interval (0, 1) from 32 random bits.
constexpr double unit_open(uint32_t bits) { return (static_cast<double>(bits) + 0.5) * 0x1p-32; }

/// One stream of random numbers: that of a head in one eviction. `at(i)` depends on nothing but the
/// stream and i.
class PhiloxStream {
 public:
  /// Different purposes must not share numbers, hence the tag.
  enum class Purpose : uint32_t { kDraw = 0, kProjection = 1 };

  constexpr PhiloxStream(uint64_t seed, Purpose purpose, uint32_t sequence, uint32_t eviction,
                         uint32_t layer, uint32_t head)
      : seed_(seed),
        eviction_(eviction),
        place_(layer | head << 16),
        sequence_(sequence ^ static_cast<uint32_t>(purpose) << 31) {}

  constexpr PhiloxCounter at(uint32_t index) const {
    return philox(seed_, {index, eviction_, place_, sequence_});
  }
  constexpr double uniform(uint32_t index) const { return unit_open(at(index)[0]); }

 private:
  uint64_t seed_;
  uint32_t eviction_, place_, sequence_;
};

}  // namespace vase

#endif
