// The lowest of many keys, chosen by one block of threads: a radix sort that follows one digit's
// bin down instead of sorting. CUB has top-k for a whole device, not for a block with its own list.
#ifndef VASE_CUDA_RADIX_SELECT_CUH
#define VASE_CUDA_RADIX_SELECT_CUH

#include <cstdint>
#include <cub/block/block_scan.cuh>

namespace vase::cuda {

constexpr int kChoosers = 512;  // threads of the block

/// Keys whose order as integers is the order of the numbers; what is not finite comes last and
/// ties.
__device__ inline uint64_t order_key(double x) {
  if (!isfinite(x)) x = INFINITY;
  const auto bits = static_cast<uint64_t>(__double_as_longlong(x + 0.0));  // -0 becomes 0
  return (bits >> 63) != 0 ? ~bits : bits | uint64_t{1} << 63;
}
/// For numbers that are f32: the low half is 0, so that fewer digits need looking at.
__device__ inline uint64_t order_key(float x) {
  if (!isfinite(x)) x = INFINITY;
  const uint32_t bits = __float_as_uint(x + 0.0f);
  return static_cast<uint64_t>((bits >> 31) != 0 ? ~bits : bits | 0x80000000u) << 32;
}
/// The f32 number that has this key.
__device__ inline float float_of_key(uint64_t key) {
  const auto bits = static_cast<uint32_t>(key >> 32);
  return __uint_as_float((bits >> 31) != 0 ? bits & 0x7fffffffu : ~bits);
}

class RadixSelect {
 public:
  using Scan = cub::BlockScan<int, kChoosers>;
  struct Shared {
    typename Scan::TempStorage scan;
    int bins[256];
    uint64_t prefix;
    int needed;
    int in_bin;
  };

  __device__ explicit RadixSelect(Shared& shared) : shared_(shared) {}

  /// Sets chosen[i] for the `count` lowest keys[i] of those i < n that are not chosen yet, of equal
  /// keys those with the lowest i. 0 < count <= candidates that are not chosen.
  __device__ void lowest(int n, int count, const uint64_t* keys, uint8_t* chosen) {
    uint64_t prefix = 0, mask = 0;
    int needed = count;
    bool ties = true;
    for (int shift = 56; shift >= 0 && ties; shift -= 8)
      ties = follow_digit(n, keys, chosen, prefix, mask, needed, shift);
    for_own_range(n, [&](int begin, int end) {
      int before = 0;
      if (ties) {
        int mine = 0;
        for (int i = begin; i < end; ++i)
          mine += chosen[i] == 0 && (keys[i] & mask) == prefix ? 1 : 0;
        Scan(shared_.scan).ExclusiveSum(mine, before);
      }
      for (int i = begin; i < end; ++i) {
        if (chosen[i] != 0) continue;
        const uint64_t digits = keys[i] & mask;
        if (digits < prefix || (digits == prefix && (!ties || before++ < needed))) chosen[i] = 1;
      }
    });
    __syncthreads();
  }

  /// Of the keys[i] of f32 numbers with i < n that are not chosen: the number of the one that has
  /// `place` lower ones before it. 0 <= place < candidates that are not chosen.
  __device__ float nth(int n, int place, const uint64_t* keys, const uint8_t* chosen) {
    uint64_t prefix = 0, mask = 0;
    int needed = place + 1;
    for (int shift = 56; shift >= 32; shift -= 8)
      follow_digit(n, keys, chosen, prefix, mask, needed, shift);
    return float_of_key(prefix);
  }

  /// Calls use(begin, end) with this thread's share of 0 .. n - 1, in the order of threads.
  template <typename Use>
  __device__ static void for_own_range(int n, const Use& use) {
    const int share = (n + kChoosers - 1) / kChoosers;
    const int begin = min(n, static_cast<int>(threadIdx.x) * share);
    use(begin, min(n, begin + share));
  }

 private:
  /// Of the keys that begin with `prefix`, the last of the `needed` lowest: makes prefix and mask a
  /// digit longer, down to it. Returns whether some of the keys with the new prefix are not among
  /// the needed.
  __device__ bool follow_digit(int n, const uint64_t* keys, const uint8_t* chosen, uint64_t& prefix,
                               uint64_t& mask, int& needed, int shift) {
    count_digits(n, keys, chosen, prefix, mask, shift);
    if (threadIdx.x < 32) find_bin(prefix, needed, shift);
    __syncthreads();
    prefix = shared_.prefix;
    needed = shared_.needed;
    mask |= uint64_t{0xff} << shift;
    return shared_.in_bin != needed;
  }

  __device__ void count_digits(int n, const uint64_t* keys, const uint8_t* chosen, uint64_t prefix,
                               uint64_t mask, int shift) {
    if (threadIdx.x < 256) shared_.bins[threadIdx.x] = 0;
    __syncthreads();
    constexpr int kAhead = 4;  // keys on the way at once
    for (int first = static_cast<int>(threadIdx.x); first - static_cast<int>(threadIdx.x) < n;
         first += kAhead * kChoosers) {
      uint64_t key[kAhead];
      bool counts[kAhead];
#pragma unroll
      for (int a = 0; a < kAhead; ++a) {
        const int i = first + a * kChoosers;
        counts[a] = i < n && chosen[i] == 0;
        key[a] = counts[a] ? keys[i] : 0;
      }
#pragma unroll
      for (int a = 0; a < kAhead; ++a)
        add_digit(counts[a] && (key[a] & mask) == prefix, static_cast<int>(key[a] >> shift & 0xff));
    }
    __syncthreads();
  }

  /// Keys are alike in their first digits: one addition for all lanes with the same digit.
  __device__ void add_digit(bool counts, int digit) {
    const unsigned active = __ballot_sync(0xffffffffu, counts);
    if (!counts) return;
    const unsigned peers = __match_any_sync(active, digit);
    if (static_cast<int>(threadIdx.x) % 32 == __ffs(static_cast<int>(peers)) - 1)
      atomicAdd(&shared_.bins[digit], __popc(peers));
  }

  /// The first warp finds the bin that holds the last key needed.
  __device__ void find_bin(uint64_t prefix, int needed, int shift) {
    const int lane = static_cast<int>(threadIdx.x);
    int own = 0;
    for (int b = 0; b < 8; ++b) own += shared_.bins[lane * 8 + b];
    int up_to = own;
    for (int step = 1; step < 32; step *= 2) {
      const int other = __shfl_up_sync(0xffffffffu, up_to, step);
      if (lane >= step) up_to += other;
    }
    int below = up_to - own;
    if (below >= needed || up_to < needed) return;
    for (int b = 0;; ++b) {
      const int in_bin = shared_.bins[lane * 8 + b];
      if (below + in_bin >= needed) {
        shared_.prefix = prefix | static_cast<uint64_t>(lane * 8 + b) << shift;
        shared_.needed = needed - below;
        shared_.in_bin = in_bin;
        return;
      }
      below += in_bin;
    }
  }

  Shared& shared_;
};

}  // namespace vase::cuda

#endif
