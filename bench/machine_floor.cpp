#include "machine_floor.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "core/thread_pool.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "machine_floor.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace bench::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int kChains = 12;  // independent sums: enough to hide the latency of a multiply-add

/// Runs `rounds` times kChains vector multiply-adds; returns a value that depends on all of them.
float multiply_adds(int64_t rounds) {
  const hn::ScalableTag<float> f32;
  // Each chain starts elsewhere, or the compiler would compute them once for all.
  auto s0 = hn::Set(f32, 0.f), s1 = hn::Set(f32, 1.f), s2 = hn::Set(f32, 2.f),
       s3 = hn::Set(f32, 3.f);
  auto s4 = hn::Set(f32, 4.f), s5 = hn::Set(f32, 5.f), s6 = hn::Set(f32, 6.f),
       s7 = hn::Set(f32, 7.f);
  auto s8 = hn::Set(f32, 8.f), s9 = hn::Set(f32, 9.f), s10 = hn::Set(f32, 10.f),
       s11 = hn::Set(f32, 11.f);
  const auto a = hn::Set(f32, 0.999f), b = hn::Set(f32, 0.5f);
  for (int64_t i = 0; i < rounds; ++i) {
    s0 = hn::MulAdd(s0, a, b), s1 = hn::MulAdd(s1, a, b), s2 = hn::MulAdd(s2, a, b),
    s3 = hn::MulAdd(s3, a, b);
    s4 = hn::MulAdd(s4, a, b), s5 = hn::MulAdd(s5, a, b), s6 = hn::MulAdd(s6, a, b),
    s7 = hn::MulAdd(s7, a, b);
    s8 = hn::MulAdd(s8, a, b), s9 = hn::MulAdd(s9, a, b), s10 = hn::MulAdd(s10, a, b),
    s11 = hn::MulAdd(s11, a, b);
  }
  const auto sum =
      hn::Add(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)), hn::Add(hn::Add(s4, s5), hn::Add(s6, s7)));
  return hn::GetLane(
      hn::SumOfLanes(f32, hn::Add(sum, hn::Add(hn::Add(s8, s9), hn::Add(s10, s11)))));
}

double flops_of_a_round() {
  const hn::ScalableTag<float> f32;
  return 2.0 * kChains * static_cast<double>(hn::Lanes(f32));
}

/// Reads n floats.
float read_all(const float* data, size_t n) {
  const hn::ScalableTag<float> f32;
  const size_t lanes = hn::Lanes(f32);
  auto s0 = hn::Zero(f32), s1 = s0, s2 = s0, s3 = s0;
  for (size_t i = 0; i + 4 * lanes <= n; i += 4 * lanes) {
    s0 = hn::Add(s0, hn::LoadU(f32, data + i)), s1 = hn::Add(s1, hn::LoadU(f32, data + i + lanes));
    s2 = hn::Add(s2, hn::LoadU(f32, data + i + 2 * lanes)),
    s3 = hn::Add(s3, hn::LoadU(f32, data + i + 3 * lanes));
  }
  return hn::GetLane(hn::SumOfLanes(f32, hn::Add(hn::Add(s0, s1), hn::Add(s2, s3))));
}

}  // namespace bench::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bench {
namespace {

HWY_EXPORT(multiply_adds);
HWY_EXPORT(flops_of_a_round);
HWY_EXPORT(read_all);

volatile float sink;

/// The least of several timings of `task` on `threads` threads, in seconds.
double fastest(int threads, const std::function<void()>& task) {
  vase::ThreadPool pool(threads);
  double best = 1e9;
  for (int repetition = 0; repetition < 7; ++repetition) {
    const auto start = std::chrono::steady_clock::now();
    pool.parallel_for(threads, [&](int, int) { task(); });
    best = std::min(
        best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

template <typename Measure>
double measured_once(std::map<int, double>& known, int threads, Measure measure) {
  const auto found = known.find(threads);
  return found != known.end() ? found->second : known[threads] = measure();
}

}  // namespace

double peak_flops(int threads) {
  static std::map<int, double> known;
  return measured_once(known, threads, [&] {
    constexpr int64_t kRounds = 2'000'000;
    const double seconds =
        fastest(threads, [] { sink = HWY_DYNAMIC_DISPATCH(multiply_adds)(kRounds); });
    return threads * static_cast<double>(kRounds) * HWY_DYNAMIC_DISPATCH(flops_of_a_round)() /
           seconds;
  });
}

double peak_bandwidth(int threads) {
  static std::map<int, double> known;
  return measured_once(known, threads, [&] {
    const std::vector<float> data(size_t{1} << 27, 1.0f);  // 512 MiB: beyond any cache
    const double seconds =
        fastest(threads, [&] { sink = HWY_DYNAMIC_DISPATCH(read_all)(data.data(), data.size()); });
    return threads * static_cast<double>(data.size() * sizeof(float)) / seconds;
  });
}

double machine_floor(const Work& work, int threads) {
  return std::max(work.flops / peak_flops(threads), work.bytes / peak_bandwidth(threads));
}

}  // namespace bench
#endif
