// What this machine can do at most, measured: multiply-adds from registers, bytes read in order.
#ifndef VASE_BENCH_MACHINE_FLOOR_HPP
#define VASE_BENCH_MACHINE_FLOOR_HPP

namespace bench {

struct Work {
  double flops;  ///< multiply and add count as two
  double bytes;
};

/// Floating-point operations a second of `threads` threads, f32, measured once.
double peak_flops(int threads);
/// Bytes read a second by `threads` threads from memory that no cache holds, measured once.
double peak_bandwidth(int threads);
/// Seconds that `work` takes at the least.
double machine_floor(const Work& work, int threads);

}  // namespace bench

#endif
